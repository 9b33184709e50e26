//! Wires the deployer: engine, aggregates, the loop around its jobs, its gRPC.

use std::time::Duration;

use bus::Bus;
use bus::aggregates::Log;
use container_stage::edge_image::EdgeImage;
use domain::platform::PlatformSpec;
use domain::release::Releases;
use domain::rollout::Rollouts;
use domain::run::Run;
use domain::stage::{JobKind, Outcome, StageName};
use engine::Engine;
use service_kit::grpc;
use source::{Source, SourceConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{ActiveRuns, Admit, StageHandler, Work, Worker, new_worker_id};

use crate::docker::{Docker, entry};
use crate::grpc::Questions;
use crate::kubernetes::Kubernetes;
use crate::target::Targets;
use crate::{Config, Error, on_deploy, on_restore, repair};

/// Our name in errors about secrets and in logs.
pub(crate) const SERVICE: &str = "deployer";

/// A deployer, ready to run.
pub struct Service {
    config: Config,
    platform: PlatformSpec,
    bus: Bus,
    listener: Option<TcpListener>,
}

impl Service {
    /// A deployer for a platform, on a bus.
    #[must_use]
    pub fn new(config: Config, platform: PlatformSpec, bus: Bus) -> Self {
        Self {
            config,
            platform,
            bus,
            listener: None,
        }
    }

    /// Answers questions on a listener that is open already, instead of the configured address.
    #[must_use]
    pub fn with_listener(mut self, listener: TcpListener) -> Self {
        self.listener = Some(listener);
        self
    }

    /// Takes jobs and answers questions until `stop` is cancelled.
    ///
    /// # Errors
    /// When it can't begin, or a part of it ends.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let id = new_worker_id(SERVICE);
        let events = self.bus.events();
        let mut sources = SourceConfig::from_environment();
        sources.allow_local_paths = true;
        let source = Source::new(&self.config.source_cache, sources).map_err(Error::from)?;
        let docker = if Targets::need_engine(&self.platform) {
            Some(Docker::new(
                Engine::connect().await.map_err(Error::from)?,
                self.platform.clone(),
                EdgeImage::new(self.config.edge),
                self.config.publish_address,
            ))
        } else {
            None
        };
        let kubernetes = Kubernetes::new(self.platform.clone(), source, Log::new(events.clone()));
        let targets = Targets::new(self.platform, docker, kubernetes);
        let active = ActiveRuns::default();
        let deployer = Deployer {
            targets: targets.clone(),
            rollouts: Log::new(events.clone()),
            releases: Log::new(events.clone()),
            runs: Log::new(events),
            active: active.clone(),
        };
        let tokens = self.config.common.tokens()?;
        let (repairer, answers) = (deployer.clone(), deployer.clone());
        let worker = Worker::new(id.clone(), self.bus, deployer, self.config.slots).sharing(active);
        let listener = match self.listener {
            Some(listener) => listener,
            None => grpc::listen(self.config.listen.listen).await?,
        };
        tracing::info!(worker.id = %id, "deployer listens on {}", listener.local_addr()?);
        let questions = Questions::new(answers);
        // When it is told to stop, it ends when both have.
        let work = async {
            tokio::try_join!(
                async { Ok(worker.run(stop.clone()).await.map_err(Error::from)?) },
                questions.serve(listener, tokens, stop.clone()),
            )
        };
        tokio::select! {
            ended = work => ended.map(drop),
            () = keep_entries(targets.docker.as_ref()) => Ok(()),
            () = repair::for_ever(&repairer) => Ok(()),
        }
    }
}

/// For ever.
async fn keep_entries(docker: Option<&Docker>) {
    match docker {
        Some(docker) => entry::keep(&docker.engine).await,
        None => std::future::pending().await,
    }
}

/// What the stages of a deployer need.
#[derive(Clone)]
pub(crate) struct Deployer {
    pub(crate) targets: Targets,
    pub(crate) rollouts: Log<Rollouts>,
    pub(crate) releases: Log<Releases>,
    pub(crate) runs: Log<Run>,
    pub(crate) active: ActiveRuns,
}

impl StageHandler for Deployer {
    const KIND: JobKind = JobKind::Deploy;
    /// Going back takes as long as going forward.
    const CLEAN_UP: Duration = Duration::from_secs(10 * 60);

    async fn admit(&self, run: &Run, stage: &StageName) -> Admit {
        match stage {
            StageName::Deploy(environment) => on_deploy::admit(self, run, environment).await,
            StageName::Restore(environment) => on_restore::admit(self, run, environment).await,
            _ => Admit::Now,
        }
    }

    async fn handle(&self, work: Work) -> Outcome {
        match &work.stage {
            StageName::Deploy(environment) => on_deploy::on_deploy(self, &work, environment).await,
            StageName::Restore(environment) => {
                on_restore::on_restore(self, &work, environment).await
            }
            other => container_stage::outcome::red(
                format!("{other} is no deployment; this is a mistake in Slipway"),
                &[],
            ),
        }
    }
}
