//! The docker target: replicas are containers in the environment's network, and each service of an environment has
//! an edge in front of it.
//!
//! The edge has the service's name in the network, so neighbours call `http://<service>:<port>`; one port of it is
//! published on the host. It gets its table as a file and a signal, and answers with its status: nothing but the
//! engine's API is needed, wherever the deployer itself runs. Edges and replicas go on without any deployer.

mod edge;
pub(crate) mod entry;
mod live;
mod names;
mod ports;
mod replicas;

use std::net::IpAddr;

use container_stage::edge_image::EdgeImage;
use container_stage::naming::role;
use container_stage::output::Output;
use container_stage::secrets;
use domain::platform::{PlatformSpec, Registry};
use engine::labels;
use engine::{ContainerInfo, Credentials, Engine};

use crate::error::TargetError;
use crate::rolling::{Replica, Step};
use crate::service::SERVICE;
use crate::wanted::Wanted;
use edge::Edge;
pub(crate) use live::live_state;
use ports::Entrance;

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
    /// The last lines of a wanted replica that ended.
    pub(crate) last_lines: Vec<String>,
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

    /// Makes everything that does not touch traffic: network, image, edge.
    pub(crate) async fn prepare<'a>(
        &'a self,
        wanted: &'a Wanted,
        output: &Output,
    ) -> Result<Target<'a>, TargetError> {
        let network = names::network(&wanted.environment);
        let of_environment = labels::of([(labels::ENVIRONMENT, wanted.environment.as_str())]);
        self.engine
            .ensure_network(&network, &of_environment)
            .await?;
        let image = wanted.image();
        output.say(&format!("image {image}")).await;
        let credentials = self.credentials(&wanted.repository)?;
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

    /// Credentials of the registry that an image comes from.
    fn credentials(&self, repository: &str) -> Result<Option<Credentials>, TargetError> {
        let registries = &self.platform.registries;
        let from = |registry: &&Registry| repository.starts_with(&format!("{}/", registry.address));
        match [&registries.production, &registries.development]
            .into_iter()
            .find(from)
        {
            Some(registry) => Ok(secrets::credentials(registry, SERVICE)?),
            None => Ok(None),
        }
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

    /// Removes everything of a service from an environment.
    pub(crate) async fn remove_service(&self, wanted: &Wanted) -> Result<(), TargetError> {
        for role in [role::EDGE, role::REPLICA] {
            for container in self.containers(wanted, role).await? {
                self.engine.remove(&container.id).await?;
            }
        }
        Ok(())
    }
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
            last_lines: Vec::new(),
            generation: status.generation.unwrap_or(0),
            containers: Vec::new(),
        };
        for container in &containers {
            let backend = status.backends.iter().find(|b| b.name == container.name);
            let replica = replicas::seen(container, backend, &key);
            if replica.is_wanted {
                seen.waiting_for = seen
                    .waiting_for
                    .or_else(|| backend.and_then(|b| b.last_probe_error.clone()));
                if matches!(replica.health, crate::rolling::Health::Failed { .. }) {
                    let lines = self
                        .docker
                        .engine
                        .logs(&container.id, domain::stage::Failure::MAX_LINES)
                        .await?;
                    seen.last_lines = lines.into_iter().map(|line| line.text).collect();
                }
            }
            seen.replicas.push(replica);
        }
        seen.containers = containers;
        Ok(seen)
    }

    /// Does a step.
    pub(crate) async fn act(
        &self,
        step: &Step,
        seen: &Seen,
        output: &Output,
    ) -> Result<(), TargetError> {
        match step {
            Step::Start(count) => self.start(*count, seen, output).await,
            Step::Route(names) => {
                output
                    .say(&format!("traffic goes to {}", names.join(", ")))
                    .await;
                let backends = self.backends(names, seen);
                self.edge
                    .route(
                        &self.docker.engine,
                        seen.generation + 1,
                        self.entrance.port,
                        backends,
                    )
                    .await
            }
            Step::Remove(names) => self.remove(names, seen, output).await,
            Step::Wait | Step::Done | Step::Fail { .. } => Ok(()),
        }
    }

    async fn start(&self, count: usize, seen: &Seen, output: &Output) -> Result<(), TargetError> {
        let taken: Vec<&str> = seen.containers.iter().map(|c| c.name.as_str()).collect();
        for name in names::free_replicas(self.wanted, &taken).take(count) {
            output.say(&format!("starting {name}")).await;
            let spec = replicas::spec(self.wanted, &name, &self.entrance)?;
            self.docker.engine.start_service(&spec).await?;
        }
        Ok(())
    }

    async fn remove(
        &self,
        names: &[String],
        seen: &Seen,
        output: &Output,
    ) -> Result<(), TargetError> {
        for container in seen.containers.iter().filter(|c| names.contains(&c.name)) {
            output.say(&format!("removing {}", container.name)).await;
            self.docker
                .engine
                .stop(&container.id, replicas::STOP_GRACE)
                .await?;
            self.docker.engine.remove(&container.id).await?;
        }
        Ok(())
    }

    fn backends(&self, names: &[String], seen: &Seen) -> Vec<::edge::table::Backend> {
        let routed = seen.containers.iter().filter(|c| names.contains(&c.name));
        routed
            .map(|container| replicas::backend(container, &self.entrance))
            .collect()
    }
}
