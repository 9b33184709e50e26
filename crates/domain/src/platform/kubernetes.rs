//! An environment on Kubernetes.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::ids::EnvironmentName;
use crate::spec::SecretReference;

/// A namespace of a Kubernetes cluster.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct KubernetesTarget {
    /// Where the kubeconfig is found: `file:/path`, or `env:NAME` for its text. Absent: where a context is named, the
    /// deployer's own (`KUBECONFIG`, or `~/.kube/config`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kubeconfig: Option<SecretReference>,
    /// A context of the kubeconfig. Absent: its current one; without a kubeconfig, the cluster that the deployer runs
    /// in.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub context: Option<String>,
    /// The namespace; created if it is not there. Absent: the name of the environment.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<crate::spec::DnsLabel>")]
    pub namespace: Option<String>,
    /// Secrets of the namespace with which its nodes pull images.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub image_pull_secrets: Vec<String>,
    /// The address of the registry as the cluster's nodes see it, when that is different: `registry.internal:5000`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub registry: Option<String>,
    /// What somebody else changed on an object is overwritten by the next rollout. Absent: the rollout is refused.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub overwrite_changes: bool,
}

impl KubernetesTarget {
    /// The namespace of an environment.
    #[must_use]
    pub fn namespace(&self, environment: &EnvironmentName) -> String {
        self.namespace
            .clone()
            .unwrap_or_else(|| environment.to_string())
    }
}
