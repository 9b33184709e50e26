//! Wires the test-runner: engine, source, registry credentials, the edge, the loop around its jobs, its gRPC.

use std::sync::Arc;

use bus::Bus;
use container_stage::edge_image::EdgeImage;
use container_stage::{clean_up, secrets};
use domain::platform::PlatformSpec;
use domain::stage::{JobKind, Outcome, StageName};
use engine::{Credentials, Engine};
use service_kit::grpc;
use source::{Source, SourceConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{StageHandler, Work, Worker, new_worker_id};

use crate::attempt::Attempt;
use crate::ended::Stopped;
use crate::grpc::Questions;
use crate::on_functional_test::on_functional_test;
use crate::on_integration_test::on_integration_test;
use crate::on_load_test::on_load_test;
use crate::on_unit_test::on_unit_test;
use crate::{Config, Error};

/// Our name in errors about secrets and in logs.
const SERVICE: &str = "test-runner";

/// A test-runner, ready to run.
pub struct Service {
    config: Config,
    platform: PlatformSpec,
    bus: Bus,
    listener: Option<TcpListener>,
}

impl Service {
    /// A test-runner for a platform, on a bus.
    #[must_use]
    pub fn new(config: Config, platform: PlatformSpec, bus: Bus) -> Self {
        Self {
            config,
            platform,
            bus,
            listener: None,
        }
    }

    /// Answers questions at a listener that is there already, instead of at the configured address.
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
        let engine = Engine::connect().await.map_err(Error::from)?;
        let mut sources = SourceConfig::from_environment();
        sources.allow_local_paths = true;
        let source = Source::new(&self.config.source_cache, sources).map_err(Error::from)?;
        let registry = &self.platform.registries.development;
        let credentials = secrets::credentials(registry, SERVICE)?;
        let tokens = self.config.common.tokens()?;
        let id = new_worker_id(SERVICE);
        let runner = Runner {
            inner: Arc::new(Inner {
                engine: engine.clone(),
                source,
                edge: EdgeImage::new(self.config.edge),
                registry: registry.address.clone(),
                credentials,
            }),
        };
        let worker = Worker::new(id.clone(), self.bus.clone(), runner, self.config.slots);
        let questions = Questions::new(&worker, &engine, self.config.slots);
        let listener = match self.listener {
            Some(listener) => listener,
            None => grpc::listen(self.config.listen.listen).await?,
        };
        tracing::info!(worker.id = %id, engine = engine.id(), "test-runner listens on {}", listener.local_addr()?);
        tokio::select! {
            ended = worker.run(stop.clone()) => Ok(ended.map_err(Error::from)?),
            ended = questions.serve(listener, tokens, stop.clone()) => ended,
            () = clean_up::for_ever(&engine, &self.bus) => Ok(()),
        }
    }
}

/// What the stages of a test-runner need.
#[derive(Clone)]
pub(crate) struct Runner {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) source: Source,
    pub(crate) edge: EdgeImage,
    registry: String,
    credentials: Option<Credentials>,
}

impl std::ops::Deref for Runner {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl Runner {
    /// The credentials that go with an image: only those of the development registry are ours to give.
    pub(crate) fn credentials_for(&self, image: &str) -> Option<&Credentials> {
        let ours = image
            .strip_prefix(&self.registry)
            .is_some_and(|rest| rest.starts_with('/'));
        self.credentials.as_ref().filter(|_| ours)
    }
}

impl StageHandler for Runner {
    const KIND: JobKind = JobKind::Test;

    async fn handle(&self, work: Work) -> Outcome {
        let attempt = Attempt {
            runner: self,
            work: &work,
        };
        let ended = match &work.stage {
            StageName::UnitTest => on_unit_test(&attempt).await,
            StageName::FunctionalTest => on_functional_test(&attempt).await,
            StageName::IntegrationTest(environment) => {
                on_integration_test(&attempt, environment).await
            }
            StageName::LoadTest(environment) => on_load_test(&attempt, environment).await,
            other => Err(Stopped::red(format!(
                "{other} is no test; this is a mistake in Slipway"
            ))),
        };
        attempt.clean_up().await;
        match ended {
            Ok(result) => Outcome::Succeeded(Box::new(result)),
            Err(stopped) => stopped.outcome(&work),
        }
    }
}
