//! Wires the builder: engine, source, registry credentials, the loop around its jobs, its gRPC.

use std::collections::BTreeMap;
use std::sync::Arc;

use bus::Bus;
use container_stage::output::Output;
use container_stage::{clean_up, secrets};
use domain::platform::{PlatformSpec, Registries};
use domain::stage::{JobKind, Outcome, StageName};
use engine::{Credentials, Engine};
use service_kit::grpc::{self, ShowToken};
use source::{Source, SourceConfig};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{ActiveRuns, StageHandler, Work, Worker, new_worker_id};

use crate::grpc::Questions;
use crate::{Config, Error, images, on_build, on_image};

/// Our name in errors about secrets and in logs.
pub(crate) const SERVICE: &str = "builder";

/// A builder, ready to run.
pub struct Service {
    config: Config,
    platform: PlatformSpec,
    bus: Bus,
    listener: Option<TcpListener>,
}

impl Service {
    /// A builder for a platform, on a bus.
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
        let engine = Engine::connect().await.map_err(Error::from)?;
        let mut sources = SourceConfig::from_environment();
        sources.allow_local_paths = true;
        let source = Source::new(&self.config.source_cache, sources).map_err(Error::from)?;
        let registries = &self.platform.registries;
        let credentials = secrets::credentials(&registries.development, SERVICE)?;
        let base_images = base_image_credentials(registries, credentials.as_ref());
        let token = ShowToken::new(&self.config.common.own_token()?)?;
        let tokens = self.config.common.tokens()?;
        let id = new_worker_id(SERVICE);
        let builder = Builder {
            inner: Arc::new(Inner {
                engine: engine.clone(),
                source,
                platform: self.platform,
                credentials,
                base_images,
                test_runners: self.config.test_runners,
                token,
            }),
        };
        let active = ActiveRuns::default();
        let worker = Worker::new(id.clone(), self.bus.clone(), builder, self.config.slots)
            .sharing(active.clone());
        let questions = Questions::new(&worker, &engine, self.config.slots);
        let listener = match self.listener {
            Some(listener) => listener,
            None => grpc::listen(self.config.listen.listen).await?,
        };
        tracing::info!(worker.id = %id, engine = engine.id(), "builder listens on {}", listener.local_addr()?);
        // When it is told to stop, it ends when both have.
        let work = async {
            tokio::try_join!(
                async { Ok(worker.run(stop.clone()).await.map_err(Error::from)?) },
                questions.serve(listener, tokens, stop.clone()),
            )
        };
        tokio::select! {
            ended = work => ended.map(drop),
            () = clean_up::for_ever(&engine, &self.bus) => Ok(()),
            () = images::keep_few(&engine, &active, &self.bus) => Ok(()),
        }
    }
}

/// What the stages of a builder need.
#[derive(Clone)]
pub(crate) struct Builder {
    inner: Arc<Inner>,
}

pub(crate) struct Inner {
    pub(crate) engine: Engine,
    pub(crate) source: Source,
    pub(crate) platform: PlatformSpec,
    credentials: Option<Credentials>,
    base_images: BTreeMap<String, Credentials>,
    test_runners: Vec<String>,
    token: ShowToken,
}

impl std::ops::Deref for Builder {
    type Target = Inner;
    fn deref(&self) -> &Inner {
        &self.inner
    }
}

impl StageHandler for Builder {
    const KIND: JobKind = JobKind::Build;

    async fn handle(&self, work: Work) -> Outcome {
        match work.stage {
            StageName::Build => on_build::on_build(self, &work).await,
            _ => on_image::on_image(self, &work).await,
        }
    }
}

impl Builder {
    /// Credentials of the development registry.
    pub(crate) fn credentials(&self) -> Option<&Credentials> {
        self.credentials.as_ref()
    }

    /// Credentials by registry, for the base images of a Dockerfile.
    pub(crate) fn all_credentials(&self) -> BTreeMap<String, Credentials> {
        self.base_images.clone()
    }

    /// Pushes a workspace image if a test-runner might not see it otherwise; returns the name to use.
    pub(crate) async fn share_workspace(
        &self,
        work: &Work,
        image: String,
        output: &Output,
    ) -> Result<String, engine::Error> {
        if self.all_test_runners_share_our_engine().await {
            return Ok(image);
        }
        let repository = &work.created().plan.development_repository;
        let shared = format!("{repository}:workspace-{}", work.run.id);
        output
            .say(&format!(
                "pushing the workspace as {shared}, since test-runners use other engines"
            ))
            .await;
        self.engine.tag(&image, &shared).await?;
        self.engine.push(&shared, self.credentials(), None).await?;
        Ok(shared)
    }

    /// A test-runner that doesn't answer may have another engine.
    async fn all_test_runners_share_our_engine(&self) -> bool {
        for url in &self.test_runners {
            match crate::grpc::engine_of(url, &self.token).await {
                Ok(engine) if engine == self.engine.id() => {}
                Ok(_) => return false,
                Err(error) => {
                    tracing::warn!(
                        "the test-runner at {url} did not say which engine it uses: {error}"
                    );
                    return false;
                }
            }
        }
        true
    }
}

/// A release may be the base of another image. Who builds need not be able to read the production registry: without
/// its credentials only builds that need them fail.
fn base_image_credentials(
    registries: &Registries,
    development: Option<&Credentials>,
) -> BTreeMap<String, Credentials> {
    let production = secrets::credentials(&registries.production, SERVICE);
    let production = production.unwrap_or_else(|error| {
        tracing::debug!("no credentials for releases as base images: {error}");
        None
    });
    let production = production.map(|own| (registries.production.address.clone(), own));
    let development = development.map(|own| (registries.development.address.clone(), own.clone()));
    production.into_iter().chain(development).collect()
}
