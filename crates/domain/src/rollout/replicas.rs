//! How many replicas carry which share of the traffic, and how their numbers move.

use super::decide::{Set, Sizes};
use crate::spec::Percent;

const WHOLE: u64 = 1_000_000;

/// The share of the traffic that `ready` replicas carry where `wanted` carry all of it.
pub(super) fn carried(ready: u32, wanted: u32) -> Percent {
    let parts = u64::from(ready) * WHOLE / u64::from(wanted.max(1));
    Percent::from_parts_per_million(u32::try_from(parts).unwrap_or(u32::MAX))
}

/// The replicas that the new version needs for a share of the traffic that a router measures out: at least one.
pub(super) fn exact(replicas: u32, weight: Percent) -> u32 {
    let parts = u64::from(replicas) * u64::from(weight.parts_per_million());
    u32::try_from(parts.div_ceil(WHOLE)).map_or(replicas, |needed| needed.clamp(1, replicas.max(1)))
}

/// The replicas of both versions whose numbers come nearest to a share, where traffic goes to all alike.
///
/// The arithmetic of Argo Rollouts (`utils/replicaset/canary.go`): of the whole numbers around the share, out of
/// `replicas` or, where one more is allowed, one more, the nearest; some of each wherever the share is some of each.
pub(super) fn split(replicas: u32, weight: Percent, may_surge: bool) -> Sizes {
    let parts = u64::from(weight.parts_per_million());
    let shares = u64::from(replicas) * parts;
    let whole = |count: u64| u32::try_from(count).unwrap_or(replicas);
    let (floor, ceil) = (whole(shares / WHOLE), whole(shares.div_ceil(WHOLE)));
    let is_extreme = parts == 0 || parts == WHOLE || (replicas == 1 && !may_surge);
    let is_tied = |total: u32| u64::from(total) * parts % WHOLE == WHOLE / 2;
    let floor_of = |total: u32| {
        let allowed = !is_tied(total) && (floor != 0 || is_extreme);
        allowed.then_some((floor, total))
    };
    let more = replicas.saturating_add(1);
    let options = [
        (ceil < replicas || is_extreme).then_some((ceil, replicas)),
        floor_of(replicas),
        may_surge.then_some((ceil, more)),
        floor_of(more).filter(|_| may_surge),
    ];
    // As a fraction of `total`, so that two compare without rounding.
    let distance = |(candidate, total): (u32, u32)| {
        let is = u64::from(candidate) * WHOLE;
        u128::from(is.abs_diff(parts * u64::from(total)))
    };
    let nearest = options.into_iter().flatten().reduce(|best, option| {
        let nearer = distance(option) * u128::from(best.1) < distance(best) * u128::from(option.1);
        if nearer { option } else { best }
    });
    let (candidate, total) = nearest.unwrap_or((floor.max(1), replicas));
    Sizes {
        stable: total.saturating_sub(candidate),
        candidate,
    }
}

/// What holds while replicas are replaced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Leeway {
    /// The most replicas of both versions together.
    pub(super) most: u32,
    /// The ready replicas that are needed of each, as things stand.
    pub(super) keep: Sizes,
}

/// The next sizes on the way to `goal`: new replicas as far as there is room, and fewer only where enough are ready.
pub(super) fn toward(goal: Sizes, stable: Set, candidate: Set, leeway: Leeway) -> Sizes {
    let room = leeway
        .most
        .saturating_sub(stable.total.saturating_add(candidate.total));
    // The stable set is filled first: it is the one that is known to be good.
    let stable_size = resized(stable, goal.stable, room, leeway.keep.stable);
    let room = room.saturating_sub(stable_size.saturating_sub(stable.total));
    Sizes {
        stable: stable_size,
        candidate: resized(candidate, goal.candidate, room, leeway.keep.candidate),
    }
}

/// A set's next size on the way to its goal.
fn resized(set: Set, goal: u32, room: u32, keep: u32) -> u32 {
    if goal >= set.total {
        return set.total + room.min(goal - set.total);
    }
    // Those that are not ready are missed by nobody.
    let unready = set.total.saturating_sub(set.ready);
    let removable = unready.saturating_add(set.ready.saturating_sub(keep));
    set.total - removable.min(set.total - goal)
}

/// The ready replicas that are needed out of `all`, where `ready` of the `whole` of the other version are there and
/// `unavailable` of them need not be.
pub(super) fn still_needed(all: u32, ready: u32, whole: u32, unavailable: u32) -> u32 {
    let whole = whole.max(1);
    let missing = whole.saturating_sub(unavailable).saturating_sub(ready);
    let needed = (u64::from(all) * u64::from(missing)).div_ceil(u64::from(whole));
    u32::try_from(needed).unwrap_or(all)
}

#[cfg(test)]
mod tests;
