//! What stays for a while after a rollout.

use jiff::Timestamp;

use super::{Placed, Placement, Plan};

/// A version that has no traffic any more, and whose replicas stay for a while, to go back to it at once. The next
/// rollout, whatever it brings, ends that.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Kept {
    /// The version.
    pub placement: Placement,
    /// Until when.
    pub until: Timestamp,
}

impl Kept {
    pub(super) fn after(plan: &Plan, before: Option<&Placed>, at: Timestamp) -> Option<Self> {
        let time = plan.keeps_old()?.get();
        Some(Self {
            placement: before?.placement.clone(),
            until: at.saturating_add(time).unwrap_or(Timestamp::MAX),
        })
    }

    /// Whether its time is over, and its replicas are to be removed.
    #[must_use]
    pub fn is_over(&self, now: Timestamp) -> bool {
        self.until <= now
    }
}
