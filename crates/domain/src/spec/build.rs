//! The sections `build` and `image`, and the limits of containers.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::schema::{OneOrMany, Variable};
use super::secret::SecretReference;
use super::units::{Cpus, Memory, TimeSpan};

/// The team's build: commands in a container; the result is the workspace image, in which the unit tests run.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Build {
    /// The container in which the commands run.
    #[serde(flatten)]
    pub container: BuildContainer,
    /// Shell command lines, run one after the other until one fails.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub run: Vec<String>,
    /// Folders kept from one build to the next: absolute, or relative to the checkout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub cache: Vec<String>,
    /// Environment variables of the commands.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, Variable>")]
    pub env: IndexMap<String, String>,
    /// How long the whole build may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// Limits of the container.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
}

/// Where build commands run: exactly one of the two.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum BuildContainer {
    /// An image, such as `rust:1.95`.
    Image(String),
    /// A Dockerfile in the repository that builds the environment, such as `ci/Dockerfile`.
    Dockerfile(String),
}

/// Limits of a container; what is absent is up to the worker or the cluster.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Resources {
    /// Processor time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cpus: Option<Cpus>,
    /// Memory.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<Memory>,
    /// How many processes and threads there may be at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1))]
    pub pids: Option<u32>,
}

impl Resources {
    /// Nothing is limited.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// How the container image of the service is built.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct ImageBuild {
    /// The Dockerfile, relative to the service's folder.
    pub dockerfile: String,
    /// The folder that the Dockerfile sees, relative to the service's folder.
    pub context: String,
    /// The stage of a multi-stage Dockerfile to build; absent: the last.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<String>,
    /// Build arguments.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, Variable>")]
    pub args: IndexMap<String, String>,
    /// Build secrets, for `RUN --mount=type=secret,id=…`: name and where the value is found.
    #[serde(skip_serializing_if = "IndexMap::is_empty")]
    pub secrets: IndexMap<String, SecretReference>,
    /// How long the build may take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
}

impl Default for ImageBuild {
    fn default() -> Self {
        Self {
            dockerfile: "Dockerfile".to_owned(),
            context: ".".to_owned(),
            target: None,
            args: IndexMap::new(),
            secrets: IndexMap::new(),
            timeout: None,
        }
    }
}
