//! The section `deploy`.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::Resources;
use super::schema::{DnsLabel, Port};
use super::secret::EnvValue;
use super::strategy::Strategy;
use super::test::Readiness;
use super::units::TimeSpan;
use crate::ids::EnvironmentName;

/// How the service runs in every environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct Deploy {
    /// The port that the service listens on. Absent: the one that its image exposes; if it exposes none, the service
    /// takes no traffic.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    pub port: Option<u16>,
    /// How many instances run.
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: u32,
    /// When an instance takes traffic. Absent: when its port accepts connections.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ready: Option<Readiness>,
    /// Environment variables: text, or `{ secret: env:NAME }`.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, EnvValue>,
    /// Limits of each instance.
    #[serde(skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
    /// How one version replaces another.
    pub strategy: Strategy,
    /// A folder of your own Kubernetes objects; the image is filled in by digest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub manifests: Option<String>,
    /// How long an instance that is to stop may finish its requests. Absent: ten seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drain: Option<TimeSpan>,
    /// How long a rollout may take, without its bake times. Absent: fifteen minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub deadline: Option<TimeSpan>,
    /// By the name of an environment: what is different there.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<DnsLabel, EnvironmentOverrides>")]
    pub environments: IndexMap<EnvironmentName, EnvironmentOverrides>,
}

impl Default for Deploy {
    fn default() -> Self {
        Self {
            port: None,
            replicas: 1,
            ready: None,
            env: IndexMap::new(),
            resources: Resources::default(),
            strategy: Strategy::default(),
            manifests: None,
            drain: None,
            deadline: None,
            environments: IndexMap::new(),
        }
    }
}

/// What is different in one environment.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct EnvironmentOverrides {
    /// How many instances run there.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 1000))]
    pub replicas: Option<u32>,
    /// Environment variables there, besides and instead of the others.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub env: IndexMap<String, EnvValue>,
    /// Limits of each instance there, instead of the others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
    /// How one version replaces another there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub strategy: Option<Strategy>,
}

impl Deploy {
    /// How the service runs in one environment: this, with what is different there filled in.
    #[must_use]
    pub fn in_environment(&self, name: &EnvironmentName) -> Self {
        let mut there = Self {
            environments: IndexMap::new(),
            ..self.clone()
        };
        if let Some(overrides) = self.environments.get(name) {
            there.replicas = overrides.replicas.unwrap_or(there.replicas);
            there.resources = overrides.resources.unwrap_or(there.resources);
            there.env.extend(overrides.env.clone());
            if let Some(strategy) = &overrides.strategy {
                there.strategy = strategy.clone();
            }
        }
        there
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_environment_overrides_only_what_it_names() {
        let text = |t: &str| EnvValue::Text(t.to_owned());
        let production: EnvironmentName = "production".parse().expect("a name");
        let mut deploy = Deploy {
            port: Some(8080),
            ..Deploy::default()
        };
        deploy.env.extend([
            ("LOG".to_owned(), text("debug")),
            ("A".to_owned(), text("1")),
        ]);
        let mut overrides = EnvironmentOverrides {
            replicas: Some(5),
            ..EnvironmentOverrides::default()
        };
        overrides.env.insert("LOG".to_owned(), text("info"));
        deploy.environments.insert(production.clone(), overrides);

        let there = deploy.in_environment(&production);
        assert_eq!((there.replicas, there.port), (5, Some(8080)));
        assert_eq!(
            (&there.env["LOG"], &there.env["A"]),
            (&text("info"), &text("1"))
        );
        assert_eq!(
            deploy
                .in_environment(&"test".parse().expect("a name"))
                .replicas,
            1
        );
    }
}
