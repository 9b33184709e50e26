//! The section `test`: unit, functional, integration and load tests, and when something counts as ready.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::build::Resources;
use super::schema::{DnsLabel, OneOrMany, Port, Variable};
use super::units::{Percent, TimeSpan};

/// The tests of a service, by stage; a stage that is absent is not run.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Tests {
    /// Tests of the code, in the workspace image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<UnitTest>,
    /// Tests of the running image with its dependencies, alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub functional: Option<FunctionalTest>,
    /// Tests of the deployed service together with the others of its environment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub integration: Option<IntegrationTest>,
    /// Load on the deployed service, with limits that it must hold.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub load: Option<LoadTest>,
}

impl Tests {
    /// There are no tests.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// Unit tests.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct UnitTest {
    /// Shell command lines, run one after the other until one fails.
    #[schemars(with = "OneOrMany")]
    pub run: Vec<String>,
    /// JUnit XML files that the commands write: patterns relative to the checkout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub reports: Vec<String>,
    /// Environment variables of the commands.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, Variable>")]
    pub env: IndexMap<String, String>,
    /// How long the tests may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
    /// The image to run in, with the checkout in it. Absent: the workspace image that `build` leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Limits of the container.
    #[serde(default, skip_serializing_if = "Resources::is_empty")]
    pub resources: Resources,
}

/// Functional tests: the image runs with what it depends on; the tests run in a container beside it and reach it under
/// the service's name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct FunctionalTest {
    /// What the service depends on.
    #[serde(flatten)]
    pub dependencies: Option<Dependencies>,
    /// Environment variables of the service under test, and of the tests.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, Variable>")]
    pub env: IndexMap<String, String>,
    /// When the service under test counts as started. Absent: as in `deploy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Readiness>,
    /// The image that the tests run in. Absent: the workspace image that `build` leaves, or else the image under test.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Shell command lines, run one after the other until one fails. Absent: it is enough that the service gets ready.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub run: Vec<String>,
    /// JUnit XML files that the commands write: patterns relative to the checkout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub reports: Vec<String>,
    /// How long starting and testing may take together.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
}

/// What a service under test depends on: declared here, or in a Compose file; not both.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Dependencies {
    /// Containers by name; the name is also the host name.
    Services(
        #[schemars(with = "IndexMap<DnsLabel, DependencyService>")]
        IndexMap<String, DependencyService>,
    ),
    /// A Compose file in the repository.
    Compose(String),
}

/// A container that a service under test depends on.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct DependencyService {
    /// Its image, such as `redis:7`.
    pub image: String,
    /// Environment variables.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, Variable>")]
    pub env: IndexMap<String, String>,
    /// The command and its arguments, instead of those of the image.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub command: Vec<String>,
    /// When it counts as started. Absent: when its container runs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready: Option<Readiness>,
}

/// When something counts as ready: exactly one of `http`, `tcp` and `command`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "ReadinessForm", into = "ReadinessForm")]
#[schemars(with = "ReadinessForm")]
pub struct Readiness {
    /// How it is asked.
    pub probe: Probe,
    /// How long it may take to get ready. Absent: a minute.
    pub timeout: Option<TimeSpan>,
}

/// How something is asked whether it is ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Probe {
    /// A GET request is answered with a status from 200 to 399.
    Http {
        /// The path, beginning with `/`.
        path: String,
        /// The port; absent: the port of `deploy`.
        port: Option<u16>,
    },
    /// The port accepts connections.
    Tcp {
        /// The port.
        port: u16,
    },
    /// A shell command line in the container ends with 0.
    Command(String),
}

/// When something counts as ready: exactly one of `http`, `tcp` and `command`.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Readiness")]
struct ReadinessForm {
    /// A path, beginning with `/`: ready when a GET request is answered with a status from 200 to 399.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(regex(pattern = "^/"))]
    http: Option<String>,
    /// The port that `http` asks; absent: the port of `deploy`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    port: Option<u16>,
    /// A port: ready when it accepts connections.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<Port>")]
    tcp: Option<u16>,
    /// A shell command line in the container: ready when it ends with 0.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    command: Option<String>,
    /// How long it may take to get ready.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    timeout: Option<TimeSpan>,
}

impl TryFrom<ReadinessForm> for Readiness {
    type Error = &'static str;
    fn try_from(form: ReadinessForm) -> Result<Self, Self::Error> {
        let probe = match (form.http, form.tcp, form.command) {
            (Some(path), None, None) => Probe::Http {
                path,
                port: form.port,
            },
            (None, Some(port), None) => Probe::Tcp { port },
            (None, None, Some(command)) => Probe::Command(command),
            _ => return Err("`ready` needs exactly one of `http`, `tcp` and `command`"),
        };
        Ok(Self {
            probe,
            timeout: form.timeout,
        })
    }
}

impl From<Readiness> for ReadinessForm {
    fn from(ready: Readiness) -> Self {
        let mut form = Self {
            http: None,
            port: None,
            tcp: None,
            command: None,
            timeout: ready.timeout,
        };
        match ready.probe {
            Probe::Http { path, port } => (form.http, form.port) = (Some(path), port),
            Probe::Tcp { port } => form.tcp = Some(port),
            Probe::Command(command) => form.command = Some(command),
        }
        form
    }
}

/// Integration tests: commands in a container on the environment's network.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct IntegrationTest {
    /// Shell command lines, run one after the other until one fails.
    #[schemars(with = "OneOrMany")]
    pub run: Vec<String>,
    /// The image to run in, with the checkout in it. Absent: the workspace image that `build` leaves.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Environment variables of the commands.
    #[serde(default, skip_serializing_if = "IndexMap::is_empty")]
    #[schemars(with = "IndexMap<String, Variable>")]
    pub env: IndexMap<String, String>,
    /// JUnit XML files that the commands write: patterns relative to the checkout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "OneOrMany")]
    pub reports: Vec<String>,
    /// How long the tests may take.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<TimeSpan>,
}

/// A load test: GET requests at a constant rate.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct LoadTest {
    /// The path to ask for, beginning with `/`.
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// Requests a second.
    #[schemars(range(min = 1))]
    pub rate: u32,
    /// For how long.
    pub duration: TimeSpan,
    /// 99 of 100 requests must be answered within this time. Absent: not judged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99: Option<TimeSpan>,
    /// The share of requests that may fail.
    pub errors: Percent,
}

impl Default for LoadTest {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            rate: 50,
            duration: TimeSpan::from_secs(30),
            p99: None,
            errors: Percent::of(1),
        }
    }
}
