//! What one look at two sets does not show: since when things are as they are, and who was told to go.

use std::collections::HashMap;
use std::time::Duration;

use domain::spec::{Percent, Testers};
use tokio::time::Instant;

use super::layout::{self, Member, Side};
use super::routes::Split;
use crate::steps::Way;
use crate::steps::since::{Both, Since};

/// What is remembered from look to look.
#[derive(Default)]
pub(super) struct Memory {
    /// Since when replicas are to go.
    pub(super) leaving: HashMap<String, Instant>,
    pub(super) since: Since,
    /// Replicas that do not run were told to go.
    pub(super) is_cleared: bool,
    /// The rollout begins again at the next look.
    pub(super) begins_again: bool,
    /// What was said of the traffic.
    pub(super) said: Said,
}

/// Where requests go, as people are told.
#[derive(Clone)]
pub(super) struct Said {
    /// The candidate's share.
    pub(super) weight: Percent,
    /// Whether it can be looked at.
    pub(super) preview: bool,
    /// What marks the requests that go there anyway.
    pub(super) testers: Option<String>,
}

impl Said {
    pub(super) fn of(split: &Split<'_>) -> Self {
        let testers = split.testers().map(|testers| match testers {
            Testers::Header(marker) => format!("the header {marker}"),
            Testers::Cookie(marker) => format!("the cookie {marker}"),
        });
        Self {
            weight: split.weight,
            preview: !split.previews.is_empty(),
            testers,
        }
    }
}

impl Default for Said {
    fn default() -> Self {
        Self {
            weight: Percent::ZERO,
            preview: false,
            testers: None,
        }
    }
}

impl Memory {
    /// Takes in what a look shows.
    pub(super) fn remember(&mut self, members: &[Member], way: Way) {
        let ready = |side| layout::set(members, side, false).ready;
        self.since.saw(
            way,
            Both {
                stable: ready(Side::Stable),
                candidate: ready(Side::Candidate),
            },
            Both {
                stable: layout::is_unrouted(members, Side::Stable),
                candidate: layout::is_unrouted(members, Side::Candidate),
            },
        );
    }

    /// Whether no request is under way at a version, or the time for that is over.
    pub(super) fn is_idle(&self, members: &[Member], side: Side, drain: Duration) -> bool {
        let unrouted_for = self.since.unrouted_for();
        let unrouted_for = match side {
            Side::Candidate => unrouted_for.candidate,
            Side::Stable | Side::Stray => unrouted_for.stable,
        };
        unrouted_for.is_some_and(|time| layout::is_at_rest(members, side) || time > drain)
    }
}
