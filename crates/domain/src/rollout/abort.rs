//! A rollout on its way back.
//!
//! Graded: the traffic goes back as fast as ready replicas of the version before carry it, and no faster; the new ones
//! stay until then. What is known to go wrong elsewhere is in the tests by the number of its issue.

use jiff::Timestamp;

use super::decide::{Decision, Next, Observed, Sizes, Split, Terms, share};
use super::forward::remaining;
use super::progress::{Abort, Progress};
use super::replicas::{carried, still_needed};
use super::steps::Step;
use crate::spec::Percent;

pub(super) fn decide(
    progress: &Progress,
    abort: &Abort,
    observed: &Observed,
    terms: &Terms,
    now: Timestamp,
) -> Decision {
    let (time, since) = (terms.deadline.get(), abort.at.max(observed.advanced_at));
    let back = Back {
        observed,
        terms,
        split: Split::of(progress, terms),
        surge: surge(progress, terms),
        is_late: remaining(since, time, now).is_zero(),
    };
    // What was let go late still gets the time to go.
    let left = remaining(since, time + terms.drain.get(), now);
    let next = if back.is_done() {
        Next::RolledBack {
            reason: abort.words(),
        }
    } else if left.is_zero() {
        Next::RolledBack {
            reason: format!(
                "{}; going back made no progress within {}: {}",
                abort.words(),
                terms.deadline,
                back.state()
            ),
        }
    } else {
        Next::Stay {
            why: format!("going back: {}", back.state()),
            wake_after: Some(left),
        }
    };
    Decision {
        sizes: back.sizes(),
        weight: back.weight(),
        preview: false,
        next,
    }
}

/// How many more replicas there may be on the way back: at least one, so that nothing healthy has to go first.
fn surge(progress: &Progress, terms: &Terms) -> u32 {
    let mover = progress.plan.mover(progress.index);
    let surge = match mover.map(|mover| progress.plan.steps[mover]) {
        Some(Step::Roll { max_surge, .. }) => max_surge.of(terms.stable_replicas),
        _ => terms.stable_replicas.div_ceil(4),
    };
    surge.max(1)
}

struct Back<'a> {
    observed: &'a Observed,
    terms: &'a Terms,
    split: Split,
    surge: u32,
    /// The time for going back is over.
    is_late: bool,
}

impl Back<'_> {
    /// Never more than there is, and no less than the version before can't carry yet.
    fn weight(&self) -> Percent {
        let (candidate, stable) = (self.observed.candidate, self.observed.stable);
        let seen = self.observed.weight;
        if candidate.ready == 0 || !self.terms.has_stable() {
            return Percent::ZERO;
        }
        match self.split {
            Split::Replicas => share(candidate, stable),
            Split::AllAtOnce if seen == Percent::ZERO => seen,
            Split::AllAtOnce if self.is_stable_ready() || stable.ready >= candidate.ready => {
                Percent::ZERO
            }
            Split::AllAtOnce => seen,
            Split::Weights => {
                let not_carried = rest(carried(stable.ready, self.terms.stable_replicas));
                let carries = carried(candidate.ready, self.terms.whole());
                let graded = if not_carried <= carries {
                    not_carried
                } else {
                    // Both are short: each gets what it has a part in.
                    share(candidate, stable)
                };
                seen.min(graded)
            }
        }
    }

    fn sizes(&self) -> Sizes {
        let (candidate, stable) = (self.observed.candidate, self.observed.stable);
        let wanted = self.terms.stable_replicas;
        let whole = self.terms.whole();
        if self.split == Split::Replicas {
            let most = wanted.max(whole).saturating_add(self.surge);
            let room = most.saturating_sub(stable.total.saturating_add(candidate.total));
            let needed = match wanted {
                0 => 0,
                wanted => still_needed(whole, stable.ready, wanted, 0),
            };
            return Sizes {
                stable: wanted.min(stable.total.saturating_add(room)),
                candidate: candidate.total.min(needed),
            };
        }
        let is_quiet = self.observed.weight == Percent::ZERO && (candidate.is_idle || self.is_late);
        let is_needed = self.terms.has_stable() && stable.ready == 0 && candidate.ready > 0;
        Sizes {
            stable: wanted,
            candidate: if is_quiet && !is_needed {
                0
            } else {
                candidate.total
            },
        }
    }

    fn is_stable_ready(&self) -> bool {
        self.observed.stable.ready >= self.terms.stable_replicas
    }

    fn is_done(&self) -> bool {
        self.observed.candidate.total == 0
            && self.observed.weight == Percent::ZERO
            && self.is_stable_ready()
    }

    /// What is still to be done, in words.
    fn state(&self) -> String {
        let (ready, wanted) = (self.observed.stable.ready, self.terms.stable_replicas);
        let (weight, left) = (self.observed.weight, self.observed.candidate.total);
        let unready = (ready < wanted)
            .then(|| format!("{ready} of {wanted} replicas of the version before are ready"));
        let traffic = (weight > Percent::ZERO)
            .then(|| format!("{weight} of the traffic still goes to the new version"));
        let leftover = (left > 0).then(|| format!("{left} replicas of the new version are left"));
        let parts: Vec<String> = [unready, traffic, leftover].into_iter().flatten().collect();
        parts.join(", ")
    }
}

fn rest(share: Percent) -> Percent {
    let whole = Percent::ALL.parts_per_million();
    Percent::from_parts_per_million(whole.saturating_sub(share.parts_per_million()))
}
