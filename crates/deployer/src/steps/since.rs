//! What one look at two sets does not show: since when things are as they are.

use std::time::Duration;

use jiff::Timestamp;
use tokio::time::Instant;

use super::Way;

/// Something about the stable and about the candidate set.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Both<T> {
    pub(crate) stable: T,
    pub(crate) candidate: T,
}

/// What is remembered from look to look.
#[derive(Debug, Default)]
pub(crate) struct Since {
    way: Option<Way>,
    most_ready: u32,
    advanced_at: Timestamp,
    unrouted: Both<Option<Instant>>,
}

impl Since {
    /// Takes in what a look shows: how many replicas are ready, and which set no new request goes to.
    pub(crate) fn saw(&mut self, way: Way, ready: Both<u32>, is_unrouted: Both<bool>) {
        for (since, is_so) in [
            (&mut self.unrouted.stable, is_unrouted.stable),
            (&mut self.unrouted.candidate, is_unrouted.candidate),
        ] {
            *since = is_so.then(|| since.unwrap_or_else(Instant::now));
        }
        let ready = match way {
            Way::Forth => ready.candidate,
            Way::Back => ready.stable,
        };
        let is_new = self.way.replace(way) != Some(way);
        if !is_new && ready > self.most_ready {
            self.advanced_at = Timestamp::now();
        }
        if is_new || ready > self.most_ready {
            self.most_ready = ready;
        }
    }

    /// While something was prepared nothing could get ready.
    pub(crate) fn prepared(&mut self) {
        self.advanced_at = Timestamp::now();
    }

    /// Where it went at the last look.
    pub(crate) fn way(&self) -> Option<Way> {
        self.way
    }

    /// When more replicas became ready than ever before.
    pub(crate) fn advanced_at(&self) -> Timestamp {
        self.advanced_at
    }

    /// For how long no new request has gone to either set; `None` where some do.
    pub(crate) fn unrouted_for(&self) -> Both<Option<Duration>> {
        Both {
            stable: self.unrouted.stable.map(|since| since.elapsed()),
            candidate: self.unrouted.candidate.map(|since| since.elapsed()),
        }
    }
}
