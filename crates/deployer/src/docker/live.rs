//! What really runs in an environment, for whoever asks.

use std::collections::BTreeMap;
use std::time::Duration;

use container_stage::naming::role;
use container_stage::outcome::chain;
use domain::ids::EnvironmentName;
use edge::status::Status;
use engine::ContainerInfo;
use engine::labels;
use proto::deployer::v1::{LiveService, LiveState, Replica};
use tokio::time::error::Elapsed;

use super::Docker;
use super::edge::{StatusError, address, status_of};

/// How long an edge may take to answer: whoever asks for the environment waits for the slowest.
const PATIENCE: Duration = Duration::from_secs(3);

/// Every service of an environment, with its replicas as their edge sees them.
pub(crate) async fn live_state(
    docker: &Docker,
    environment: &EnvironmentName,
) -> Result<LiveState, engine::Error> {
    let all = docker
        .engine
        .list(&labels::of([(labels::ENVIRONMENT, environment.as_str())]))
        .await?;
    let mut services: BTreeMap<String, (Option<&ContainerInfo>, Vec<&ContainerInfo>)> =
        BTreeMap::new();
    for container in &all {
        let Some(service) = container.labels.get(labels::SERVICE) else {
            continue;
        };
        let entry = services.entry(service.clone()).or_default();
        match container.labels.get(labels::ROLE).map(String::as_str) {
            Some(role::EDGE) => entry.0 = Some(container),
            Some(role::REPLICA) => entry.1.push(container),
            _ => {}
        }
    }
    let services = services
        .into_iter()
        .map(|(service, (edge, replicas))| service_state(docker, service, edge, replicas));
    Ok(LiveState {
        services: futures::future::join_all(services).await,
    })
}

/// A service whose edge can't be asked is shown as such; it says nothing about the others.
async fn service_state(
    docker: &Docker,
    service: String,
    edge: Option<&ContainerInfo>,
    replicas: Vec<&ContainerInfo>,
) -> LiveService {
    let (status, note) = match edge {
        None => (
            None,
            "it has no edge, so nothing reaches it; it is made anew soon".to_owned(),
        ),
        Some(edge) if !edge.is_running() => (
            None,
            "its edge does not run; it is made anew soon".to_owned(),
        ),
        Some(edge) => {
            let asked = status_of(&docker.engine, &edge.id);
            judged(tokio::time::timeout(PATIENCE, asked).await)
        }
    };
    let replica = |container: &&ContainerInfo| {
        let label = |name: &str| container.labels.get(name).cloned().unwrap_or_default();
        let backend = status
            .as_ref()
            .and_then(|s| s.backends.iter().find(|b| b.name == container.name));
        Replica {
            name: container.name.clone(),
            version: label(labels::VERSION),
            image_digest: label(labels::DIGEST),
            run_id: label(labels::RUN),
            ready: backend.is_some_and(|b| b.ready && !b.draining),
            weight: backend.filter(|b| !b.draining).map_or(0, |b| b.weight),
        }
    };
    LiveService {
        address: edge.and_then(address).unwrap_or_default(),
        replicas: replicas.iter().map(replica).collect(),
        service,
        note,
    }
}

/// What an edge answered, and what to tell about it.
fn judged(asked: Result<Result<Status, StatusError>, Elapsed>) -> (Option<Status>, String) {
    let why = match asked {
        Ok(Ok(status)) => return (Some(status), String::new()),
        Ok(Err(StatusError::Edge(what))) => what,
        Ok(Err(StatusError::Engine(error))) => chain(&error),
        Err(_) => format!("nothing came within {} s", PATIENCE.as_secs()),
    };
    let first = why.lines().next().unwrap_or_default();
    (None, format!("its edge does not answer: {first}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_edge_that_can_not_be_asked_is_a_note_of_one_line() {
        let (status, note) = judged(Ok(Err(StatusError::Edge(
            "it is old\nUsage: edge".to_owned(),
        ))));
        assert!(status.is_none());
        assert_eq!(note, "its edge does not answer: it is old");
        let paused = engine::Error::NotFound {
            doing: "run a command in e1".to_owned(),
            message: "it is paused".to_owned(),
        };
        let (status, note) = judged(Ok(Err(StatusError::Engine(paused))));
        assert!(status.is_none());
        assert_eq!(
            note,
            "its edge does not answer: could not run a command in e1: it is paused"
        );
    }
}
