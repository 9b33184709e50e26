//! What is known of a container now.

use std::{
    collections::{BTreeMap, HashMap},
    net::IpAddr,
};

use bollard::{
    models::{
        ContainerInspectResponse, ContainerStateStatusEnum, HealthStatusEnum, NetworkSettings,
    },
    query_parameters::{InspectContainerOptions, ListContainersOptionsBuilder},
};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;

use crate::{
    ContainerId, Engine, Result,
    connection::QUICK,
    labels::{self, Labels},
};

/// How many containers are inspected at a time.
const INSPECT_AT_ONCE: usize = 8;

/// A container as it is now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContainerInfo {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: String,
    /// The image as it was named when the container was made.
    pub image: String,
    /// Its labels, the image's included.
    pub labels: Labels,
    /// What it is doing.
    pub state: ContainerState,
    /// Its own health check.
    pub health: Health,
    /// Its address in each network.
    pub addresses: BTreeMap<String, IpAddr>,
    /// Ports that the host forwards to it.
    pub ports: Vec<PublishedPort>,
    /// When it was last started.
    pub started_at: Option<Timestamp>,
    /// How often the engine started it again.
    pub restarts: u32,
}

/// What a container is doing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ContainerState {
    /// Made, never started.
    Created,
    /// Running.
    Running,
    /// Stopped for the moment.
    Paused,
    /// It ended, and the engine is about to start it again.
    Restarting,
    /// It ended.
    Exited {
        /// Its exit code.
        code: i64,
        /// Whether the kernel killed it for want of memory.
        out_of_memory: bool,
    },
}

/// A container's own health check.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Health {
    /// It has none.
    None,
    /// Not healthy yet.
    Starting,
    /// Healthy.
    Healthy,
    /// Unhealthy.
    Unhealthy,
}

/// A port of the host that leads to a port of the container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublishedPort {
    /// The container's TCP port.
    pub container: u16,
    /// The host's address.
    pub host_ip: String,
    /// The host's port.
    pub host: u16,
}

impl ContainerInfo {
    /// Whether it runs now.
    pub fn is_running(&self) -> bool {
        self.state == ContainerState::Running
    }

    fn of(found: ContainerInspectResponse) -> Self {
        let config = found.config.unwrap_or_default();
        let state = found.state.unwrap_or_default();
        let network = found.network_settings.unwrap_or_default();
        let health = state.health.as_ref().and_then(|health| health.status);
        Self {
            id: ContainerId::from(found.id.unwrap_or_default()),
            name: found
                .name
                .unwrap_or_default()
                .trim_start_matches('/')
                .to_owned(),
            image: config.image.unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            state: match state.status {
                Some(ContainerStateStatusEnum::CREATED) | None => ContainerState::Created,
                Some(ContainerStateStatusEnum::RUNNING) => ContainerState::Running,
                Some(ContainerStateStatusEnum::PAUSED) => ContainerState::Paused,
                Some(ContainerStateStatusEnum::RESTARTING) => ContainerState::Restarting,
                Some(_) => ContainerState::Exited {
                    code: state.exit_code.unwrap_or_default(),
                    out_of_memory: state.oom_killed.unwrap_or_default(),
                },
            },
            health: match health {
                Some(HealthStatusEnum::STARTING) => Health::Starting,
                Some(HealthStatusEnum::HEALTHY) => Health::Healthy,
                Some(HealthStatusEnum::UNHEALTHY) => Health::Unhealthy,
                Some(_) | None => Health::None,
            },
            addresses: addresses(&network),
            ports: published(network),
            // The engine says "0001-01-01…" for never.
            started_at: state
                .started_at
                .and_then(|at| at.parse::<Timestamp>().ok())
                .filter(|at| at.as_second() > 0),
            restarts: found
                .restart_count
                .and_then(|count| u32::try_from(count).ok())
                .unwrap_or_default(),
        }
    }
}

impl Engine {
    /// Every container, running or not, that has all these labels; an empty value stands for any.
    pub async fn list(&self, filter: &Labels) -> Result<Vec<ContainerInfo>> {
        let filters = HashMap::from([("label".to_owned(), labels::filters(filter))]);
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let found = self
            .call(
                "list containers",
                QUICK,
                self.docker().list_containers(Some(options)),
            )
            .await?;
        let ids = found
            .into_iter()
            .filter_map(|summary| summary.id)
            .map(ContainerId::from);
        let infos: Vec<Option<ContainerInfo>> = stream::iter(ids)
            .map(|id| async move { self.inspect(&id).await })
            .buffered(INSPECT_AT_ONCE)
            .try_collect()
            .await?;
        // One that went away since the list was made is not there.
        Ok(infos.into_iter().flatten().collect())
    }

    /// A container as it is now; `None` if there is no such container. A name serves as id.
    pub async fn inspect(&self, id: &ContainerId) -> Result<Option<ContainerInfo>> {
        match self.inspect_container(id).await {
            Ok(found) => Ok(Some(ContainerInfo::of(found))),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn inspect_container(
        &self,
        id: &ContainerId,
    ) -> Result<ContainerInspectResponse> {
        let inspect = self
            .docker()
            .inspect_container(id.as_str(), None::<InspectContainerOptions>);
        self.call("look up the container", QUICK, inspect).await
    }

    pub(crate) async fn was_out_of_memory(&self, id: &ContainerId) -> Result<bool> {
        let state = self.inspect_container(id).await?.state.unwrap_or_default();
        Ok(state.oom_killed.unwrap_or_default())
    }
}

fn addresses(network: &NetworkSettings) -> BTreeMap<String, IpAddr> {
    let networks = network.networks.iter().flatten();
    networks
        .filter_map(|(name, endpoint)| {
            let address = endpoint.ip_address.as_deref()?.parse().ok()?;
            Some((name.clone(), address))
        })
        .collect()
}

fn published(network: NetworkSettings) -> Vec<PublishedPort> {
    let mut ports = Vec::new();
    for (container, bindings) in network.ports.unwrap_or_default() {
        let Some(container) = container
            .strip_suffix("/tcp")
            .and_then(|port| port.parse().ok())
        else {
            continue;
        };
        for binding in bindings.unwrap_or_default() {
            if let Some(host) = binding.host_port.and_then(|port| port.parse().ok()) {
                ports.push(PublishedPort {
                    container,
                    host_ip: binding.host_ip.unwrap_or_default(),
                    host,
                });
            }
        }
    }
    ports.sort_by_key(|port| (port.container, port.host));
    ports
}
