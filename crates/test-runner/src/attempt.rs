//! One attempt at a stage, as everything below its handler sees it.

use std::time::Duration;

use bus::LogStream;
use container_stage::checkout;
use container_stage::naming::stage_labels;
use domain::stage::Outcome;
use engine::{ByteStream, Engine};
use worker::Work;

use crate::ended::Stopped;
use crate::service::Runner;

/// Tries of a clean-up. What goes away by itself at the same moment may refuse the first.
const CLEAN_UPS: u32 = 3;

/// One attempt at a stage.
pub(crate) struct Attempt<'a> {
    pub(crate) runner: &'a Runner,
    pub(crate) work: &'a Work,
}

impl Attempt<'_> {
    pub(crate) fn engine(&self) -> &Engine {
        &self.runner.engine
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

    /// What became of the attempt when it was told to stop: if its time limit ran out, with what was printed last.
    pub(crate) fn asked(&self, last_lines: &[String]) -> Stopped {
        match self.work.stop.outcome() {
            Some(Outcome::Failed(failure)) => {
                let lines = last_lines.iter().map(String::as_str);
                Stopped::Red(Box::new(failure.with_last_lines(lines)))
            }
            _ => Stopped::Asked,
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
        let labels = stage_labels(self.work);
        for left in (0..CLEAN_UPS).rev() {
            match self.engine().remove_labelled(&labels).await {
                Ok(_) => return,
                Err(_) if left > 0 => tokio::time::sleep(Duration::from_millis(300)).await,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(
                        run.id = %self.work.run.id,
                        stage.name = %self.work.stage,
                        error,
                        "something of a stage is left"
                    );
                }
            }
        }
    }
}
