//! One replica: its container, and what is seen of it.

use std::time::Duration;

use container_stage::limits::DEFAULT_PIDS;
use container_stage::naming::role;
use container_stage::secrets;
use domain::spec::EnvValue;
use edge::status::BackendStatus;
use edge::table::Backend;
use engine::labels::{self, Labels};
use engine::{Attachment, ContainerInfo, ContainerSpec, ContainerState, Limits, RestartPolicy};
use jiff::{SignedDuration, Timestamp};

use super::names;
use super::ports::Entrance;
use crate::error::TargetError;
use crate::rolling::{Health, Replica};
use crate::service::SERVICE;
use crate::wanted::Wanted;

/// How long a replica may take to end after it was told to.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(10);
/// Restarts by the engine after which a replica that never was ready counts as broken.
const RESTARTS: u32 = 2;
/// Every replica gets the same share of the requests.
const WEIGHT: u32 = 100;

/// Label of a replica: its own [`Entrance`] as JSON.
const ENTRANCE: &str = "slipway.entrance";
/// How long a replica that was started again must last so that it did not end right after its start.
const LASTS: SignedDuration = SignedDuration::from_secs(15);

/// The container of a replica.
pub(crate) fn spec(
    wanted: &Wanted,
    name: &str,
    entrance: &Entrance,
) -> Result<ContainerSpec, TargetError> {
    let mut env = std::collections::BTreeMap::from([
        ("PORT".to_owned(), entrance.port.to_string()),
        ("SLIPWAY_SERVICE".to_owned(), wanted.service.to_string()),
        ("SLIPWAY_VERSION".to_owned(), wanted.version.clone()),
        (
            "SLIPWAY_ENVIRONMENT".to_owned(),
            wanted.environment.to_string(),
        ),
    ]);
    for (variable, value) in &wanted.deploy.env {
        let text = match value {
            EnvValue::Text(text) => text.clone(),
            EnvValue::Secret { secret } => {
                String::from_utf8_lossy(secrets::read(secret, SERVICE)?.expose()).into_owned()
            }
        };
        env.insert(variable.clone(), text);
    }
    let resources = &wanted.deploy.resources;
    Ok(ContainerSpec {
        name: name.to_owned(),
        image: wanted.image(),
        env,
        networks: vec![Attachment::new(names::network(&wanted.environment), [name])],
        labels: labels_of(wanted, entrance),
        limits: Limits {
            cpus: resources.cpus.map(|c| f64::from(c.thousandths()) / 1000.0),
            memory_bytes: resources.memory.map(|m| m.bytes()),
            pids: Some(resources.pids.unwrap_or(DEFAULT_PIDS)),
            time: None,
        },
        restart: RestartPolicy::UnlessStopped,
        ..ContainerSpec::default()
    })
}

fn labels_of(wanted: &Wanted, entrance: &Entrance) -> Labels {
    let entrance = serde_json::to_string(entrance).expect("an entrance has only text keys");
    labels::of([
        (labels::ROLE, role::REPLICA),
        (labels::ENVIRONMENT, wanted.environment.as_str()),
        (labels::SERVICE, wanted.service.as_str()),
        (labels::VERSION, &wanted.version),
        (labels::DIGEST, wanted.digest.as_str()),
        (labels::RUN, wanted.run.as_str()),
        (labels::ROLLOUT, &wanted.key()),
        (ENTRANCE, &entrance),
    ])
}

/// Whether a replica is of the version and configuration that `key` stands for.
pub(crate) fn is_of(container: &ContainerInfo, key: &str) -> bool {
    container
        .labels
        .get(labels::ROLLOUT)
        .is_some_and(|own| own == key)
}

/// What is seen of a container that the edge may know as a backend.
pub(crate) fn seen(
    container: &ContainerInfo,
    backend: Option<&BackendStatus>,
    key: &str,
    now: Timestamp,
) -> Replica {
    let is_ready = backend.is_some_and(|b| b.ready && !b.draining);
    Replica {
        name: container.name.clone(),
        is_wanted: is_of(container, key),
        health: health(container, is_ready, now),
        is_routed: backend.is_some_and(|b| !b.draining && b.weight > 0),
        in_flight: backend.map_or(0, |b| b.in_flight),
    }
}

fn health(container: &ContainerInfo, is_ready: bool, now: Timestamp) -> Health {
    // One that has been running for long may have been started again some other day.
    let is_fresh = container
        .started_at
        .is_none_or(|at| now.duration_since(at) < LASTS);
    match container.state {
        ContainerState::Exited {
            out_of_memory: true,
            ..
        } => Health::Failed {
            reason: format!("{} used more memory than its limit", container.name),
        },
        ContainerState::Exited { code, .. } => Health::Failed {
            reason: format!("{} ended with exit code {code}", container.name),
        },
        _ if is_ready => Health::Ready,
        _ if container.restarts >= RESTARTS && is_fresh => Health::Failed {
            reason: format!(
                "{} ended {} times right after its start",
                container.name, container.restarts
            ),
        },
        _ => Health::Starting,
    }
}

/// Where a replica listens; `wanted` if it was made before replicas said so.
pub(crate) fn entrance(container: &ContainerInfo, wanted: &Entrance) -> Entrance {
    let own = container
        .labels
        .get(ENTRANCE)
        .and_then(|json| serde_json::from_str(json).ok());
    own.unwrap_or_else(|| wanted.clone())
}

/// The replica as a backend of the edge, with the same share as every other.
pub(crate) fn backend(container: &ContainerInfo, entrance: &Entrance) -> Backend {
    let version = container.labels.get(labels::VERSION);
    let version = version.map(String::as_str).unwrap_or_default();
    place(&container.name, version, entrance, WEIGHT)
}

/// A replica as a backend of the edge.
pub(crate) fn place(name: &str, version: &str, entrance: &Entrance, weight: u32) -> Backend {
    Backend {
        name: name.to_owned(),
        address: format!("{name}:{}", entrance.port),
        weight,
        version: version.to_owned(),
        ready: entrance.ready.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(state: ContainerState, restarts: u32, started: i64) -> ContainerInfo {
        ContainerInfo {
            id: "c".to_owned().into(),
            name: "c".to_owned(),
            image: String::new(),
            labels: Labels::new(),
            state,
            health: engine::Health::None,
            addresses: Default::default(),
            ports: Vec::new(),
            started_at: Some(Timestamp::from_second(started).unwrap()),
            restarts,
        }
    }

    #[test]
    fn only_a_replica_that_ends_right_after_its_start_is_broken() {
        let now = Timestamp::from_second(1_000).unwrap();
        let health = |restarts, started| {
            health(
                &container(ContainerState::Running, restarts, started),
                false,
                now,
            )
        };
        assert!(matches!(health(RESTARTS, 999), Health::Failed { .. }));
        assert_eq!(health(RESTARTS, 900), Health::Starting);
        assert_eq!(health(RESTARTS - 1, 999), Health::Starting);
    }
}
