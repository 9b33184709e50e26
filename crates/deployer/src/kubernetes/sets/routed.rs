//! How a share of the traffic comes about with a route that leads to two backends, each of which leads to one of the two
//! sets. Pure.
//!
//! A backend changes sides only while it has no traffic, or while it makes no difference; and it gets traffic only when
//! everybody has had the time to learn where it leads. So at rest both lead to the set that serves; a rollout gives the
//! canary's backend to the candidate and moves the weights; at its end the stable backend follows, and the weights go
//! back to where they were.

use std::time::Duration;

use domain::spec::Percent;
use tokio::time::Instant;

/// How long every proxy may take to learn of a change.
const SETTLE: Duration = Duration::from_secs(2);

/// What a look at a route and its backends shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Routed {
    /// The share of the canary's backend.
    pub(super) weight: Percent,
    /// The stable backend leads to the candidate.
    pub(super) stable: bool,
    /// The canary's backend leads to the candidate.
    pub(super) canary: bool,
}

/// One change of a route or of what one of its backends leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// The canary's backend gets this share.
    Weigh(Percent),
    /// The stable backend leads to the candidate, or to the version before.
    LeadStable { to_candidate: bool },
    /// The canary's backend leads to the candidate.
    LeadCanary,
}

/// What there should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Goal {
    /// The candidate's share.
    pub(super) share: Percent,
    /// The candidate is brought in, and has replicas.
    pub(super) comes: bool,
    /// The version before is on its way out.
    pub(super) replaces: bool,
}

/// Which of what was seen has been so for long enough.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Steady {
    pub(super) weight: bool,
    pub(super) backends: bool,
}

impl Routed {
    /// A route that has no traffic for the candidate.
    pub(super) const NOTHING: Self = Self {
        weight: Percent::ZERO,
        stable: false,
        canary: false,
    };

    /// The candidate's share of the traffic.
    pub(super) fn share(self) -> Percent {
        match (self.stable, self.canary) {
            (true, true) => Percent::ALL,
            (true, false) => rest(self.weight),
            (false, true) => self.weight,
            (false, false) => Percent::ZERO,
        }
    }

    /// Whether all is as it is at rest, with the candidate.
    pub(super) fn rests_with_candidate(self) -> bool {
        self.stable && self.canary && self.weight == Percent::ZERO
    }
}

/// The next change, if one is due and can be made already.
pub(super) fn next(seen: Routed, goal: Goal, steady: Steady) -> Option<Move> {
    let weigh = |share: Percent| (seen.weight != share).then_some(Move::Weigh(share));
    match (seen.stable, seen.canary) {
        // It makes no difference yet; but the canary's backend must have no traffic when it changes sides.
        (false, false) => weigh(Percent::ZERO).or_else(|| {
            let is_due = goal.comes && steady.weight;
            is_due.then_some(Move::LeadCanary)
        }),
        (false, true) if !steady.backends => None,
        (false, true) if goal.replaces && seen.weight == Percent::ALL => {
            let to_candidate = true;
            steady.weight.then_some(Move::LeadStable { to_candidate })
        }
        (false, true) => weigh(goal.share),
        // It makes no difference any more.
        (true, true) if goal.share == Percent::ALL => {
            weigh(Percent::ZERO).filter(|_| steady.backends && goal.replaces)
        }
        (true, true) => weigh(Percent::ALL).or_else(|| {
            let to_candidate = false;
            steady.weight.then_some(Move::LeadStable { to_candidate })
        }),
        // Nobody makes it so; all that goes to the stable backend goes to the candidate, until it leads back.
        (true, false) => weigh(Percent::ZERO).or_else(|| steady.weight.then_some(Move::LeadCanary)),
    }
}

fn rest(share: Percent) -> Percent {
    let whole = Percent::ALL.parts_per_million();
    Percent::from_parts_per_million(whole - share.parts_per_million())
}

/// Since when a route and its backends are as they are.
#[derive(Debug, Default)]
pub(super) struct Settling {
    weight: Option<(Percent, Instant)>,
    backends: Option<((bool, bool), Instant)>,
}

impl Settling {
    /// Takes in what a look shows.
    pub(super) fn saw(&mut self, seen: Routed) -> Steady {
        Steady {
            weight: is_steady(&mut self.weight, seen.weight),
            backends: is_steady(&mut self.backends, (seen.stable, seen.canary)),
        }
    }
}

fn is_steady<T: PartialEq>(before: &mut Option<(T, Instant)>, now: T) -> bool {
    if before.as_ref().is_none_or(|(value, _)| *value != now) {
        *before = Some((now, Instant::now()));
    }
    before
        .as_ref()
        .is_some_and(|(_, since)| since.elapsed() >= SETTLE)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YES: Steady = Steady {
        weight: true,
        backends: true,
    };

    fn after(mut seen: Routed, step: Move) -> Routed {
        match step {
            Move::Weigh(share) => seen.weight = share,
            Move::LeadStable { to_candidate } => seen.stable = to_candidate,
            Move::LeadCanary => seen.canary = true,
        }
        seen
    }

    fn goal(percent: u32) -> Goal {
        Goal {
            share: Percent::of(percent),
            comes: true,
            replaces: false,
        }
    }

    /// All that happens on the way to a goal.
    fn way(mut seen: Routed, goal: Goal) -> Vec<Routed> {
        let mut way = vec![seen];
        while let Some(step) = next(seen, goal, YES) {
            seen = after(seen, step);
            way.push(seen);
            assert!(way.len() < 10, "it has no end: {way:?}");
        }
        way
    }

    fn all() -> impl Iterator<Item = Routed> {
        let weights = [0, 5, 50, 100].map(Percent::of);
        weights.into_iter().flat_map(|weight| {
            [(false, false), (false, true), (true, false), (true, true)].map(|(stable, canary)| {
                Routed {
                    weight,
                    stable,
                    canary,
                }
            })
        })
    }

    #[test]
    fn every_way_ends_at_its_goal_and_the_share_leaves_no_bounds_on_it() {
        for seen in all() {
            for percent in [0, 5, 50, 100] {
                let goal = goal(percent);
                let way = way(seen, goal);
                let last = way.last().expect("the beginning").share();
                assert_eq!(last, goal.share, "{way:?}");
                // From a route that nobody of us leaves so the share may first be all.
                let begins_odd = seen.stable && !seen.canary;
                let (least, most) = (seen.share().min(goal.share), seen.share().max(goal.share));
                for at in &way {
                    let share = at.share();
                    assert!(
                        begins_odd || (least..=most).contains(&share),
                        "{seen:?} to {goal:?}: {way:?}"
                    );
                }
            }
        }
    }

    #[test]
    fn at_the_end_both_backends_lead_to_the_candidate_and_the_weights_rest() {
        let replaces = Goal {
            replaces: true,
            ..goal(100)
        };
        let begun = Routed {
            weight: Percent::of(50),
            canary: true,
            ..Routed::NOTHING
        };
        let way = way(begun, replaces);
        assert!(
            way.last().expect("the end").rests_with_candidate(),
            "{way:?}"
        );
        let shares: Vec<Percent> = way.iter().map(|at| at.share()).collect();
        assert!(shares.is_sorted(), "{way:?}");
    }

    #[test]
    fn a_backend_changes_sides_without_traffic_and_gets_some_when_all_know_it() {
        let unsteady = Steady {
            backends: false,
            ..YES
        };
        let pinned = Routed {
            canary: true,
            ..Routed::NOTHING
        };
        assert_eq!(next(pinned, goal(25), unsteady), None);
        assert_eq!(
            next(pinned, goal(25), YES),
            Some(Move::Weigh(Percent::of(25)))
        );
        let all = Routed {
            weight: Percent::ALL,
            ..pinned
        };
        let moving = Steady {
            weight: false,
            ..YES
        };
        let replaces = Goal {
            replaces: true,
            ..goal(100)
        };
        assert_eq!(next(all, replaces, moving), None);
        assert_eq!(
            next(all, replaces, YES),
            Some(Move::LeadStable { to_candidate: true })
        );
        let both = Routed {
            stable: true,
            ..all
        };
        assert_eq!(next(both, replaces, unsteady), None);
        assert_eq!(
            next(both, goal(0), YES),
            Some(Move::LeadStable {
                to_candidate: false
            }),
        );
        // Nothing is touched for a candidate that is not there.
        let absent = Goal {
            comes: false,
            ..goal(0)
        };
        assert_eq!(next(Routed::NOTHING, absent, YES), None);
    }
}
