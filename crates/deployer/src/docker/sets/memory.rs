//! What one look at two sets does not show: since when things are as they are, and who was told to go.

use std::collections::HashMap;
use std::time::Duration;

use domain::spec::{Percent, Testers};
use jiff::Timestamp;
use tokio::time::Instant;

use super::layout::{self, Member, Side};
use super::routes::Split;
use crate::steps::Way;

/// What is remembered from look to look.
#[derive(Default)]
pub(super) struct Memory {
    /// Since when replicas are to go.
    pub(super) leaving: HashMap<String, Instant>,
    /// Since when no new requests go to the stable and to the candidate set.
    unrouted: [Option<Instant>; 2],
    pub(super) way: Option<Way>,
    most_ready: u32,
    /// When more replicas became ready than ever before.
    pub(super) advanced_at: Timestamp,
    /// Replicas that do not run were told to go.
    pub(super) is_cleared: bool,
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
        for side in [Side::Stable, Side::Candidate] {
            let since = &mut self.unrouted[place(side)];
            *since = layout::is_unrouted(members, side).then(|| since.unwrap_or_else(Instant::now));
        }
        let coming = match way {
            Way::Forth => Side::Candidate,
            Way::Back => Side::Stable,
        };
        let ready = layout::set(members, coming, false).ready;
        let is_new = self.way.replace(way) != Some(way);
        if !is_new && ready > self.most_ready {
            self.advanced_at = Timestamp::now();
        }
        if is_new || ready > self.most_ready {
            self.most_ready = ready;
        }
    }

    /// Whether no request is under way at a version, or the time for that is over.
    pub(super) fn is_idle(&self, members: &[Member], side: Side, drain: Duration) -> bool {
        self.unrouted[place(side)]
            .is_some_and(|since| layout::is_at_rest(members, side) || since.elapsed() > drain)
    }
}

fn place(side: Side) -> usize {
    usize::from(side == Side::Candidate)
}
