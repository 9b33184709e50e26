//! Secrets are named, never written down.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

use super::schema::Variable;
use super::units::text_form;

/// Where the value of a secret is found, by whoever needs it, at the time when it is needed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum SecretReference {
    /// `env:NAME`: an environment variable of the Slipway service that needs it.
    Env(String),
    /// `file:/path`: a file that this service can read; a line break at its end does not count.
    File(String),
    /// `kubernetes:namespace/name/key`: a key of a Kubernetes secret.
    Kubernetes {
        /// The namespace of the secret.
        namespace: String,
        /// The name of the secret.
        name: String,
        /// The key in its data.
        key: String,
    },
}

/// Text that is not a reference to a secret. It may be the secret itself, so it is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "not a reference to a secret: write `env:NAME`, `file:/path` or `kubernetes:namespace/name/key`"
)]
pub struct InvalidSecretReference;

impl FromStr for SecretReference {
    type Err = InvalidSecretReference;
    fn from_str(text: &str) -> Result<Self, InvalidSecretReference> {
        let (scheme, rest) = text.split_once(':').ok_or(InvalidSecretReference)?;
        match scheme {
            "env" if is_variable(rest) => Ok(Self::Env(rest.to_owned())),
            "file" if rest.starts_with('/') && rest.len() > 1 => Ok(Self::File(rest.to_owned())),
            "kubernetes" => {
                let parts: Vec<&str> = rest.split('/').collect();
                match parts[..] {
                    [namespace, name, key] if parts.iter().all(|p| is_object_name(p)) => {
                        Ok(Self::Kubernetes {
                            namespace: namespace.to_owned(),
                            name: name.to_owned(),
                            key: key.to_owned(),
                        })
                    }
                    _ => Err(InvalidSecretReference),
                }
            }
            _ => Err(InvalidSecretReference),
        }
    }
}

impl fmt::Display for SecretReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Env(name) => write!(f, "env:{name}"),
            Self::File(path) => write!(f, "file:{path}"),
            Self::Kubernetes {
                namespace,
                name,
                key,
            } => write!(f, "kubernetes:{namespace}/{name}/{key}"),
        }
    }
}

text_form!(
    SecretReference,
    json_schema!({
        "type": "string",
        "pattern": "^(env:[A-Za-z_][A-Za-z0-9_]*|file:/.+|kubernetes:[^/]+/[^/]+/[^/]+)$",
        "description": "Where a secret is found, never its value: `env:NAME`, `file:/path` or \
                        `kubernetes:namespace/name/key`."
    })
);

/// The value of an environment variable of the deployed service: text, or `{ secret: env:NAME }`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
#[schemars(deny_unknown_fields)]
pub enum EnvValue {
    /// The text itself.
    Text(#[schemars(with = "Variable")] String),
    /// A secret, put in when the service is deployed.
    Secret {
        /// Where its value is found.
        secret: SecretReference,
    },
}

fn is_variable(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
}

fn is_object_name(text: &str) -> bool {
    !text.is_empty()
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_read_back_as_they_were_written() {
        for text in [
            "env:TOKEN",
            "file:/run/secrets/token",
            "kubernetes:shop/registry/password.txt",
        ] {
            assert_eq!(
                text.parse::<SecretReference>().expect(text).to_string(),
                text
            );
        }
    }

    #[test]
    fn a_literal_value_is_refused_and_not_shown() {
        for text in [
            "hunter2",
            "",
            "env:",
            "env:A B",
            "file:relative",
            "kubernetes:a/b",
            "vault:x",
            "kubernetes:a//b",
        ] {
            let error = text.parse::<SecretReference>().expect_err(text);
            assert!(text.is_empty() || !error.to_string().contains("hunter2"));
        }
    }
}
