//! Where a service listens, and where it is published.

use domain::spec::{Deploy, Probe};
use edge::table::Readiness;
use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

use crate::error::TargetError;
use crate::wanted::Wanted;

/// The port of a service that names none, and whose image exposes none.
const DEFAULT_PORT: u16 = 8080;

/// The edge's port that is published on the host. The same for every service, so the published port stays when a
/// service changes its own.
pub(crate) const PUBLISHED: u16 = 17_070;

/// Host ports to try, from one that depends on the names only: an address stays the same when an edge is made anew.
const FIRST: u16 = 20_000;
const SPREAD: u16 = 10_000;
const TRIES: u16 = 50;

/// Where a version of a service listens, and how it says that it is ready. Each replica carries its own as a label: an
/// old one must not be asked in the new one's way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Entrance {
    pub(crate) port: u16,
    pub(crate) ready: Readiness,
}

impl Entrance {
    /// From the service file, or else from the image: the lowest port that it exposes.
    pub(crate) fn of(deploy: &Deploy, exposed: &[u16]) -> Result<Self, TargetError> {
        let port = deploy
            .port
            .or_else(|| exposed.iter().min().copied())
            .unwrap_or(DEFAULT_PORT);
        let (ready_port, ready) = match deploy.ready.as_ref().map(|r| &r.probe) {
            None => (port, Readiness::Tcp(true)),
            Some(Probe::Http { path, port: own }) => {
                (own.unwrap_or(port), Readiness::Http(path.clone()))
            }
            Some(Probe::Tcp { port: own }) => (*own, Readiness::Tcp(true)),
            Some(Probe::Command(_)) => {
                return Err(TargetError::Unsupported(
                    "`deploy.ready.command` can't be used on a docker target; use `http` or `tcp`"
                        .to_owned(),
                ));
            }
        };
        if ready_port != port {
            return Err(TargetError::Unsupported(format!(
                "on a docker target the readiness check must use the service's own port {port}, not {ready_port}"
            )));
        }
        Ok(Self { port, ready })
    }
}

/// Ports of the host for a service, in the order in which to try them: first where it answered before.
pub(crate) fn candidates(wanted: &Wanted) -> impl Iterator<Item = u16> {
    let before = wanted
        .address
        .as_deref()
        .and_then(|address| address.rsplit_once(':')?.1.parse().ok());
    let hash = Sha256::digest(format!("{}/{}", wanted.environment, wanted.service));
    let start = u16::from_be_bytes([hash[0], hash[1]]) % SPREAD;
    before
        .into_iter()
        .chain((0..TRIES).map(move |n| FIRST + (start + n) % SPREAD))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_comes_from_the_file_then_from_the_image() {
        let port = |deploy: Deploy, exposed: &[u16]| Entrance::of(&deploy, exposed).unwrap().port;
        assert_eq!(
            port(
                Deploy {
                    port: Some(80),
                    ..Deploy::default()
                },
                &[9000]
            ),
            80
        );
        assert_eq!(port(Deploy::default(), &[9000, 3000]), 3000);
        assert_eq!(port(Deploy::default(), &[]), 8080);
    }
}
