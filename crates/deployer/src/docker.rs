//! The docker target: replicas are containers in the environment's network, and each service of an environment has
//! an edge in front of it.
//!
//! The edge has the service's name in the network, so neighbours call `http://<service>:<port>`; one port of it is
//! published on the host. It gets its table as a file and a command, and answers with its status: nothing but the
//! engine's API is needed, wherever the deployer itself runs. Edges and replicas go on without any deployer.

mod edge;
pub(crate) mod entry;
pub(crate) mod inside;
mod live;
pub(crate) mod names;
mod ports;
mod preview;
mod replicas;
pub(crate) mod sets;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use container_stage::edge_image::EdgeImage;
use container_stage::naming::role;
use container_stage::secrets;
use domain::ids::{EnvironmentName, ServiceName};
use domain::platform::PlatformSpec;
use domain::stage::Failure;
use engine::labels::{self, Labels};
use engine::{ContainerInfo, ContainerState, Engine};
use jiff::Timestamp;

use crate::analysis::Sources;
use crate::error::TargetError;
use crate::rolling::{Health, Replica, Step};
use crate::service::SERVICE;
use crate::voice::Voice;
use crate::wanted::Wanted;
use edge::Edge;
pub(crate) use edge::status_of;
use inside::Inside;
pub(crate) use live::live_state;
use ports::Entrance;
pub(crate) use preview::preview;

/// The container engine of one machine as a target.
#[derive(Clone)]
pub(crate) struct Docker {
    pub(crate) engine: Engine,
    platform: PlatformSpec,
    edge_image: EdgeImage,
    publish_address: IpAddr,
}

/// A service in an environment that is being rolled out.
pub(crate) struct Target<'a> {
    docker: &'a Docker,
    wanted: &'a Wanted,
    entrance: Entrance,
    edge: Edge,
}

/// What is there, as one look shows it.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) replicas: Vec<Replica>,
    /// Where the service answers.
    pub(crate) address: String,
    /// Why a wanted replica is not ready yet.
    pub(crate) waiting_for: Option<String>,
    containers: Vec<ContainerInfo>,
    generation: u64,
}

impl Docker {
    pub(crate) fn new(
        engine: Engine,
        platform: PlatformSpec,
        edge_image: EdgeImage,
        publish_address: IpAddr,
    ) -> Self {
        Self {
            engine,
            platform,
            edge_image,
            publish_address,
        }
    }

    /// What measurements of a service in an environment are made with; containers carry `labels`.
    pub(crate) fn sources(&self, wanted: &Wanted, labels: Labels) -> Sources {
        let (environment, service) = (wanted.environment.clone(), wanted.service.clone());
        let network = names::network(&environment);
        Sources::in_network(
            Inside::new(self.engine.clone(), environment, service),
            self.engine.clone(),
            self.platform.clone(),
            network,
            labels,
        )
    }

    /// Makes everything that does not touch traffic: network, image, edge.
    pub(crate) async fn prepare<'a>(
        &'a self,
        wanted: &'a Wanted,
    ) -> Result<Target<'a>, TargetError> {
        let network = names::network(&wanted.environment);
        let of_environment = labels::of([(labels::ENVIRONMENT, wanted.environment.as_str())]);
        self.engine
            .ensure_network(&network, &of_environment)
            .await?;
        let image = wanted.image();
        let credentials = secrets::credentials_for(&self.platform, &image, SERVICE)?;
        self.engine
            .ensure_image(&image, credentials.as_ref())
            .await?;
        let exposed = self.engine.inspect_image(&image).await?.exposed_ports;
        let entrance = Entrance::of(&wanted.deploy, &exposed)?;
        let edge = Edge::ensure(self, wanted, entrance.port).await?;
        Ok(Target {
            docker: self,
            wanted,
            entrance,
            edge,
        })
    }

    /// Every service that has replicas, in every environment, with its edge.
    pub(crate) async fn deployed(&self) -> Result<Vec<Deployed>, engine::Error> {
        let all = self
            .engine
            .list(&labels::of([
                (labels::ENVIRONMENT, ""),
                (labels::SERVICE, ""),
            ]))
            .await?;
        let mut deployed: BTreeMap<(EnvironmentName, ServiceName), Deployed> = BTreeMap::new();
        for container in all {
            let label = |name: &str| container.labels.get(name).map(String::as_str);
            let (environment, service) = (label(labels::ENVIRONMENT), label(labels::SERVICE));
            let environment = environment.and_then(|name| name.parse::<EnvironmentName>().ok());
            let service = service.and_then(|name| name.parse::<ServiceName>().ok());
            let (Some(environment), Some(service)) = (environment, service) else {
                continue;
            };
            let found = deployed
                .entry((environment.clone(), service.clone()))
                .or_insert(Deployed {
                    key: (environment, service),
                    replicas: 0,
                    sets: BTreeSet::new(),
                    edge: None,
                });
            match container.labels.get(labels::ROLE).map(String::as_str) {
                Some(role::REPLICA) => {
                    found.replicas += 1;
                    found
                        .sets
                        .extend(container.labels.get(labels::ROLLOUT).cloned());
                }
                Some(role::EDGE) => found.edge = Some(container),
                _ => {}
            }
        }
        Ok(deployed.into_values().collect())
    }

    /// The containers of a service in an environment that have a role.
    async fn containers(
        &self,
        wanted: &Wanted,
        role: &str,
    ) -> Result<Vec<ContainerInfo>, TargetError> {
        let filter = labels::of([
            (labels::ROLE, role),
            (labels::ENVIRONMENT, wanted.environment.as_str()),
            (labels::SERVICE, wanted.service.as_str()),
        ]);
        let mut containers = self.engine.list(&filter).await?;
        containers.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(containers)
    }

    /// Removes a version from an environment, and the edge if nothing else is behind it.
    pub(crate) async fn remove_version(&self, wanted: &Wanted) -> Result<(), TargetError> {
        let key = wanted.key();
        let mut others = 0;
        for container in self.containers(wanted, role::REPLICA).await? {
            if replicas::is_of(&container, &key) {
                self.engine.remove(&container.id).await?;
            } else {
                others += 1;
            }
        }
        if others == 0 {
            for container in self.containers(wanted, role::EDGE).await? {
                self.engine.remove(&container.id).await?;
            }
        }
        Ok(())
    }
}

/// What there is of a service in an environment.
pub(crate) struct Deployed {
    pub(crate) key: (EnvironmentName, ServiceName),
    pub(crate) replicas: usize,
    /// The keys of the versions that they are of.
    pub(crate) sets: BTreeSet<String>,
    pub(crate) edge: Option<ContainerInfo>,
}

impl Target<'_> {
    /// Looks at replicas and edge.
    pub(crate) async fn look(&self) -> Result<Seen, TargetError> {
        let containers = self.docker.containers(self.wanted, role::REPLICA).await?;
        let status = self.edge.status(&self.docker.engine).await?;
        let key = self.wanted.key();
        let mut seen = Seen {
            replicas: Vec::new(),
            address: self.edge.address(),
            waiting_for: None,
            generation: status.generation.unwrap_or(0),
            containers: Vec::new(),
        };
        let now = Timestamp::now();
        for container in &containers {
            let backend = status.backends.iter().find(|b| b.name == container.name);
            let replica = replicas::seen(container, backend, &key, now);
            if replica.is_wanted {
                seen.waiting_for = seen
                    .waiting_for
                    .or_else(|| backend.and_then(|b| b.last_probe_error.clone()));
            }
            seen.replicas.push(replica);
        }
        seen.containers = containers;
        Ok(seen)
    }

    /// The last lines of a wanted replica that is not as it should be: of one that ended, or else of one that does not
    /// get ready.
    pub(crate) async fn last_lines(&self, seen: &Seen) -> Vec<String> {
        let both = seen.replicas.iter().zip(&seen.containers);
        let unwell =
            both.filter(|(replica, _)| replica.is_wanted && replica.health != Health::Ready);
        let worst =
            unwell.max_by_key(|(replica, _)| matches!(replica.health, Health::Failed { .. }));
        let Some((_, container)) = worst else {
            return Vec::new();
        };
        match self
            .docker
            .engine
            .logs(&container.id, Failure::MAX_LINES)
            .await
        {
            Ok(lines) => lines.into_iter().map(|line| line.text).collect(),
            Err(error) => vec![format!("(its output can't be had: {error})")],
        }
    }

    /// Removes replicas of the wanted version that do not run, or can't: they are of an earlier attempt, or somebody
    /// stopped them. What takes their place shows whether the version comes up now. Says whether there were any.
    pub(crate) async fn remove_broken(
        &self,
        seen: &Seen,
        voice: &Voice<'_>,
    ) -> Result<bool, TargetError> {
        let mut any = false;
        for (replica, container) in seen.replicas.iter().zip(&seen.containers) {
            let was_never_started = container.state == ContainerState::Created;
            let is_broken = matches!(replica.health, Health::Failed { .. }) || was_never_started;
            if replica.is_wanted && is_broken {
                voice
                    .say(&format!("removing {}, which does not run", container.name))
                    .await;
                self.docker.engine.remove(&container.id).await?;
                any = true;
            }
        }
        Ok(any)
    }

    /// Does a step.
    pub(crate) async fn act(
        &self,
        step: &Step,
        seen: &Seen,
        voice: &Voice<'_>,
    ) -> Result<(), TargetError> {
        match step {
            Step::Start(count) => self.start(*count, seen, voice).await,
            Step::Route(names) => {
                voice
                    .say(&format!("traffic goes to {}", names.join(", ")))
                    .await;
                let routed = seen.containers.iter().filter(|c| names.contains(&c.name));
                let at = |container| (container, replicas::entrance(container, &self.entrance));
                let routed: Vec<(&ContainerInfo, Entrance)> = routed.map(at).collect();
                // Neighbours still know the port of a version that is about to go.
                let ports: Vec<u16> = routed.iter().map(|(_, entrance)| entrance.port).collect();
                let backends = routed
                    .into_iter()
                    .map(|(c, entrance)| replicas::backend(c, &entrance));
                self.edge
                    .route(
                        &self.docker.engine,
                        seen.generation + 1,
                        ports.into_iter().chain([self.entrance.port]),
                        backends.collect(),
                    )
                    .await
            }
            Step::Remove(names) => self.remove(names, seen, voice).await,
            Step::Wait | Step::Done | Step::Fail { .. } => Ok(()),
        }
    }

    async fn start(&self, count: usize, seen: &Seen, voice: &Voice<'_>) -> Result<(), TargetError> {
        let taken: Vec<&str> = seen.containers.iter().map(|c| c.name.as_str()).collect();
        for name in names::free_replicas(self.wanted, &taken).take(count) {
            voice.say(&format!("starting {name}")).await;
            let spec = replicas::spec(self.wanted, &name, &self.entrance)?;
            self.docker.engine.start_service(&spec).await?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        names: &[String],
        seen: &Seen,
        voice: &Voice<'_>,
    ) -> Result<(), TargetError> {
        for container in seen.containers.iter().filter(|c| names.contains(&c.name)) {
            voice.say(&format!("removing {}", container.name)).await;
            self.docker
                .engine
                .stop(&container.id, replicas::STOP_GRACE)
                .await?;
            self.docker.engine.remove(&container.id).await?;
        }
        Ok(())
    }
}
