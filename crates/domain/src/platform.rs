//! `platform.yaml`: what an organisation says once for all its services.

mod kubernetes;
mod read;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use kubernetes::KubernetesTarget;
pub use read::{lint, parse};

use crate::ids::{EnvironmentName, ServiceName};
use crate::spec::SecretReference;

/// Registries, environments, repositories and conventions of an organisation.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "platform.yaml")]
pub struct PlatformSpec {
    /// Where images are kept.
    pub registries: Registries,
    /// Where services are deployed, in promotion order.
    #[schemars(with = "IndexMap<String, Environment>")]
    pub environments: IndexMap<EnvironmentName, Environment>,
    /// The repositories whose services are carried. More can be registered while Slipway runs.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub repositories: Vec<Repository>,
    /// Forges that may send webhooks.
    #[serde(default, skip_serializing_if = "Webhooks::is_empty")]
    pub webhooks: Webhooks,
    /// How things are named.
    #[serde(default)]
    pub conventions: Conventions,
}

/// The two registries.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Registries {
    /// For everything that is built and tested.
    pub development: Registry,
    /// For releases only.
    pub production: Registry,
}

/// An OCI registry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Registry {
    /// Its address as container engines and clusters use it in image names: `registry.example.org` or
    /// `127.0.0.1:5000`.
    pub address: String,
    /// How Slipway's own services reach it, when that is different: `http://registry:5000`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^https?://[^/]+$"))]
    pub endpoint: Option<String>,
    /// A path before the name of each image: `team/services`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub prefix: Option<String>,
    /// Where `user:password` is found.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credentials: Option<SecretReference>,
}

impl Registry {
    /// A registry of which only the address is known.
    #[must_use]
    pub fn at(address: &str) -> Self {
        Self {
            address: address.to_owned(),
            endpoint: None,
            prefix: None,
            credentials: None,
        }
    }

    /// How Slipway's own services reach it: as given, or else by HTTPS, on the own machine by HTTP.
    #[must_use]
    pub fn endpoint(&self) -> String {
        if let Some(endpoint) = &self.endpoint {
            return endpoint.clone();
        }
        let host = self
            .address
            .rsplit_once(':')
            .map_or(self.address.as_str(), |(host, _)| host);
        let local = host == "localhost" || host == "[::1]" || host.starts_with("127.");
        format!(
            "{}://{}",
            if local { "http" } else { "https" },
            self.address
        )
    }
}

/// A named place to deploy to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Environment {
    /// What its services run on.
    #[serde(default)]
    pub target: Target,
    /// How many people must agree before a deployment.
    #[serde(default)]
    pub approvals: u32,
    /// Fed from the production registry. Absent: only the last environment is.
    #[serde(default)]
    pub production: bool,
}

/// What services run on. Also just its name: `target: docker`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(transform = allow_names)]
pub enum Target {
    /// The container engine of one machine.
    Docker(DockerTarget),
    /// A Kubernetes cluster.
    Kubernetes(KubernetesTarget),
}

impl Default for Target {
    fn default() -> Self {
        Self::Docker(DockerTarget::default())
    }
}

fn allow_names(schema: &mut schemars::Schema) {
    if let Some(serde_json::Value::Array(forms)) = schema.get_mut("oneOf") {
        forms.push(serde_json::json!({ "enum": ["docker", "kubernetes"] }));
    }
}

/// The container engine that the deployer is connected to.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct DockerTarget {}

/// A repository with one or more services. Also just its URL.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, transform = allow_url)]
pub struct Repository {
    /// Its Git URL, or a path.
    pub url: String,
    /// The folders that have a service in them, relative to its root. Absent: found by their `slipway.yaml`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<String>,
}

fn allow_url(schema: &mut schemars::Schema) {
    *schema = schemars::json_schema!({ "anyOf": [{ "type": "string" }, schema] });
}

/// Forges that may send webhooks; what is absent is refused.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Webhooks {
    /// GitHub.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub github: Option<Webhook>,
    /// GitLab.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gitlab: Option<Webhook>,
    /// Gitea and Forgejo.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gitea: Option<Webhook>,
}

impl Webhooks {
    /// No forge may send webhooks.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// What a forge shows that it may send webhooks.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Webhook {
    /// Where the shared secret is found.
    pub secret: SecretReference,
}

/// How things are named.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Conventions {
    /// The name of a service's image in a registry, after its prefix; `{service}` is filled in.
    #[schemars(regex(pattern = r"\{service\}"))]
    pub image: String,
}

impl Default for Conventions {
    fn default() -> Self {
        Self {
            image: "{service}".to_owned(),
        }
    }
}

/// An environment that the platform file doesn't have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no environment `{name}`; there {}", list(.known))]
pub struct UnknownEnvironment {
    /// The name asked for.
    pub name: String,
    /// The environments that there are, in promotion order.
    pub known: Vec<EnvironmentName>,
}

fn list(known: &[EnvironmentName]) -> String {
    let names: Vec<String> = known.iter().map(|n| format!("`{n}`")).collect();
    format!(
        "{} {}",
        if names.len() == 1 { "is" } else { "are" },
        names.join(", ")
    )
}

impl PlatformSpec {
    /// Two environments, `test` and `production`, on the engine of one machine; nobody has to agree to anything.
    #[must_use]
    pub fn default_for_one_machine(development: &str, production: &str) -> Self {
        let environment = |name: &str, production| {
            let name: EnvironmentName = name.parse().expect("a literal DNS label is a valid name");
            (
                name,
                Environment {
                    target: Target::default(),
                    approvals: 0,
                    production,
                },
            )
        };
        Self {
            registries: Registries {
                development: Registry::at(development),
                production: Registry::at(production),
            },
            environments: [environment("test", false), environment("production", true)].into(),
            repositories: Vec::new(),
            webhooks: Webhooks::default(),
            conventions: Conventions::default(),
        }
    }

    /// The environment of that name.
    ///
    /// # Errors
    /// When there is none: which ones there are.
    pub fn environment(
        &self,
        name: &str,
    ) -> Result<(&EnvironmentName, &Environment), UnknownEnvironment> {
        self.environments
            .iter()
            .find(|(known, _)| known.as_str() == name)
            .ok_or_else(|| UnknownEnvironment {
                name: name.to_owned(),
                known: self.environments.keys().cloned().collect(),
            })
    }

    /// `address/name` of a service's image in the development registry.
    #[must_use]
    pub fn development_repository(&self, service: &ServiceName) -> String {
        self.repository(&self.registries.development, service)
    }

    /// `address/name` of a service's image in the production registry.
    #[must_use]
    pub fn production_repository(&self, service: &ServiceName) -> String {
        self.repository(&self.registries.production, service)
    }

    fn repository(&self, registry: &Registry, service: &ServiceName) -> String {
        let name = self
            .conventions
            .image
            .replace("{service}", service.as_str());
        match &registry.prefix {
            Some(prefix) => format!("{}/{prefix}/{name}", registry.address),
            None => format!("{}/{name}", registry.address),
        }
    }
}
