//! One attempt at a stage, as everything below its handler sees it.

use std::time::{Duration, Instant};

use bus::LogStream;
use container_stage::checkout;
use container_stage::naming::stage_labels;
use engine::{ByteStream, Engine};
use worker::Work;

use crate::ended::Stopped;
use crate::service::Runner;

/// What is kept back of the time limit to read reports and clean up in. A container that is stopped within the limit,
/// and not with it, leaves its last lines.
const RESERVE: Duration = Duration::from_secs(3);

/// One attempt at a stage.
pub(crate) struct Attempt<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) work: &'a Work,
    deadline: Instant,
}

impl<'a> Attempt<'a> {
    pub(crate) fn new(runner: &'a Runner, work: &'a Work) -> Self {
        let limit = work
            .time_limit
            .saturating_sub(RESERVE.min(work.time_limit / 10));
        Self {
            runner,
            work,
            deadline: Instant::now() + limit,
        }
    }

    pub(crate) fn engine(&self) -> &Engine {
        &self.runner.engine
    }

    /// How long containers may still run.
    pub(crate) fn time_left(&self) -> Duration {
        self.deadline.saturating_duration_since(Instant::now())
    }

    /// Writes a line of our own into the stage's log.
    pub(crate) async fn say(&self, line: &str) {
        if let Err(error) = self
            .work
            .log
            .write(LogStream::Out, format!("{line}\n").as_bytes())
            .await
        {
            tracing::debug!(
                error = &error as &dyn std::error::Error,
                "a line of a log is lost"
            );
        }
    }

    /// Waits for something, unless the attempt is told to stop. Only for what may be dropped half-way.
    pub(crate) async fn unless_stopped<T, E: Into<Stopped>>(
        &self,
        doing: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Stopped> {
        tokio::select! {
            done = doing => done.map_err(Into::into),
            () = self.work.stop.token().cancelled() => Err(Stopped::Asked),
        }
    }

    /// An error once the attempt was told to stop.
    pub(crate) fn still_wanted(&self) -> Result<(), Stopped> {
        if self.work.stop.token().is_cancelled() {
            Err(Stopped::Asked)
        } else {
            Ok(())
        }
    }

    /// Sees to it that an image is on the engine; credentials are given to no other registry than their own.
    pub(crate) async fn fetch_image(&self, image: &str) -> Result<(), Stopped> {
        let credentials = self.runner.credentials_for(image);
        self.unless_stopped(self.engine().ensure_image(image, credentials))
            .await
    }

    /// The commit of the run.
    pub(crate) async fn commit(&self) -> Result<source::Commit, Stopped> {
        self.unless_stopped(checkout::commit(&self.runner.source, &self.work.run.change))
            .await
    }

    /// The files of the service's folder.
    pub(crate) async fn files(&self) -> Result<ByteStream, Stopped> {
        let commit = self.commit().await?;
        let folder = &self.work.run.change.path;
        self.unless_stopped(checkout::files(&self.runner.source, &commit, folder))
            .await
    }

    /// Removes everything that the attempt started.
    pub(crate) async fn clean_up(&self) {
        if let Err(error) = self
            .engine()
            .remove_labelled(&stage_labels(self.work))
            .await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(run.id = %self.work.run.id, stage.name = %self.work.stage, error, "something of a stage is left");
        }
    }
}
