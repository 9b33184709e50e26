//! The rolling strategy as one pure step: from what is seen to what to do next.
//!
//! New replicas come before old ones go, within the surge; an old one goes only while enough others are ready. An old
//! replica first loses its place in the edge's table, then its requests under way end, then it is removed. Called
//! again and again with what is seen, the steps end: with the wanted replicas and nothing else, or with a reason why
//! that can't be.

/// What is seen of a replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Its name, unique in the environment.
    pub name: String,
    /// It runs the wanted version with the wanted configuration.
    pub is_wanted: bool,
    /// How it is.
    pub health: Health,
    /// It has a place in the table: requests go to it once it is ready.
    pub is_routed: bool,
    /// Requests under way at it, as far as known.
    pub in_flight: u64,
}

/// How a replica is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Health {
    /// It runs, and is not ready, or nobody has asked it yet.
    Starting,
    /// It answers its readiness check.
    Ready,
    /// It ended, or ends again and again.
    Failed {
        /// How it ended, with its last lines.
        reason: String,
    },
}

/// How many replicas there should be, and how far the number may be off meanwhile.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scale {
    /// Replicas wanted.
    pub replicas: usize,
    /// How many more there may be.
    pub surge: usize,
    /// How many fewer may be ready.
    pub unavailable: usize,
}

/// What to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Start so many replicas of the wanted version.
    Start(usize),
    /// Let requests go to exactly these replicas.
    Route(Vec<String>),
    /// Remove these: nothing is under way at them.
    Remove(Vec<String>),
    /// Look again soon.
    Wait,
    /// The wanted replicas are ready, and nothing else is there.
    Done,
    /// The wanted version does not come up.
    Fail {
        /// Why, for people.
        reason: String,
    },
}

/// Decides the next step. `is_overdue(name)` says that a replica's time to finish its requests is over.
#[must_use]
pub fn next(scale: Scale, replicas: &[Replica], is_overdue: impl Fn(&str) -> bool) -> Step {
    let wanted = || replicas.iter().filter(|r| r.is_wanted);
    if let Some(Health::Failed { reason }) = wanted()
        .map(|r| &r.health)
        .find(|h| matches!(h, Health::Failed { .. }))
    {
        return Step::Fail {
            reason: reason.clone(),
        };
    }
    let route = route(scale, replicas);
    let routed = replicas.iter().filter(|r| r.is_routed);
    if routed.map(|r| &r.name).ne(&route) {
        return Step::Route(route);
    }
    let removable = removable(replicas, is_overdue);
    if !removable.is_empty() {
        return Step::Remove(removable);
    }
    let missing = scale.replicas.saturating_sub(wanted().count());
    let surge = scale.surge.max(usize::from(scale.unavailable == 0));
    let room = (scale.replicas + surge).saturating_sub(replicas.len());
    if missing > 0 && room > 0 {
        return Step::Start(missing.min(room));
    }
    let ready = wanted().filter(|r| r.health == Health::Ready).count();
    if ready == scale.replicas && replicas.len() == scale.replicas {
        Step::Done
    } else {
        Step::Wait
    }
}

/// The replicas that should have a place in the table, in the order in which they are seen: the wanted ones, up to
/// their number, and as many old ones as are needed until enough of the wanted are ready, ready ones first.
fn route(scale: Scale, replicas: &[Replica]) -> Vec<String> {
    let wanted: Vec<&Replica> = replicas
        .iter()
        .filter(|r| r.is_wanted)
        .take(scale.replicas)
        .collect();
    let ready = wanted.iter().filter(|r| r.health == Health::Ready).count();
    let needed = scale
        .replicas
        .saturating_sub(scale.unavailable)
        .saturating_sub(ready);
    // Where nothing has a place, the table was lost: then every old one may be the one that still serves.
    let table_is_lost = !replicas.iter().any(|r| r.is_routed);
    let serves = |r: &&Replica| !r.is_wanted && (r.is_routed || table_is_lost);
    let mut old: Vec<&Replica> = replicas.iter().filter(serves).collect();
    old.sort_by_key(|r| r.health != Health::Ready);
    old.truncate(needed);
    let kept = |r: &&Replica| wanted.iter().chain(&old).any(|kept| kept.name == r.name);
    replicas
        .iter()
        .filter(kept)
        .map(|r| r.name.clone())
        .collect()
}

/// Replicas without a place in the table whose requests have ended. Called when the table is as it should be, so what
/// has no place is not needed.
fn removable(replicas: &[Replica], is_overdue: impl Fn(&str) -> bool) -> Vec<String> {
    let has_ended = |r: &Replica| {
        r.in_flight == 0 || matches!(r.health, Health::Failed { .. }) || is_overdue(&r.name)
    };
    replicas
        .iter()
        .filter(|r| !r.is_routed && has_ended(r))
        .map(|r| r.name.clone())
        .collect()
}

#[cfg(test)]
mod tests;
