//! The state of a run, as its events leave it.

use std::sync::Arc;

use jiff::Timestamp;

use super::event::{Actor, Change, Created};
use crate::ids::{Digest, EnvironmentName, RunId, WorkerId};
use crate::stage::{Artifact, Failure, Outcome, StageName, StageResult, TestCounts};

/// A run, folded from its events.
#[derive(Debug, Clone, PartialEq)]
pub struct Run {
    /// Its identity.
    pub id: RunId,
    /// What it is about.
    pub change: Change,
    /// The plan; `None` for a refused run.
    pub created: Option<Arc<Created>>,
    /// Why it was refused, if it was.
    pub refused: Option<String>,
    /// The stages in the plan's order.
    pub stages: Vec<Stage>,
    /// Approvals and rejections so far.
    pub reviews: Vec<Review>,
    /// Who cancelled it and why.
    pub cancelled: Option<(Actor, String)>,
    /// Sequence of the first event on the bus: earlier commits have smaller ones.
    pub order: u64,
    /// Sequence of the last event applied; what the next append expects.
    pub last_sequence: u64,
    /// When the first event happened.
    pub created_at: Timestamp,
    /// When the last event happened.
    pub updated_at: Timestamp,
}

/// A stage of a run.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// Its name.
    pub name: StageName,
    /// The stages that must succeed before it; the ones that must end before it, if it restores an environment.
    pub needs: Vec<StageName>,
    /// Where it stands.
    pub state: StageState,
    /// Every attempt so far, the newest last.
    pub attempts: Vec<Attempt>,
    /// Attempts before the newest `retry` by a person; they don't count against the limit.
    pub forgiven: u32,
}

/// One attempt at a stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    /// Counted from 1.
    pub number: u32,
    /// Who did it.
    pub worker: WorkerId,
    /// When it began.
    pub started_at: Timestamp,
    /// How and when it ended.
    pub ended: Option<(Outcome, Timestamp)>,
}

/// Where a stage stands.
#[derive(Debug, Clone, PartialEq)]
pub enum StageState {
    /// Waits for other stages.
    Pending,
    /// Waits for people.
    WaitingForApproval {
        /// Since when.
        since: Timestamp,
    },
    /// May be claimed.
    Ready {
        /// The attempt that may begin.
        attempt: u32,
        /// Not before this time: the back-off after an infrastructure error.
        not_before: Timestamp,
    },
    /// A worker does it.
    Running {
        /// Which attempt.
        attempt: u32,
        /// Who.
        worker: WorkerId,
        /// Since when.
        since: Timestamp,
    },
    /// It ended, for good unless a person retries.
    Ended {
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
}

/// What one person said about a deployment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Review {
    /// Where to.
    pub environment: EnvironmentName,
    /// Who.
    pub by: Actor,
    /// Agreed or refused.
    pub approved: bool,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Timestamp,
}

/// Where a run stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RunState {
    /// No stage has begun yet.
    Queued,
    /// At least one stage is running or may run.
    Running,
    /// Everything else is done; people must agree.
    WaitingForApproval,
    /// Every stage succeeded or was skipped.
    Succeeded,
    /// A stage failed, somebody rejected, or the commit could not be planned.
    Failed,
    /// Somebody or something newer ended it.
    Cancelled,
}

impl RunState {
    /// The stable name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Running => "running",
            Self::WaitingForApproval => "waiting_for_approval",
            Self::Succeeded => "succeeded",
            Self::Failed => "failed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Nothing more will happen without a person.
    #[must_use]
    pub fn is_ended(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Cancelled)
    }

    /// Ended, or waiting for people.
    #[must_use]
    pub fn is_at_rest(self) -> bool {
        self.is_ended() || self == Self::WaitingForApproval
    }
}

impl StageState {
    /// The stable name.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::WaitingForApproval { .. } => "waiting_for_approval",
            Self::Ready { .. } => "queued",
            Self::Running { .. } => "running",
            Self::Ended { outcome, .. } => match outcome {
                Outcome::Succeeded(_) => "succeeded",
                Outcome::Failed(_) => "failed",
                Outcome::Errored { .. } => "errored",
                Outcome::Skipped { .. } => "skipped",
                Outcome::Cancelled { .. } => "cancelled",
            },
        }
    }

    /// Ended in a way that lets the stages after it begin.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        matches!(
            self,
            Self::Ended {
                outcome: Outcome::Succeeded(_) | Outcome::Skipped { .. },
                ..
            }
        )
    }

    /// Ended in a way that keeps the stages after it from beginning.
    #[must_use]
    pub fn is_stopped(&self) -> bool {
        matches!(self, Self::Ended { .. }) && !self.is_passed()
    }
}

impl Stage {
    /// When the newest attempt began.
    #[must_use]
    pub fn started_at(&self) -> Option<Timestamp> {
        self.attempts.last().map(|a| a.started_at)
    }

    /// When it ended for good.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        match &self.state {
            StageState::Ended { at, .. } => Some(*at),
            _ => None,
        }
    }

    /// What it left, if it passed.
    #[must_use]
    pub fn result(&self) -> Option<&StageResult> {
        match &self.state {
            StageState::Ended {
                outcome: Outcome::Succeeded(result) | Outcome::Skipped { result, .. },
                ..
            } => Some(result),
            _ => None,
        }
    }

    /// What it made, if it passed.
    #[must_use]
    pub fn artifact(&self) -> Option<&Artifact> {
        self.result().and_then(|result| result.artifact.as_ref())
    }

    /// Counts of the tests of the stage, once it has ended.
    #[must_use]
    pub fn tests(&self) -> Option<TestCounts> {
        match &self.state {
            StageState::Ended { outcome, .. } => match outcome {
                Outcome::Succeeded(r) | Outcome::Skipped { result: r, .. } => r.tests,
                Outcome::Failed(f) | Outcome::Errored { failure: f, .. } => f.counts,
                Outcome::Cancelled { .. } => None,
            },
            _ => None,
        }
    }

    /// When the next attempt may begin, after one that broke.
    #[must_use]
    pub fn tried_again_at(&self) -> Option<Timestamp> {
        match &self.state {
            StageState::Ready {
                attempt,
                not_before,
            } if *attempt > 1 && self.failure().is_some() => Some(*not_before),
            _ => None,
        }
    }

    /// The failure of the last attempt that failed, also while another attempt is due.
    #[must_use]
    pub fn failure(&self) -> Option<&Failure> {
        let outcome = match &self.state {
            StageState::Ended { outcome, .. } => Some(outcome),
            _ => self
                .attempts
                .iter()
                .rev()
                .find_map(|a| a.ended.as_ref().map(|(o, _)| o)),
        };
        match outcome {
            Some(Outcome::Failed(f) | Outcome::Errored { failure: f, .. }) => Some(f),
            _ => None,
        }
    }

    /// Whether a worker has begun it since the newest `retry` by a person.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.attempts
            .last()
            .is_some_and(|a| a.number > self.forgiven)
    }

    /// Whether people should see it: what puts an environment back concerns nobody until it has to be done.
    #[must_use]
    pub fn is_shown(&self) -> bool {
        let is_due = matches!(
            self.state,
            StageState::Ready { .. } | StageState::Running { .. }
        );
        !matches!(self.name, StageName::Restore(_)) || is_due || self.has_begun()
    }

    /// One line why it stands where it stands; empty when there is nothing to say.
    #[must_use]
    pub fn reason(&self) -> String {
        match &self.state {
            StageState::Ended {
                outcome: Outcome::Succeeded(r),
                ..
            } => r.summary.clone(),
            StageState::Ended {
                outcome: Outcome::Cancelled { reason } | Outcome::Skipped { reason, .. },
                ..
            } => reason.clone(),
            _ => self.failure().map(|f| f.reason.clone()).unwrap_or_default(),
        }
    }
}

impl Run {
    /// The stage of that name.
    #[must_use]
    pub fn stage(&self, name: &StageName) -> Option<&Stage> {
        self.stages.iter().find(|s| s.name == *name)
    }

    /// Where it stands.
    #[must_use]
    pub fn state(&self) -> RunState {
        let any = |test: fn(&StageState) -> bool| self.stages.iter().any(|s| test(&s.state));
        let active = any(|s| matches!(s, StageState::Ready { .. } | StageState::Running { .. }));
        if self.refused.is_some() {
            RunState::Failed
        } else if self.stages.iter().all(|s| s.state.is_passed()) {
            // Also when somebody asked to cancel it, too late.
            RunState::Succeeded
        } else if self.cancelled.is_some() && !active {
            RunState::Cancelled
        } else if active {
            if self.stages.iter().all(|s| s.attempts.is_empty()) {
                RunState::Queued
            } else {
                RunState::Running
            }
        } else if any(|s| {
            matches!(
                s,
                StageState::Ended {
                    outcome: Outcome::Failed(_) | Outcome::Errored { .. },
                    ..
                }
            )
        }) {
            RunState::Failed
        } else if any(|s| matches!(s, StageState::WaitingForApproval { .. })) {
            RunState::WaitingForApproval
        } else {
            RunState::Cancelled
        }
    }

    /// Why it failed or was cancelled, in one line per cause; empty otherwise.
    #[must_use]
    pub fn reason(&self) -> String {
        if let Some(reason) = &self.refused {
            return reason.clone();
        }
        if self.state() == RunState::Succeeded {
            return String::new();
        }
        let line = |s: &Stage| s.failure().map(|f| format!("{}: {}", s.name, f.reason));
        let stopped = || self.stages.iter().filter(|s| s.state.is_stopped());
        let failed: Vec<String> = stopped().filter_map(line).collect();
        match (self.cancelled_by(), failed.is_empty()) {
            (Some(cancelled), _) => {
                let is_restore = |s: &&Stage| matches!(s.name, StageName::Restore(_));
                let left = stopped().filter(is_restore).filter_map(line);
                std::iter::once(cancelled)
                    .chain(left)
                    .collect::<Vec<_>>()
                    .join("\n")
            }
            (None, true) => stopped().next().map(Stage::reason).unwrap_or_default(),
            (None, false) => failed.join("\n"),
        }
    }

    /// Who cancelled it, and why.
    pub(super) fn cancelled_by(&self) -> Option<String> {
        let (by, reason) = self.cancelled.as_ref()?;
        Some(if reason.is_empty() {
            format!("cancelled by {}", by.0)
        } else {
            format!("cancelled by {}: {reason}", by.0)
        })
    }

    /// Whether starting the stopped stages again may end otherwise. It may not when nothing could be planned, when
    /// something newer took the run's place, or when its version was released from another run.
    #[must_use]
    pub fn retry_can_help(&self) -> bool {
        let is_stopped = |name: &StageName| self.stage(name).is_some_and(|s| s.state.is_stopped());
        let by_slipway = matches!(&self.cancelled, Some((by, _)) if *by == Actor::slipway());
        let is_hopeless = |stage: &Stage| match (&stage.name, &stage.state) {
            (StageName::Promote, StageState::Ended { outcome, .. }) => {
                matches!(outcome, Outcome::Failed(_))
            }
            // Nobody asked for it: a newer version was there already.
            (StageName::Deploy(_), StageState::Ended { outcome, .. }) => {
                matches!(outcome, Outcome::Cancelled { .. }) && self.cancelled.is_none()
            }
            _ => false,
        };
        let mut causes = self
            .stages
            .iter()
            .filter(|s| s.state.is_stopped() && !s.needs.iter().any(is_stopped));
        matches!(self.state(), RunState::Failed | RunState::Cancelled)
            && self.refused.is_none()
            && !by_slipway
            && !causes.any(is_hopeless)
    }

    /// The artifact of the last passed stage for which `pick` gives something.
    pub fn artifact<'a, T>(&'a self, pick: impl Fn(&'a Artifact) -> Option<T>) -> Option<T> {
        self.stages
            .iter()
            .rev()
            .filter_map(Stage::artifact)
            .find_map(pick)
    }

    /// The digest that this run built or deploys.
    #[must_use]
    pub fn image_digest(&self) -> Option<&Digest> {
        use super::event::Kind;
        match &self.change.kind {
            Kind::Deploy(target) | Kind::Rollback(target) => Some(&target.digest),
            Kind::Change | Kind::Proposal { .. } => self.artifact(|a| match a {
                Artifact::Image { digest, .. } => Some(digest),
                _ => None,
            }),
        }
    }

    /// When it ended, if it has.
    #[must_use]
    pub fn finished_at(&self) -> Option<Timestamp> {
        self.state().is_ended().then_some(self.updated_at)
    }
}
