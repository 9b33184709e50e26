//! What really runs in an environment, for whoever asks.

use std::collections::BTreeMap;

use container_stage::naming::role;
use domain::ids::EnvironmentName;
use engine::ContainerInfo;
use engine::labels;
use proto::deployer::v1::{LiveService, LiveState, Replica};

use super::Docker;
use super::edge::{StatusError, address, status_of};

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
    let mut live = LiveState::default();
    for (service, (edge, replicas)) in services {
        live.services
            .push(service_state(docker, service, edge, &replicas).await?);
    }
    Ok(live)
}

async fn service_state(
    docker: &Docker,
    service: String,
    edge: Option<&ContainerInfo>,
    replicas: &[&ContainerInfo],
) -> Result<LiveService, engine::Error> {
    let (status, note) = match edge {
        None => (
            None,
            "it has no edge, so nothing reaches it; it is made anew soon".to_owned(),
        ),
        Some(edge) if !edge.is_running() => (
            None,
            "its edge does not run; it is made anew soon".to_owned(),
        ),
        Some(edge) => match status_of(&docker.engine, &edge.id).await {
            Ok(status) => (Some(status), String::new()),
            Err(StatusError::Edge(what)) => (None, format!("its edge does not answer: {what}")),
            Err(StatusError::Engine(error)) => return Err(error),
        },
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
    Ok(LiveService {
        address: edge.and_then(address).unwrap_or_default(),
        replicas: replicas.iter().map(replica).collect(),
        service,
        note,
    })
}
