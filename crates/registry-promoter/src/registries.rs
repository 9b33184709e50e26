//! The two registries.

use domain::platform::{PlatformSpec, Registry as RegistrySpec};
use domain::spec::SecretReference;
use registry::{Credentials, Registry, RegistryConfig, RepositoryName, RetryPolicy};

use crate::Error;

/// Clients of the development and the production registry.
#[derive(Clone)]
pub(crate) struct Registries {
    pub(crate) development: Registry,
    pub(crate) production: Registry,
    /// How the names of each one's images begin: both may be at one address.
    roots: [String; 2],
}

impl Registries {
    /// Clients as the platform file says.
    pub(crate) fn of(platform: &PlatformSpec) -> Result<Self, Error> {
        Ok(Self {
            development: client("development", &platform.registries.development)?,
            production: client("production", &platform.registries.production)?,
            roots: [
                &platform.registries.development,
                &platform.registries.production,
            ]
            .map(root),
        })
    }

    /// The registry that a repository (`host/name`) is in, and the name in it.
    pub(crate) fn find(&self, repository: &str) -> Option<(&Registry, RepositoryName)> {
        let [development, production] = &self.roots;
        [
            (development, &self.development),
            (production, &self.production),
        ]
        .into_iter()
        .filter(|(root, _)| repository.starts_with(*root))
        .max_by_key(|(root, _)| root.len())
        .and_then(|(_, registry)| {
            let name = repository
                .strip_prefix(registry.address())?
                .strip_prefix('/')?;
            Some((registry, name.parse().ok()?))
        })
    }
}

/// How the names of a registry's images begin.
fn root(registry: &RegistrySpec) -> String {
    match &registry.prefix {
        Some(prefix) => format!("{}/{prefix}/", registry.address),
        None => format!("{}/", registry.address),
    }
}

fn client(name: &'static str, spec: &RegistrySpec) -> Result<Registry, Error> {
    let mut config = RegistryConfig::new(&spec.address)
        .with_endpoint(spec.endpoint())
        .with_retry(RetryPolicy::PATIENT);
    if let Some(reference) = &spec.credentials {
        config = config.with_credentials(
            credentials(reference).map_err(|why| Error::Credentials { name, why })?,
        );
    }
    Registry::new(&config).map_err(|source| Error::Registry { name, source })
}

fn credentials(reference: &SecretReference) -> Result<Credentials, String> {
    let text = match reference {
        SecretReference::Env(name) => {
            std::env::var(name).map_err(|_| format!("{name} is not set"))?
        }
        SecretReference::File(path) => {
            std::fs::read_to_string(path).map_err(|error| format!("{path}: {error}"))?
        }
        SecretReference::Kubernetes { .. } => {
            return Err(format!("{reference} is for Kubernetes targets only"));
        }
    };
    let (user, password) = text
        .trim_end()
        .split_once(':')
        .ok_or_else(|| format!("{reference} is not user:password"))?;
    Ok(Credentials::new(user, password))
}
