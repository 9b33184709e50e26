//! The status: what an edge tells about itself. Written by `edge status`, read by the deployer.

use std::net::SocketAddr;

use serde::{Deserialize, Serialize};

use crate::{
    histogram::Histogram,
    table::{Match, Route, Sticky},
};

/// An edge at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// When this process started, in milliseconds of Unix time; counters start at zero with it.
    pub started_at_unix_ms: u64,
    /// Generation of the table in force; none before the first.
    pub generation: Option<u64>,
    /// Why the table file was not taken at the last reading; none when it is in force.
    pub table_error: Option<String>,
    /// Where requests are accepted.
    pub listening: Vec<SocketAddr>,
    /// Client connections that are open.
    pub connections: u64,
    /// The backends of the table in force, then those that left it and still have requests under way. A backend that
    /// is no longer listed is drained: nothing of it is in use.
    pub backends: Vec<BackendStatus>,
    /// What decides before the weights, in the table in force; routes without that are left out.
    #[serde(default)]
    pub routes: Vec<RouteStatus>,
    /// Counts by version, of this process's whole life.
    pub versions: Vec<VersionStatus>,
}

/// What decides before the weights in a route: both are as in the table.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct RouteStatus {
    /// Its host; none is the default route.
    pub host: Option<String>,
    /// Requests that go to some of its backends.
    pub matches: Vec<Match>,
    /// Whether clients stay where they are.
    pub sticky: Option<Sticky>,
}

/// A backend at one moment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackendStatus {
    /// Host of the route it serves; none is the default route.
    pub host: Option<String>,
    /// Name from the table.
    pub name: String,
    /// Address from the table.
    pub address: String,
    /// Version from the table.
    pub version: String,
    /// Weight in force; 0 when draining.
    pub weight: u32,
    /// Whether it gets requests (given a weight).
    pub ready: bool,
    /// Failed checks and connections since the last good one.
    pub consecutive_failures: u32,
    /// What was wrong the last time; none after a good check.
    pub last_probe_error: Option<String>,
    /// Requests and tunnels under way.
    pub in_flight: u64,
    /// Whether it has left the table.
    pub draining: bool,
}

/// What happened to the requests that went to one version.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct VersionStatus {
    /// The version.
    pub version: String,
    /// Attempts that went to it: those that got a response, and `errors`.
    pub requests: u64,
    /// Responses by status class.
    pub responses: StatusClasses,
    /// Attempts without a response, and responses that broke off.
    pub errors: u64,
    /// Errors that the client did not see, because another attempt answered.
    pub retried: u64,
    /// Time until the response began.
    pub latency: Histogram,
}

/// Counts of responses by the first digit of their status.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusClasses {
    /// 101 Switching Protocols: tunnels.
    #[serde(rename = "1xx")]
    pub informational: u64,
    /// Success.
    #[serde(rename = "2xx")]
    pub success: u64,
    /// Redirection.
    #[serde(rename = "3xx")]
    pub redirection: u64,
    /// The client's mistakes.
    #[serde(rename = "4xx")]
    pub client_error: u64,
    /// The backend's mistakes.
    #[serde(rename = "5xx")]
    pub server_error: u64,
}

impl RouteStatus {
    /// Of a route; none where only the weights decide.
    pub fn of(route: &Route) -> Option<Self> {
        let decides = !route.matches.is_empty() || route.sticky.is_some();
        decides.then(|| Self {
            host: route.host.clone(),
            matches: route.matches.clone(),
            sticky: route.sticky.clone(),
        })
    }
}

impl Status {
    /// Whether every backend with a weight is ready in the given generation, and that generation is in force.
    pub fn is_settled(&self, generation: u64) -> bool {
        let waits = |backend: &BackendStatus| backend.weight > 0 && !backend.ready;
        self.generation == Some(generation) && !self.backends.iter().any(waits)
    }

    /// Whether nothing is under way any more at the backend of this name, and nothing new goes to it.
    pub fn is_drained(&self, backend: &str) -> bool {
        !self.backends.iter().any(|listed| listed.name == backend)
    }
}
