//! One attempt at a stage, as its handler sees it.

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use domain::ids::WorkerId;
use domain::run::{Created, Run};
use domain::stage::{Failure, Outcome, StageName};
use tokio_util::sync::CancellationToken;

pub use bus::LogWriter as StageLog;

/// One attempt at a stage.
pub struct Work {
    /// The run, as it was when the attempt began.
    pub run: Arc<Run>,
    /// The stage.
    pub stage: StageName,
    /// Counted from 1.
    pub attempt: u32,
    /// Who is doing it: a label for everything that it starts.
    pub worker: WorkerId,
    /// Takes the stage's output.
    pub log: StageLog,
    /// Says when to stop, and why.
    pub stop: Stop,
    /// How long the attempt may take.
    pub time_limit: Duration,
}

impl Work {
    /// What was decided when the run was planned.
    ///
    /// # Panics
    /// Never: a run without a plan has no stages, so none of them can be claimed.
    #[must_use]
    pub fn created(&self) -> &Created {
        self.run
            .created
            .as_ref()
            .expect("a run with stages was planned")
    }

    /// A name for what the attempt starts, unique and fit for containers: `<run>-<stage>-<attempt>`.
    #[must_use]
    pub fn name(&self) -> String {
        format!(
            "{}-{}-{}",
            self.run.id,
            self.stage.to_string().replace(':', "-"),
            self.attempt
        )
    }
}

/// Tells a handler to stop.
#[derive(Debug, Clone, Default)]
pub struct Stop {
    token: CancellationToken,
    why: Arc<OnceLock<Why>>,
}

#[derive(Debug)]
enum Why {
    Cancelled(String),
    TimeLimit(Duration),
    ShutDown(String),
}

impl Stop {
    /// Cancelled as soon as the handler should stop.
    #[must_use]
    pub fn token(&self) -> &CancellationToken {
        &self.token
    }

    /// The outcome of a stage that stopped because of this; `None` while nobody has asked it to.
    #[must_use]
    pub fn outcome(&self) -> Option<Outcome> {
        Some(match self.why.get()? {
            Why::Cancelled(reason) => Outcome::Cancelled {
                reason: reason.clone(),
            },
            Why::TimeLimit(limit) => Outcome::Failed(Box::new(Failure::because(format!(
                "it took longer than its time limit of {} s; raise `timeout` in slipway.yaml if that is too short",
                limit.as_secs()
            )))),
            Why::ShutDown(reason) => Outcome::Errored {
                failure: Box::new(Failure::because(reason.clone())),
                retryable: true,
            },
        })
    }

    pub(crate) fn cancel(&self, reason: &str) {
        self.end(Why::Cancelled(reason.to_owned()));
    }

    pub(crate) fn time_out(&self, limit: Duration) {
        self.end(Why::TimeLimit(limit));
    }

    pub(crate) fn shut_down(&self, reason: &str) {
        self.end(Why::ShutDown(reason.to_owned()));
    }

    fn end(&self, why: Why) {
        let _ = self.why.set(why);
        self.token.cancel();
    }
}
