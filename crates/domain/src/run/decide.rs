//! What may happen next to a run. Nothing here does anything: the answers are events to append, or reasons.

use jiff::{SignedDuration, Timestamp};

use super::apply::back_off;
use super::event::{Actor, Event};
use super::state::{Run, RunState, StageState};
use crate::ids::{EnvironmentName, RunId, WorkerId};
use crate::stage::{Failure, JobKind, Outcome, StageName};

/// One thing for a worker to do. `(run, stage, attempt)` is its identity: enqueueing it twice is harmless.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Job {
    /// The run.
    pub run: RunId,
    /// The stage.
    pub stage: StageName,
    /// Which attempt.
    pub attempt: u32,
    /// Whose queue.
    pub kind: JobKind,
    /// Not to be begun before.
    pub not_before: Timestamp,
}

impl Job {
    /// The identity as text, also the job message's id.
    #[must_use]
    pub fn id(&self) -> String {
        format!("{}/{}/{}", self.run, self.stage, self.attempt)
    }
}

/// Whether a worker may begin a job.
#[derive(Debug, Clone, PartialEq)]
pub enum Claim {
    /// Append this, and then begin.
    Start(Event),
    /// Come back after this long: its back-off is not over.
    NotYet(SignedDuration),
    /// Another worker has it; if that one is gone, append [`Run::lost`] and go on from there.
    Held(WorkerId),
    /// Nothing to do any more.
    Over,
}

/// Why a person's wish can't be granted, and what could be done instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{why}")]
pub struct Refusal {
    /// The whole sentence.
    pub why: String,
}

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: why.into() })
}

impl Run {
    /// Everything that may be claimed now or after a back-off.
    #[must_use]
    pub fn ready(&self) -> Vec<Job> {
        self.stages
            .iter()
            .filter_map(|stage| match (&stage.state, stage.name.job_kind()) {
                (
                    StageState::Ready {
                        attempt,
                        not_before,
                    },
                    Some(kind),
                ) => Some(Job {
                    run: self.id.clone(),
                    stage: stage.name.clone(),
                    attempt: *attempt,
                    kind,
                    not_before: *not_before,
                }),
                _ => None,
            })
            .collect()
    }

    /// Who is doing what now.
    #[must_use]
    pub fn running(&self) -> Vec<(StageName, u32, WorkerId)> {
        self.stages
            .iter()
            .filter_map(|stage| match &stage.state {
                StageState::Running {
                    attempt, worker, ..
                } => Some((stage.name.clone(), *attempt, worker.clone())),
                _ => None,
            })
            .collect()
    }

    /// Whether `worker` may begin an attempt at `stage`.
    #[must_use]
    pub fn claim(
        &self,
        stage: &StageName,
        attempt: u32,
        worker: &WorkerId,
        now: Timestamp,
    ) -> Claim {
        let forgiven = self.stage(stage).map_or(0, |s| s.forgiven);
        match self.stage(stage).map(|s| &s.state) {
            Some(StageState::Ready {
                attempt: ready,
                not_before,
            }) if *ready == attempt => {
                // Another machine's clock may be ahead of ours: only a back-off is waited for.
                let wait = not_before
                    .duration_since(now)
                    .min(back_off(attempt - forgiven));
                if wait > SignedDuration::ZERO {
                    return Claim::NotYet(wait);
                }
                Claim::Start(Event::StageStarted {
                    stage: stage.clone(),
                    attempt,
                    worker: worker.clone(),
                    at: now,
                })
            }
            Some(StageState::Running {
                attempt: running,
                worker,
                ..
            }) if *running == attempt => Claim::Held(worker.clone()),
            _ => Claim::Over,
        }
    }

    /// The event that ends an attempt; `None` if the attempt is over already, because somebody declared it lost.
    #[must_use]
    pub fn end(
        &self,
        stage: &StageName,
        attempt: u32,
        outcome: Outcome,
        now: Timestamp,
    ) -> Option<Event> {
        match self.stage(stage).map(|s| &s.state) {
            Some(StageState::Running {
                attempt: running, ..
            }) if *running == attempt => Some(Event::StageEnded {
                stage: stage.clone(),
                attempt,
                outcome,
                at: now,
            }),
            _ => None,
        }
    }

    /// The event that ends an attempt whose worker is gone.
    #[must_use]
    pub fn lost(
        &self,
        stage: &StageName,
        attempt: u32,
        worker: &WorkerId,
        now: Timestamp,
    ) -> Option<Event> {
        let outcome = match self.stop_reason(stage) {
            Some(reason) => Outcome::Cancelled { reason },
            None => Outcome::Errored {
                failure: Box::new(Failure::because(format!(
                    "the worker {worker} stopped in the middle of it"
                ))),
                retryable: true,
            },
        };
        self.end(stage, attempt, outcome, now)
    }

    /// Whether the worker of a running stage should stop it, and why. What puts an environment back is never stopped.
    #[must_use]
    pub fn stop_reason(&self, stage: &StageName) -> Option<String> {
        if matches!(stage, StageName::Restore(_)) {
            return None;
        }
        self.cancelled_by()
    }

    /// Somebody agrees to a deployment.
    ///
    /// # Errors
    /// When the run does not wait for that, or the same person agreed before.
    pub fn approve(
        &self,
        environment: &EnvironmentName,
        by: &Actor,
        reason: &str,
        now: Timestamp,
    ) -> Result<Event, Refusal> {
        self.reviewable(environment)?;
        if self
            .reviews
            .iter()
            .any(|r| r.approved && r.environment == *environment && r.by == *by)
        {
            return refuse(format!(
                "{} has approved this already; somebody else must approve too",
                by.0
            ));
        }
        Ok(Event::Approved {
            environment: environment.clone(),
            by: by.clone(),
            reason: reason.to_owned(),
            at: now,
        })
    }

    /// Somebody refuses a deployment.
    ///
    /// # Errors
    /// When the run does not wait for approval.
    pub fn reject(
        &self,
        environment: &EnvironmentName,
        by: &Actor,
        reason: &str,
        now: Timestamp,
    ) -> Result<Event, Refusal> {
        self.reviewable(environment)?;
        Ok(Event::Rejected {
            environment: environment.clone(),
            by: by.clone(),
            reason: reason.to_owned(),
            at: now,
        })
    }

    fn reviewable(&self, environment: &EnvironmentName) -> Result<(), Refusal> {
        let name = StageName::Approve(environment.clone());
        match self.stage(&name).map(|s| &s.state) {
            Some(StageState::WaitingForApproval { .. }) => Ok(()),
            Some(StageState::Pending) => refuse(format!(
                "run {} has not come to {name} yet; it is {}",
                self.id,
                self.state().name()
            )),
            Some(other) => refuse(format!(
                "{name} of run {} is over: {}",
                self.id,
                other.name()
            )),
            None => refuse(format!(
                "run {} needs no approval for {environment}",
                self.id
            )),
        }
    }

    /// The environments that this run waits for approval of.
    #[must_use]
    pub fn waits_for(&self) -> Vec<&EnvironmentName> {
        self.stages
            .iter()
            .filter(|s| matches!(s.state, StageState::WaitingForApproval { .. }))
            .filter_map(|s| s.name.environment())
            .collect()
    }

    /// Somebody ends the run.
    ///
    /// # Errors
    /// When it has ended.
    pub fn cancel(&self, by: &Actor, reason: &str, now: Timestamp) -> Result<Event, Refusal> {
        if self.state().is_ended() {
            return refuse(format!(
                "run {} has ended: {}",
                self.id,
                self.state().name()
            ));
        }
        if self.cancelled.is_some() {
            return refuse(format!("run {} is being cancelled", self.id));
        }
        Ok(Event::CancelRequested {
            by: by.clone(),
            reason: reason.to_owned(),
            at: now,
        })
    }

    /// Somebody starts what failed or was cancelled again.
    ///
    /// # Errors
    /// When nothing has failed, or the commit could not even be planned.
    pub fn retry_by(&self, by: &Actor, now: Timestamp) -> Result<Event, Refusal> {
        match self.state() {
            _ if self.refused.is_some() => refuse(format!(
                "run {} was refused before it began; mend the cause and start a new run",
                self.id
            )),
            RunState::Failed | RunState::Cancelled => Ok(Event::Retried {
                by: by.clone(),
                at: now,
            }),
            other => refuse(format!(
                "run {} is {}; only a failed or cancelled run can be retried",
                self.id,
                other.name()
            )),
        }
    }
}
