//! The values behind references to secrets, read where and when they are needed.

use domain::spec::SecretReference;
use engine::{Credentials, Secret};

/// A reference whose value can't be had.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// The variable is not set in this service's environment.
    #[error("the environment variable {name} is not set; set it where the {service} runs")]
    Variable {
        /// Its name.
        name: String,
        /// Whose environment.
        service: &'static str,
    },
    /// The file can't be read.
    #[error("the secret file {path} can't be read by the {service}")]
    File {
        /// The file.
        path: String,
        /// Who tried.
        service: &'static str,
        /// Why not.
        source: std::io::Error,
    },
    /// Kubernetes secrets are read by Kubernetes targets only.
    #[error("{reference} can be used on a Kubernetes target only; use env: or file: here")]
    Kubernetes {
        /// The reference.
        reference: String,
    },
    /// Not of the form `user:password`.
    #[error("{reference} does not hold user:password")]
    Credentials {
        /// The reference.
        reference: String,
    },
}

/// Reads a secret. `service` names us in errors.
///
/// # Errors
/// When it is not there.
pub fn read(reference: &SecretReference, service: &'static str) -> Result<Secret, SecretError> {
    match reference {
        SecretReference::Env(name) => match std::env::var(name) {
            Ok(value) => Ok(Secret::new(value.into_bytes())),
            Err(_) => Err(SecretError::Variable {
                name: name.clone(),
                service,
            }),
        },
        SecretReference::File(path) => match std::fs::read(path) {
            Ok(mut bytes) => {
                while bytes.last().is_some_and(|b| matches!(b, b'\n' | b'\r')) {
                    bytes.pop();
                }
                Ok(Secret::new(bytes))
            }
            Err(source) => Err(SecretError::File {
                path: path.clone(),
                service,
                source,
            }),
        },
        SecretReference::Kubernetes { .. } => Err(SecretError::Kubernetes {
            reference: reference.to_string(),
        }),
    }
}

/// Reads a registry's `user:password`.
///
/// # Errors
/// When it is not there, or not of that form.
pub fn credentials(
    registry: &domain::platform::Registry,
    service: &'static str,
) -> Result<Option<Credentials>, SecretError> {
    let Some(reference) = &registry.credentials else {
        return Ok(None);
    };
    let secret = read(reference, service)?;
    let malformed = || SecretError::Credentials {
        reference: reference.to_string(),
    };
    let text = std::str::from_utf8(secret.expose()).map_err(|_| malformed())?;
    let (username, password) = text.split_once(':').ok_or_else(malformed)?;
    Ok(Some(Credentials {
        username: username.to_owned(),
        password: Secret::new(password.as_bytes()),
    }))
}

/// Reads the credentials of the registry that an image comes from: one of the platform's two, or another, of which
/// none are known. `reference` is the image's name with its host.
///
/// # Errors
/// When they are named and not there.
pub fn credentials_for(
    platform: &domain::platform::PlatformSpec,
    reference: &str,
    service: &'static str,
) -> Result<Option<Credentials>, SecretError> {
    let registries = [
        &platform.registries.production,
        &platform.registries.development,
    ];
    let root = |registry: &domain::platform::Registry| match &registry.prefix {
        Some(prefix) => format!("{}/{prefix}/", registry.address),
        None => format!("{}/", registry.address),
    };
    // Both may be at the same address: the longer root says more.
    let of = registries
        .into_iter()
        .filter(|r| reference.starts_with(&root(r)))
        .max_by_key(|r| root(r).len());
    of.map_or(Ok(None), |registry| credentials(registry, service))
}

#[cfg(test)]
mod tests {
    use super::*;
    use domain::platform::PlatformSpec;

    #[test]
    fn an_image_gets_the_credentials_of_its_own_registry_only() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "ci:secret\n").unwrap();
        let mut platform = PlatformSpec::default_for_one_machine("one.example", "one.example");
        platform.registries.development.prefix = Some("dev".to_owned());
        platform.registries.development.credentials =
            Some(SecretReference::File(file.path().display().to_string()));
        let of = |image| credentials_for(&platform, image, "builder").unwrap();
        assert_eq!(of("one.example/dev/a:1").unwrap().username, "ci");
        assert!(of("one.example/a:1").is_none());
        assert!(of("one.example.org/dev/a:1").is_none());
        assert!(of("python:3").is_none());
    }
}
