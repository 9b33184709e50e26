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
        labels: labels_of(wanted),
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

fn labels_of(wanted: &Wanted) -> Labels {
    labels::of([
        (labels::ROLE, role::REPLICA),
        (labels::ENVIRONMENT, wanted.environment.as_str()),
        (labels::SERVICE, wanted.service.as_str()),
        (labels::VERSION, &wanted.version),
        (labels::DIGEST, wanted.digest.as_str()),
        (labels::RUN, wanted.run.as_str()),
        (labels::ROLLOUT, &wanted.key()),
    ])
}

/// What is seen of a container that the edge may know as a backend.
pub(crate) fn seen(
    container: &ContainerInfo,
    backend: Option<&BackendStatus>,
    key: &str,
) -> Replica {
    let is_ready = backend.is_some_and(|b| b.ready && !b.draining);
    Replica {
        name: container.name.clone(),
        is_wanted: container
            .labels
            .get(labels::ROLLOUT)
            .is_some_and(|k| k == key),
        health: health(container, is_ready),
        is_routed: backend.is_some_and(|b| !b.draining),
        in_flight: backend.map_or(0, |b| b.in_flight),
    }
}

fn health(container: &ContainerInfo, is_ready: bool) -> Health {
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
        _ if container.restarts >= RESTARTS => Health::Failed {
            reason: format!(
                "{} ended {} times right after its start",
                container.name, container.restarts
            ),
        },
        _ => Health::Starting,
    }
}

/// The replica as a backend of the edge.
pub(crate) fn backend(container: &ContainerInfo, entrance: &Entrance) -> Backend {
    Backend {
        name: container.name.clone(),
        address: format!("{}:{}", container.name, entrance.port),
        weight: WEIGHT,
        version: container
            .labels
            .get(labels::VERSION)
            .cloned()
            .unwrap_or_default(),
        ready: entrance.ready.clone(),
    }
}
