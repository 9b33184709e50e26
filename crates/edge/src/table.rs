//! The table: where requests go. Written by the deployer, read by the edge.

mod affinity;

use std::collections::HashSet;

use http::{HeaderValue, uri::Authority, uri::PathAndQuery};
use serde::{Deserialize, Serialize};

pub use affinity::{Mark, Match, Pair, Session, Sticky};

/// File name of the table inside the edge's state directory.
pub const FILE_NAME: &str = "table.json";

/// Everything that an edge is told. Unknown fields are refused: an edge that is too old says so in its status instead
/// of doing half of what was meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// Chosen by the writer and repeated in the status once this table is in force.
    pub generation: u64,
    /// Ports to listen on; empty means those given when the edge was started.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub listen: Vec<u16>,
    /// Where requests go, by host name; at most one route without a host, the default.
    #[serde(default)]
    pub routes: Vec<Route>,
    /// How long requests under way may last after the edge was told to stop.
    #[serde(default = "default_drain_timeout_ms")]
    pub drain_timeout_ms: u64,
    /// How long a backend may take until its response begins; afterwards the client gets a 504.
    #[serde(default = "default_response_timeout_ms")]
    pub response_timeout_ms: u64,
    /// Whether responses carry the backend's version as `x-slipway-version`.
    #[serde(default)]
    pub version_header: bool,
}

/// The backends of one host name, and who of them gets a request: a match decides first, then the client's session, then
/// the weights.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Route {
    /// Host name without a port, compared without regard to case; none takes what no other route takes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// Who answers.
    #[serde(default)]
    pub backends: Vec<Backend>,
    /// Requests that go to some of them whatever the weights; the first that fits counts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub matches: Vec<Match>,
    /// Whether clients stay where they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sticky: Option<Sticky>,
}

/// One replica.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Backend {
    /// Unique within its route; shown in the status and in error texts.
    pub name: String,
    /// `host:port`; the host is an IP address or a name known to the network's DNS.
    pub address: String,
    /// Share of the requests relative to the other ready backends; 0 gets none and is still probed.
    pub weight: u32,
    /// The version it runs; requests are counted by it.
    pub version: String,
    /// How the edge finds out whether it is ready.
    #[serde(default)]
    pub ready: Readiness,
}

/// A readiness check: `{"http": "/healthz"}` or `{"tcp": true}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Readiness {
    /// `GET` of this path answers 2xx or 3xx.
    Http(String),
    /// A TCP connection is accepted; the value is always `true`.
    Tcp(bool),
}

impl Default for Readiness {
    fn default() -> Self {
        Self::Tcp(true)
    }
}

impl Table {
    /// A table of one default route, listening where the edge was started to listen.
    pub fn new(generation: u64, backends: Vec<Backend>) -> Self {
        Self {
            generation,
            listen: Vec::new(),
            routes: vec![Route {
                backends,
                ..Route::default()
            }],
            drain_timeout_ms: default_drain_timeout_ms(),
            response_timeout_ms: default_response_timeout_ms(),
            version_header: false,
        }
    }

    /// Checks what the types cannot say.
    pub fn validate(&self) -> Result<(), Invalid> {
        if self.listen.contains(&0) {
            return Err(Invalid::PortZero);
        }
        let mut hosts = HashSet::new();
        for route in &self.routes {
            let host = route.host.as_deref().map(str::to_ascii_lowercase);
            let shown = host.clone().unwrap_or_else(|| "(default)".into());
            if !hosts.insert(host) {
                return Err(Invalid::HostTwice(shown));
            }
            let mut names = HashSet::new();
            for backend in &route.backends {
                if !names.insert(&backend.name) {
                    return Err(Invalid::BackendTwice {
                        host: shown,
                        name: backend.name.clone(),
                    });
                }
                backend.validate()?;
            }
            for marked in &route.matches {
                marked.validate(route)?;
            }
            if let Some(sticky) = &route.sticky {
                sticky.validate(route)?;
            }
        }
        Ok(())
    }
}

impl Route {
    /// Refuses the name of a backend that it does not have.
    fn has(&self, name: &str) -> Result<(), Invalid> {
        let mut names = self.backends.iter().map(|backend| &backend.name);
        if names.any(|known| known == name) {
            return Ok(());
        }
        Err(Invalid::NoSuchBackend(name.to_owned()))
    }
}

impl Backend {
    /// Whether both are the same replica, checked the same way; the weight may differ.
    pub(crate) fn same_replica(&self, other: &Self) -> bool {
        (&self.name, &self.address, &self.version, &self.ready)
            == (&other.name, &other.address, &other.version, &other.ready)
    }

    fn validate(&self) -> Result<(), Invalid> {
        let invalid = |what| Invalid::Backend {
            name: self.name.clone(),
            what,
        };
        let address: Authority = self
            .address
            .parse()
            .map_err(|_| invalid("the address is not `host:port`"))?;
        if !matches!(address.port_u16(), Some(1..)) || self.address.contains('@') {
            return Err(invalid("the address is not `host:port`"));
        }
        if self.name.is_empty() {
            return Err(invalid("the name is empty"));
        }
        if HeaderValue::from_str(&self.version).is_err() {
            return Err(invalid(
                "the version has characters that a header cannot carry",
            ));
        }
        match &self.ready {
            Readiness::Http(path)
                if !path.starts_with('/') || path.parse::<PathAndQuery>().is_err() =>
            {
                Err(invalid(
                    "the readiness path does not begin with `/` or has bad characters",
                ))
            }
            Readiness::Tcp(false) => Err(invalid("`tcp` readiness is `true` or absent")),
            Readiness::Http(_) | Readiness::Tcp(true) => Ok(()),
        }
    }
}

/// What makes a table unusable.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    /// Port 0 is not a port.
    #[error("port 0 cannot be listened on")]
    PortZero,
    /// Two routes for one host name.
    #[error("there are two routes for the host {0}")]
    HostTwice(String),
    /// Two backends of one name in a route.
    #[error("route {host} has two backends named {name}")]
    BackendTwice {
        /// The route.
        host: String,
        /// The backend.
        name: String,
    },
    /// A backend's own fields.
    #[error("backend {name}: {what}")]
    Backend {
        /// The backend.
        name: String,
        /// What is wrong.
        what: &'static str,
    },
    /// A match or a session names a backend that its route does not have.
    #[error("a match or a session is for {0}, but its route has no backend named {0}")]
    NoSuchBackend(String),
    /// A header or cookie that no request can carry.
    #[error(
        "the {what} {pair} cannot be sent: its name or value has characters that are not allowed there"
    )]
    Mark {
        /// Header or cookie.
        what: &'static str,
        /// Its name and value.
        pair: String,
    },
    /// The value of a session is not one of a cookie, or there is another of that value.
    #[error("the session `{0}` is not the value of a cookie, or there are two of them")]
    Session(String),
    /// A client could not tell which of them it is in.
    #[error("backend {0} is in two sessions")]
    InTwoSessions(String),
}

fn default_drain_timeout_ms() -> u64 {
    30_000
}

fn default_response_timeout_ms() -> u64 {
    300_000
}

#[cfg(test)]
mod tests {
    use super::*;

    fn backend(name: &str) -> Backend {
        Backend {
            name: name.into(),
            address: "orders-1:8080".into(),
            weight: 1,
            version: "1.0.0".into(),
            ready: Readiness::default(),
        }
    }

    #[test]
    fn the_documented_json_is_read() {
        let table: Table = serde_json::from_str(
            r#"{"generation": 7, "listen": [8080], "drain_timeout_ms": 5000, "version_header": true, "routes": [
                {"backends": [{"name": "a", "address": "orders-1:8080", "weight": 90, "version": "1.2.0", "ready": {"http": "/healthz"}},
                              {"name": "b", "address": "10.0.0.3:80", "weight": 0, "version": "1.3.0", "ready": {"tcp": true}}]},
                {"host": "orders.example", "backends": []}]}"#,
        )
        .unwrap();
        table.validate().unwrap();
        assert_eq!(
            table.routes[0].backends[0].ready,
            Readiness::Http("/healthz".into())
        );
        assert_eq!(table.routes[0].backends[1].ready, Readiness::Tcp(true));
        let again: Table = serde_json::from_str(&serde_json::to_string(&table).unwrap()).unwrap();
        assert_eq!(again, table);
    }

    #[test]
    fn an_unknown_field_is_refused() {
        let read = serde_json::from_str::<Table>(r#"{"generation": 1, "mirror": true}"#);
        assert!(read.unwrap_err().to_string().contains("mirror"));
    }

    #[test]
    fn what_cannot_be_is_named() {
        let mut table = Table::new(1, vec![backend("a"), backend("a")]);
        let text = table.validate().unwrap_err().to_string();
        assert!(text.contains("two backends named a"), "{text}");
        for (address, ready) in [
            ("orders", Readiness::Tcp(true)),
            ("orders:0", Readiness::Tcp(true)),
            ("orders:80", Readiness::Tcp(false)),
            ("orders:80", Readiness::Http("healthz".into())),
        ] {
            table.routes[0].backends = vec![Backend {
                address: address.into(),
                ready,
                ..backend("b")
            }];
            assert!(
                matches!(table.validate(), Err(Invalid::Backend { .. })),
                "{table:?}"
            );
        }
        table.routes = vec![
            Route {
                host: Some("A.example".into()),
                ..Route::default()
            },
            Route {
                host: Some("a.EXAMPLE".into()),
                ..Route::default()
            },
        ];
        assert_eq!(
            table.validate(),
            Err(Invalid::HostTwice("a.example".into()))
        );
    }
}
