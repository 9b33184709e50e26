//! The rollouts of one service in one environment: what runs there, what ran before, what is under way.
//!
//! Rollouts happen in commit order: nothing overtakes, and nothing that was overtaken comes back by itself.

mod abort;
mod decide;
mod evidence;
mod forward;
mod kept;
mod progress;
mod replicas;
mod requests;
mod steps;

pub use decide::{Decision, Next, Observed, Router, Set, Sizes, Terms, decide, share};
pub use evidence::Evidence;
pub use kept::Kept;
pub use progress::{Abort, Act, Judgement, Paused, Progress};
pub use steps::{Beginning, OnFailure, Plan, Step};

pub use crate::analysis::verdict::Verdict;

use jiff::Timestamp;

use crate::ids::{Digest, RunId};

/// One event of an environment's service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A deployer began to bring a version in.
    Started {
        /// What is brought in.
        placement: Placement,
        /// By which steps. Absent: by a rolling update.
        plan: Option<Plan>,
    },
    /// A deployer or a person did something with the rollout under way.
    Acted {
        /// The run whose rollout it is.
        run: RunId,
        /// What.
        act: Act,
        /// When.
        at: Timestamp,
    },
    /// The rollout ended.
    Ended {
        /// The run whose rollout it was.
        run: RunId,
        /// How.
        end: End,
        /// When.
        at: Timestamp,
    },
    /// A deployer began to take a completed version out again, because its tests stopped. `Ended` follows, too.
    RestoreStarted {
        /// The run that brought it.
        run: RunId,
        /// When.
        at: Timestamp,
    },
}

/// How a rollout ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum End {
    /// The version has 100 % of the traffic.
    Completed {
        /// Where the service answers.
        address: String,
    },
    /// What began was taken back; what ran before still runs.
    RolledBack {
        /// Why.
        reason: String,
    },
    /// A version that had been complete was taken out again; what was there before it is there again.
    Restored {
        /// Why, and what is there now.
        reason: String,
        /// Where the service answers; empty if it is not there any more, or something newer is.
        address: String,
    },
}

/// A version of the service in the environment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placement {
    /// The run that brings it.
    pub run: RunId,
    /// The run that built it: its service file is the configuration that travels with the image.
    pub origin: RunId,
    /// Commit order of the run that brings it.
    pub order: u64,
    /// The version.
    pub version: String,
    /// `host/name` in the registry that the environment is fed from.
    pub repository: String,
    /// Digest of the image.
    pub digest: Digest,
    /// Brought back by a rollback, not brought in anew.
    pub is_rollback: bool,
    /// When it began.
    pub at: Timestamp,
}

/// The state of one service in one environment, folded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rollouts {
    /// Completed placements that a rollback can go back to, the current one last.
    pub line: Vec<Placed>,
    /// Every completed placement in the order of time, rollbacks included, but for those that were taken out again.
    pub history: Vec<Placed>,
    /// The rollout under way.
    pub active: Option<Placement>,
    /// How far it has come.
    pub progress: Option<Progress>,
    /// The set of replicas that the newest rollout left beside its own for a while.
    pub kept: Option<Kept>,
    /// What is being taken out again, after it had been complete.
    pub restoring: Option<Placement>,
    /// The newest version that was taken back or out, in favour of what was there before, with the reason.
    pub last_rolled_back: Option<(Placement, String)>,
    /// Highest commit order that was brought in completely, and not taken out again.
    pub highest_order: u64,
    /// Sequence of the last event; what the next append expects.
    pub last_sequence: u64,
}

/// A completed placement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Placed {
    /// What was brought in.
    pub placement: Placement,
    /// Where it answers.
    pub address: String,
    /// When the rollout was complete.
    pub at: Timestamp,
}

impl Rollouts {
    /// Folds events, given with their sequence on the bus.
    pub fn fold(events: impl IntoIterator<Item = (u64, Event)>) -> Self {
        events
            .into_iter()
            .fold(Self::default(), |state, (sequence, event)| {
                state.apply(sequence, event)
            })
    }

    /// Applies an event; an old one, or the end of a rollout that is not under way, changes nothing.
    #[must_use]
    pub fn apply(mut self, sequence: u64, event: Event) -> Self {
        if sequence <= self.last_sequence {
            return self;
        }
        self.last_sequence = sequence;
        match event {
            Event::Started { placement, plan } => {
                let is_free = self
                    .active
                    .as_ref()
                    .is_none_or(|active| active.run == placement.run);
                if is_free && self.restoring.is_none() {
                    self.progress = Some(Progress::new(plan.unwrap_or_default(), placement.at));
                    self.active = Some(placement);
                    self.kept = None;
                }
            }
            Event::Acted { run, act, at } => {
                if self.active.as_ref().is_some_and(|active| active.run == run) {
                    self.progress = self.progress.map(|progress| progress.apply(act, at));
                }
            }
            Event::RestoreStarted { run, .. } => {
                if self.active.is_none() && self.restoring.is_none() {
                    self.restoring = self.brought_by(&run).map(|placed| placed.placement.clone());
                    self.kept = None;
                }
            }
            Event::Ended { run, end, at } => {
                if let Some(placement) = self.restoring.take_if(|restoring| restoring.run == run) {
                    if let End::Restored { reason, address } = end {
                        self.take_out(placement, reason, address);
                    }
                    return self;
                }
                let Some(placement) = self.active.take_if(|active| active.run == run) else {
                    return self;
                };
                let progress = self.progress.take();
                match end {
                    End::Completed { address } => {
                        self.kept = progress.and_then(|p| Kept::after(&p.plan, self.current(), at));
                        self.complete(Placed {
                            placement,
                            address,
                            at,
                        });
                    }
                    End::RolledBack { reason } => self.last_rolled_back = Some((placement, reason)),
                    End::Restored { .. } => {}
                }
            }
        }
        self
    }

    fn complete(&mut self, placed: Placed) {
        if placed.placement.is_rollback {
            let back_to = |p: &Placed| p.placement.digest == placed.placement.digest;
            if let Some(index) = self.line.iter().rposition(back_to) {
                self.line.truncate(index);
            }
        } else {
            self.highest_order = self.highest_order.max(placed.placement.order);
        }
        self.line.push(placed.clone());
        self.history.push(placed);
    }

    fn take_out(&mut self, placement: Placement, reason: String, address: String) {
        let was_current = self
            .current()
            .is_some_and(|current| is_of(current, &placement.run));
        *self = std::mem::take(self).without(&placement.run);
        let Some(current) = self.line.last_mut().filter(|_| was_current) else {
            return;
        };
        if !address.is_empty() {
            current.address = address;
        }
        self.last_rolled_back = Some((placement, reason));
    }

    /// What a run brought in, not as a rollback, if it is in the line.
    fn brought_by(&self, run: &RunId) -> Option<&Placed> {
        self.line.iter().rev().find(|placed| is_of(placed, run))
    }

    /// The rollouts as if `run` had not brought its version in.
    #[must_use]
    pub fn without(mut self, run: &RunId) -> Self {
        self.line.retain(|placed| !is_of(placed, run));
        self.history.retain(|placed| !is_of(placed, run));
        let orders = self
            .history
            .iter()
            .filter(|placed| !placed.placement.is_rollback)
            .map(|placed| placed.placement.order);
        self.highest_order = orders.max().unwrap_or(0);
        self
    }

    /// What runs there now.
    #[must_use]
    pub fn current(&self) -> Option<&Placed> {
        self.line.last()
    }

    /// What a rollback goes back to: the version before the current one that is not the same image. A rollback is
    /// itself never rolled back: after it, this is the version before the one that it went back to.
    #[must_use]
    pub fn previous(&self) -> Option<&Placed> {
        let current = self.current()?;
        self.line
            .iter()
            .rev()
            .find(|p| p.placement.digest != current.placement.digest)
    }
}

/// Whether a run brought it in, not as a rollback.
fn is_of(placed: &Placed, run: &RunId) -> bool {
    placed.placement.run == *run && !placed.placement.is_rollback
}

/// Another run of the same service, as far as an environment is concerned.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Neighbour {
    /// Its identity.
    pub run: RunId,
    /// Its place in commit order.
    pub order: u64,
    /// It will come to this environment, or stop on the way, without anybody having to act.
    pub is_coming: bool,
}

/// Whether a run may begin its rollout now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Admission {
    /// It may.
    Go,
    /// It goes on with the rollout that it began before.
    Resume,
    /// Another must end first.
    Wait {
        /// Which, and why.
        reason: String,
    },
    /// A newer version is there already.
    Overtaken {
        /// One line.
        reason: String,
    },
}

impl Rollouts {
    /// Decides whether `run` with commit order `order` may begin. `wanted` says that a person asked for exactly this
    /// version here (`deploy`, `rollback`): then order among commits does not matter, only that one rollout runs at
    /// a time.
    #[must_use]
    pub fn admit(&self, run: &RunId, order: u64, wanted: bool, others: &[Neighbour]) -> Admission {
        if let Some(active) = &self.active {
            if active.run == *run {
                return Admission::Resume;
            }
            return Admission::Wait {
                reason: format!("the rollout of run {} is under way", active.run),
            };
        }
        if let Some(restoring) = &self.restoring {
            return Admission::Wait {
                reason: is_taken_out(restoring),
            };
        }
        if wanted {
            return Admission::Go;
        }
        if order < self.highest_order {
            let by = self
                .line
                .iter()
                .rev()
                .find(|p| p.placement.order == self.highest_order);
            let by = by.map_or_else(String::new, |p| {
                format!(" {} of run {}", p.placement.version, p.placement.run)
            });
            return Admission::Overtaken {
                reason: format!(
                    "a newer version{by} was deployed here meanwhile; to go back to this one, deploy it"
                ),
            };
        }
        match others.iter().find(|o| o.is_coming && o.order < order) {
            Some(earlier) => Admission::Wait {
                reason: format!("the earlier run {} comes first", earlier.run),
            },
            None => Admission::Go,
        }
    }
}

/// Whether the version that a run brought may be taken out again now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Restoration {
    /// It may.
    Go,
    /// It is being taken out already.
    Resume,
    /// Another rollout must end first.
    Wait {
        /// Which, and why.
        reason: String,
    },
    /// It is not there, or not any more.
    Needless,
}

impl Rollouts {
    /// Decides whether what `run` brought may be taken out again now.
    #[must_use]
    pub fn restoration(&self, run: &RunId) -> Restoration {
        match (&self.active, &self.restoring) {
            (_, Some(restoring)) if restoring.run == *run => Restoration::Resume,
            (_, Some(restoring)) => Restoration::Wait {
                reason: is_taken_out(restoring),
            },
            (Some(active), None) => Restoration::Wait {
                reason: format!("the rollout of run {} is under way", active.run),
            },
            (None, None) if self.brought_by(run).is_some() => Restoration::Go,
            (None, None) => Restoration::Needless,
        }
    }
}

fn is_taken_out(restoring: &Placement) -> String {
    format!(
        "{} of run {} is being taken out again",
        restoring.version, restoring.run
    )
}

#[cfg(test)]
mod tests;
