//! `slipway.yaml`: what a team says about its service.
//!
//! [`parse`] reads the file and reports every mistake with its position; [`ServiceSpec`] is the outcome. Its JSON form
//! is kept in events, so fields are only ever added, each with a default.

mod analysis;
mod build;
mod check;
mod deploy;
mod read;
mod schema;
mod secret;
mod strategy;
mod test;
mod traffic;
mod units;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

pub use analysis::{
    Access, Analysis, ContainerQuery, ErrorAnalysis, HttpQuery, LatencyAnalysis, Limit, Metric,
    PrometheusQuery, Provider, Quantile, SyntheticLoad,
};
pub use build::{Build, BuildContainer, ImageBuild, Resources};
pub use check::{check_environments, check_files, check_needs, uncounted};
pub use deploy::{Deploy, EnvironmentOverrides};
pub(crate) use read::{EXAMPLE, label_text, secret as read_secret};
pub use read::{lint, parse};
pub(crate) use schema::DnsLabel;
pub use schema::{json_schema, platform_json_schema};
pub use secret::{EnvValue, InvalidSecretReference, SecretReference};
pub use strategy::{Batch, BlueGreen, Canary, CanaryStep, OnFailure, Rolling, Strategy};
pub use test::{
    Dependencies, DependencyService, FunctionalTest, IntegrationTest, LoadTest, Probe, Readiness,
    Tests, UnitTest,
};
pub use traffic::{
    CookieName, HttpRoute, Marker, RouterKind, Sticky, Testers, TrafficRouter, VirtualService,
};
pub(crate) use units::text_form;
pub use units::{Cpus, InvalidUnit, Memory, Percent, TimeSpan};

use crate::ids::ServiceName;

/// One microservice: how it is built, tested, packed and deployed.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, title = "slipway.yaml")]
pub struct ServiceSpec {
    /// The name of the service: of its image, its workloads and its routes. A DNS label.
    #[schemars(with = "schema::DnsLabel")]
    pub service: ServiceName,
    /// The team that answers for the service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub team: Option<String>,
    /// Services that must be there first when a whole application is deployed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "schema::OneOrMany")]
    pub needs: Vec<ServiceName>,
    /// The team's build, in a container. Absent: the Dockerfile of `image` does it all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub build: Option<Build>,
    /// The tests, by stage.
    #[serde(default, skip_serializing_if = "Tests::is_empty")]
    pub test: Tests,
    /// How the container image is built. Absent: from `Dockerfile`, with the whole folder as context.
    #[serde(default)]
    pub image: ImageBuild,
    /// How the service runs. Absent: with the defaults of every key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deploy: Option<Deploy>,
    /// The interfaces that the service offers to others and uses of others.
    #[serde(default, skip_serializing_if = "Contracts::is_empty")]
    pub contracts: Contracts,
}

impl ServiceSpec {
    /// The specification of a repository that has a Dockerfile and no `slipway.yaml`: build the image, deploy it.
    #[must_use]
    pub fn for_dockerfile_only(service: ServiceName) -> Self {
        Self {
            service,
            team: None,
            needs: Vec::new(),
            build: None,
            test: Tests::default(),
            image: ImageBuild::default(),
            deploy: Some(Deploy::default()),
            contracts: Contracts::default(),
        }
    }
}

/// Interface descriptions: OpenAPI or protobuf files in the repository.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Contracts {
    /// Files that describe what this service offers.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "schema::OneOrMany")]
    pub provides: Vec<String>,
    /// By the name of another service: the file that says what this service uses of it.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<schema::DnsLabel, String>")]
    pub consumes: IndexMap<ServiceName, String>,
}

impl Contracts {
    /// Nothing is declared.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}
