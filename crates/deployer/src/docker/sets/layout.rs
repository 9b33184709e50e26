//! Who of two sets goes, and who gets which share of the requests: from what is seen and what was decided.

use domain::rollout::{Set, Sizes};
use domain::spec::Percent;

/// Which version a replica is of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    /// The one that ran before.
    Stable,
    /// The one that is brought in.
    Candidate,
    /// Another, left over from before.
    Stray,
}

/// A replica of either set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Member {
    pub(super) name: String,
    pub(super) side: Side,
    /// It answers its readiness check.
    pub(super) is_ready: bool,
    /// Its weight in the table; none if it is not there.
    pub(super) weight: Option<u32>,
    /// Requests of testers go to it whatever its weight is.
    pub(super) is_marked: bool,
    /// Requests under way at it, as far as known.
    pub(super) in_flight: u64,
    /// The edge still knows it, in the table or because requests are under way.
    pub(super) is_listed: bool,
    /// It was told to go.
    pub(super) is_leaving: bool,
}

/// The replicas of a version that stay.
pub(super) fn set(members: &[Member], side: Side, is_idle: bool) -> Set {
    let staying = || of(members, side).filter(|m| !m.is_leaving);
    Set {
        total: count(staying()),
        ready: count(staying().filter(|m| m.is_ready)),
        is_idle,
    }
}

/// Whether no new request goes to a version.
pub(super) fn is_unrouted(members: &[Member], side: Side) -> bool {
    of(members, side).all(|m| m.weight.unwrap_or(0) == 0 && !m.is_marked)
}

/// Whether nothing is under way at a version.
pub(super) fn is_at_rest(members: &[Member], side: Side) -> bool {
    of(members, side).all(|m| m.in_flight == 0)
}

/// The candidate's share of the requests, as the table has it.
pub(super) fn weight(members: &[Member]) -> Percent {
    let sum = |wanted: &dyn Fn(&Member) -> bool| -> u64 {
        let weights = members.iter().filter(|m| wanted(m));
        weights.map(|m| u64::from(m.weight.unwrap_or(0))).sum()
    };
    let (all, candidate) = (sum(&|_| true), sum(&|m| m.side == Side::Candidate));
    if all == 0 {
        return Percent::ZERO;
    }
    let parts = (candidate * 1_000_000 + all / 2) / all;
    // Not quite all is not all.
    let parts = match parts {
        1_000_000 if candidate < all => 999_999,
        0 if candidate > 0 => 1,
        parts => parts,
    };
    Percent::from_parts_per_million(u32::try_from(parts).unwrap_or(u32::MAX))
}

/// What is to change in the numbers of replicas.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Change {
    /// Replicas to start of each version.
    pub(super) start: Sizes,
    /// Those that were told to go, and stay after all.
    pub(super) stay: Vec<String>,
    /// Those that are to go.
    pub(super) go: Vec<String>,
}

/// From the numbers that there are to those that there should be. Replicas that are not ready go first. What is left
/// over from other versions goes unless it serves in place of stable replicas that are not ready.
pub(super) fn change(members: &[Member], sizes: Sizes, stable_replicas: u32) -> Change {
    let mut change = Change::default();
    for (side, size) in [
        (Side::Stable, sizes.stable),
        (Side::Candidate, sizes.candidate),
    ] {
        let mut staying: Vec<&Member> = of(members, side).filter(|m| !m.is_leaving).collect();
        let there = count(staying.iter());
        let back = of(members, side).filter(|m| m.is_leaving && m.is_ready);
        let back = back.take(as_index(size.saturating_sub(there)));
        let stay: Vec<String> = back.map(|m| m.name.clone()).collect();
        let missing = size.saturating_sub(there.saturating_add(count(stay.iter())));
        change.stay.extend(stay);
        match side {
            Side::Stable => change.start.stable = missing,
            _ => change.start.candidate = missing,
        }
        staying.sort_by_key(|m| (m.is_ready, m.weight.is_some()));
        let surplus = as_index(there.saturating_sub(size));
        change
            .go
            .extend(staying.iter().take(surplus).map(|m| m.name.clone()));
    }
    let is_whole = set(members, Side::Stable, false).ready >= stable_replicas;
    let strays = of(members, Side::Stray).filter(|m| !m.is_leaving);
    let useless = strays.filter(|m| is_whole || m.weight.unwrap_or(0) == 0);
    change.go.extend(useless.map(|m| m.name.clone()));
    change
}

/// The weight of each member, in their order, where the candidate's share is `weight`. Each share is spread over the
/// replicas that are ready; where none of the stable set is, over all of it, so that the first that is gets requests.
pub(super) fn weights(members: &[Member], weight: Percent) -> Vec<u32> {
    let parts = weight.parts_per_million();
    let is_new = |m: &Member| m.side == Side::Candidate;
    let is_old = |m: &Member| !is_new(m);
    let ready = |old: bool| count(members.iter().filter(|m| is_old(m) == old && m.is_ready));
    let (ready_old, ready_new) = (ready(true), ready(false));
    let all_old = count(members.iter().filter(|m| is_old(m)));
    let each = |part: u32, receivers: u32| match part {
        0 => 0,
        part => (part / receivers.max(1)).max(1),
    };
    let weight_of = |m: &Member| match (is_new(m), m.is_ready) {
        (true, true) => each(parts, ready_new),
        (true, false) => 0,
        (false, true) => each(1_000_000 - parts, ready_old),
        (false, false) if ready_old == 0 => each(1_000_000 - parts, all_old),
        (false, false) => 0,
    };
    members.iter().map(weight_of).collect()
}

fn of(members: &[Member], side: Side) -> impl Iterator<Item = &Member> {
    members.iter().filter(move |m| m.side == side)
}

fn count<T>(all: impl Iterator<Item = T>) -> u32 {
    u32::try_from(all.count()).unwrap_or(u32::MAX)
}

fn as_index(count: u32) -> usize {
    usize::try_from(count).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn member(name: &str, side: Side, is_ready: bool, weight: Option<u32>) -> Member {
        Member {
            name: name.to_owned(),
            side,
            is_ready,
            weight,
            is_marked: false,
            in_flight: 0,
            is_listed: weight.is_some(),
            is_leaving: false,
        }
    }

    fn sizes(stable: u32, candidate: u32) -> Sizes {
        Sizes { stable, candidate }
    }

    #[test]
    fn shares_are_spread_over_those_that_are_ready_and_read_back_as_they_were_set() {
        let mut members = [
            member("a", Side::Stable, true, None),
            member("b", Side::Stable, true, None),
            member("c", Side::Stable, false, None),
            member("d", Side::Candidate, true, None),
            member("e", Side::Candidate, false, None),
        ];
        for percent in [0, 1, 25, 50, 99, 100] {
            let wanted = Percent::of(percent);
            let set = weights(&members, wanted);
            assert_eq!((set[2], set[4]), (0, 0), "{set:?}");
            assert_eq!(set[0], set[1]);
            for (member, weight) in members.iter_mut().zip(&set) {
                member.weight = Some(*weight);
            }
            assert_eq!(weight(&members), wanted);
        }
    }

    #[test]
    fn a_set_that_testers_reach_is_not_without_requests() {
        let mut members = [member("a", Side::Candidate, true, Some(0))];
        assert!(is_unrouted(&members, Side::Candidate));
        members[0].is_marked = true;
        assert!(!is_unrouted(&members, Side::Candidate));
    }

    #[test]
    fn nearly_all_is_not_all() {
        let members = [
            member("a", Side::Stable, true, Some(1)),
            member("b", Side::Candidate, true, Some(u32::MAX)),
        ];
        assert!(weight(&members) < Percent::ALL);
    }

    #[test]
    fn while_no_stable_replica_is_ready_all_of_them_wait_for_requests() {
        let members = [
            member("a", Side::Stable, false, None),
            member("b", Side::Candidate, false, None),
        ];
        assert_eq!(weights(&members, Percent::ZERO), [1_000_000, 0]);
    }

    #[test]
    fn those_that_are_not_ready_go_first() {
        let members = [
            member("a", Side::Candidate, true, Some(1)),
            member("b", Side::Candidate, false, Some(0)),
            member("c", Side::Candidate, true, Some(1)),
        ];
        let change = change(&members, sizes(0, 2), 0);
        assert_eq!(
            (change.go, change.start),
            (vec!["b".to_owned()], sizes(0, 0))
        );
    }

    #[test]
    fn one_that_was_told_to_go_stays_when_it_is_needed_again() {
        let mut leaving = member("a", Side::Stable, true, Some(0));
        leaving.is_leaving = true;
        let change = change(&[leaving], sizes(2, 0), 2);
        assert_eq!(
            (change.stay, change.start),
            (vec!["a".to_owned()], sizes(1, 0))
        );
    }

    #[test]
    fn leftovers_go_unless_they_serve_in_place_of_what_is_not_ready() {
        let stray = member("x", Side::Stray, true, Some(5));
        let unready = [member("a", Side::Stable, false, Some(0)), stray.clone()];
        assert!(change(&unready, sizes(1, 0), 1).go.is_empty());
        let ready = [member("a", Side::Stable, true, Some(0)), stray];
        assert_eq!(change(&ready, sizes(1, 0), 1).go, ["x"]);
    }
}
