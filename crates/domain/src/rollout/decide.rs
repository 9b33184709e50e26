//! What to do next with a rollout: from how far it has come and what is seen to what there should be.
//!
//! Called again and again, by whichever deployer drives the rollout now: a target brings the sizes and the weight
//! about, and the deployer appends the event that [`Next`] asks for. Nothing is remembered between two calls but the
//! events, so a restart changes nothing.

use std::time::Duration;

use jiff::Timestamp;

use super::progress::{Act, Progress};
use super::{End, Event, abort, forward};
use crate::ids::RunId;
use crate::spec::{Percent, TimeSpan};

/// The replicas of one version, as they are seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Set {
    /// All that there are or are being made, but for those that are being removed.
    pub total: u32,
    /// Those of them that answer their readiness check.
    pub ready: u32,
    /// No request is under way at any of them, or the time for that is over. Where nobody can tell: none of them has
    /// got a new one for as long as requests may last.
    pub is_idle: bool,
}

impl Set {
    /// The same, and whether no request is under way.
    #[must_use]
    pub fn idle_if(self, is_idle: bool) -> Self {
        Self { is_idle, ..self }
    }
}

/// What is seen.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// The version that ran before; empty if there is none.
    pub stable: Set,
    /// The version that is brought in.
    pub candidate: Set,
    /// Why the candidate can't come up, or not stay up.
    pub failed: Option<String>,
    /// The share of the traffic that the candidate has, read back from whatever splits it. A router that measures in
    /// coarser steps shows the nearest, but 0 and 100 % only if it is exactly that.
    pub weight: Percent,
    /// When more replicas than ever before of the version that is to come up became ready: of the candidate, or of the
    /// stable one on the way back. Who can't know it, because it began to look later or the image was still being
    /// fetched, says when that ended.
    pub advanced_at: Timestamp,
}

/// What splits the traffic between two versions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Router {
    /// Something that takes weights.
    Exact,
    /// Nothing: every ready replica gets as much as any other.
    ByReplicas,
}

/// The terms of a rollout.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Terms {
    /// Replicas that the new version wants.
    pub replicas: u32,
    /// Replicas that the version before wants; 0 if there is none.
    pub stable_replicas: u32,
    /// What splits the traffic.
    pub router: Router,
    /// How long replicas or traffic may make no progress.
    pub deadline: TimeSpan,
    /// How long requests under way may last.
    pub drain: TimeSpan,
    /// How long a step waits for a verdict, after its time.
    pub patience: TimeSpan,
}

impl Terms {
    /// The replicas of the new version that carry all the traffic.
    pub(super) fn whole(&self) -> u32 {
        self.replicas.max(1)
    }

    pub(super) fn has_stable(&self) -> bool {
        self.stable_replicas > 0
    }
}

/// How many replicas there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Sizes {
    /// Of the version before. Where there are more, those that are not ready go first.
    pub stable: u32,
    /// Of the version that is brought in.
    pub candidate: u32,
}

/// What there should be now, and what follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    /// The replicas.
    pub sizes: Sizes,
    /// The candidate's share of the traffic. Where every ready replica gets as much as any other, it is what it is.
    pub weight: Percent,
    /// Whether the candidate answers at the preview address.
    pub preview: bool,
    /// What to append, once the rest is brought about or on its way.
    pub next: Next,
}

/// What follows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// Nothing yet.
    Stay {
        /// What is waited for.
        why: String,
        /// Look again after so long, if nothing happens before.
        wake_after: Option<Duration>,
    },
    /// The next step, or an earlier one whose traffic did not stay.
    Enter(usize),
    /// A person has to decide.
    Pause {
        /// What.
        reason: String,
    },
    /// The new version has all the traffic. The old one is gone, unless the plan keeps it for a while.
    Complete,
    /// The rollout is to be taken back.
    Abort {
        /// Why.
        reason: String,
    },
    /// It has been taken back, or as far as it gets.
    RolledBack {
        /// Why.
        reason: String,
    },
}

impl Next {
    /// The event to append, if any. `address` is where the service answers.
    #[must_use]
    pub fn event(&self, run: &RunId, address: &str, now: Timestamp) -> Option<Event> {
        let run = run.clone();
        let acted = |run, act| Event::Acted { run, act, at: now };
        let ended = |run, end| Event::Ended { run, end, at: now };
        Some(match self {
            Self::Stay { .. } => return None,
            Self::Enter(index) => {
                let index = u32::try_from(*index).unwrap_or(u32::MAX);
                acted(run, Act::StepEntered { index })
            }
            Self::Pause { reason } => {
                let (by, reason) = (None, reason.clone());
                acted(run, Act::Paused { by, reason })
            }
            Self::Abort { reason } => {
                let (by, reason) = (None, reason.clone());
                acted(run, Act::AbortRequested { by, reason })
            }
            Self::Complete => {
                let address = address.to_owned();
                ended(run, End::Completed { address })
            }
            Self::RolledBack { reason } => {
                let reason = reason.clone();
                ended(run, End::RolledBack { reason })
            }
        })
    }
}

/// Decides what there should be now, and what follows.
#[must_use]
pub fn decide(progress: &Progress, observed: &Observed, terms: &Terms, now: Timestamp) -> Decision {
    match &progress.abort {
        Some(abort) => abort::decide(progress, abort, observed, terms, now),
        None => forward::decide(progress, observed, terms, now),
    }
}

/// How the traffic is split at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Split {
    /// By weights.
    Weights,
    /// Either with the one set or with the other.
    AllAtOnce,
    /// By the numbers of ready replicas.
    Replicas,
}

impl Split {
    pub(super) fn of(progress: &Progress, terms: &Terms) -> Self {
        use super::steps::Step;
        let plan = &progress.plan;
        if plan.is_all_at_once() {
            return Self::AllAtOnce;
        }
        match plan.mover(progress.index).map(|mover| plan.steps[mover]) {
            Some(Step::Roll { .. } | Step::BringUp) => Self::Replicas,
            _ if terms.router == Router::ByReplicas => Self::Replicas,
            _ => Self::Weights,
        }
    }
}

/// The candidate's share where every ready replica gets as much as any other.
#[must_use]
pub fn share(candidate: Set, stable: Set) -> Percent {
    super::replicas::carried(
        candidate.ready,
        candidate.ready.saturating_add(stable.ready),
    )
}

#[cfg(test)]
mod tests;
