//! Wires the registry-promoter: registries, releases, the loop around its jobs, its gRPC.

use std::str::FromStr;

use bus::Bus;
use bus::aggregates::Log;
use domain::platform::PlatformSpec;
use domain::release::Releases;
use domain::run::Run;
use domain::stage::{JobKind, Outcome, StageName};
use service_kit::grpc;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use worker::{ActiveRuns, StageHandler, Work, Worker, new_worker_id};

use crate::grpc::Questions;
use crate::registries::Registries;
use crate::stage_end::Stopped;
use crate::{Config, Error, on_promote, on_publish};

/// A registry-promoter, ready to run.
pub struct Service {
    config: Config,
    platform: PlatformSpec,
    bus: Bus,
    listener: Option<TcpListener>,
}

impl Service {
    /// A registry-promoter for a platform, on a bus.
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
        let registries = Registries::of(&self.platform)?;
        let active = ActiveRuns::default();
        let promoter = Promoter {
            registries: registries.clone(),
            releases: Log::new(self.bus.events()),
            runs: Log::new(self.bus.events()),
            active: active.clone(),
        };
        let id = new_worker_id("promoter");
        let tokens = self.config.common.tokens()?;
        let worker = Worker::new(id.clone(), self.bus, promoter, self.config.slots).sharing(active);
        let listener = match self.listener {
            Some(listener) => listener,
            None => grpc::listen(self.config.listen.listen).await?,
        };
        tracing::info!(worker.id = %id, "registry-promoter listens on {}", listener.local_addr()?);
        // When it is told to stop, it ends when both have.
        tokio::try_join!(
            async { Ok(worker.run(stop.clone()).await.map_err(Error::from)?) },
            Questions::new(registries).serve(listener, tokens, stop.clone()),
        )
        .map(drop)
    }
}

/// What the stages of a registry-promoter need.
pub(crate) struct Promoter {
    pub(crate) registries: Registries,
    pub(crate) releases: Log<Releases>,
    pub(crate) runs: Log<Run>,
    pub(crate) active: ActiveRuns,
}

impl Promoter {
    /// Writes a line to the stage's log.
    pub(crate) async fn say(&self, work: &Work, line: &str) {
        if let Err(error) = work
            .log
            .write(bus::LogStream::Out, format!("{line}\n").as_bytes())
            .await
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a line of a log is lost: {line}"
            );
        }
    }
}

impl StageHandler for Promoter {
    const KIND: JobKind = JobKind::Promote;

    async fn handle(&self, work: Work) -> Outcome {
        let done = async {
            match work.stage {
                StageName::Publish => on_publish::on_publish(self, &work).await,
                _ => on_promote::on_promote(self, &work).await,
            }
        };
        // A copy that is dropped in the middle leaves blobs without a tag: the next attempt finds and uses them.
        tokio::select! {
            outcome = done => outcome,
            () = work.stop.token().cancelled() => {
                let stopped = || Stopped::Red("it was told to stop".to_owned()).outcome();
                work.stop.outcome().unwrap_or_else(stopped)
            }
        }
    }
}

/// Text of ours as a registry's type.
pub(crate) fn parsed<T: FromStr>(text: &str) -> Result<T, Stopped>
where
    T::Err: std::fmt::Display,
{
    text.parse()
        .map_err(|error| Stopped::Red(format!("{text} can't stand in a registry: {error}")))
}
