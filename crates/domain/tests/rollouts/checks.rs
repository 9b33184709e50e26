//! What holds at each look, and at the end.

use domain::rollout::{Decision, End, Event, Next, Observed, Progress, Router, Sizes, Step, Terms};
use domain::spec::Percent;
use proptest::prelude::*;

use crate::world::World;

fn carried(ready: u32, wanted: u32) -> u32 {
    (ready * 1_000_000 / wanted.max(1)).min(1_000_000)
}

pub(crate) fn at_a_look(
    progress: &Progress,
    seen: &Observed,
    terms: &Terms,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let plan = &progress.plan;
    let is_rolling = plan
        .steps
        .iter()
        .any(|s| matches!(s, Step::Roll { .. } | Step::BringUp));
    let by_replicas = is_rolling || (terms.router == Router::ByReplicas && !plan.is_all_at_once());
    some_healthy_replica_stays(progress, seen, terms, decision)?;
    not_too_many(progress, seen, terms, decision)?;
    if !by_replicas {
        no_more_than_is_carried(progress, seen, terms, decision)?;
        no_set_goes_with_its_traffic(progress, seen, terms, decision)?;
    }
    match &decision.next {
        Next::Enter(index) => prop_assert!(*index < plan.steps.len()),
        Next::Pause { reason } | Next::Abort { reason } | Next::RolledBack { reason } => {
            prop_assert!(!reason.is_empty());
        }
        Next::Stay { why, .. } => prop_assert!(!why.is_empty()),
        Next::Complete => {
            prop_assert_eq!(seen.weight, Percent::ALL, "all the traffic");
            prop_assert!(seen.candidate.ready >= terms.replicas, "by all replicas");
        }
    }
    Ok(())
}

fn no_more_than_is_carried(
    progress: &Progress,
    seen: &Observed,
    terms: &Terms,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let (weight, was) = (
        decision.weight.parts_per_million(),
        seen.weight.parts_per_million(),
    );
    let carries = carried(seen.candidate.ready, terms.replicas);
    let stable_carries = carried(seen.stable.ready, terms.stable_replicas);
    if seen.candidate.ready == 0 {
        prop_assert_eq!(weight, 0, "nobody is there");
    }
    if progress.plan.is_all_at_once() {
        prop_assert!([0, 1_000_000].contains(&weight), "never mixed");
    }
    if progress.abort.is_none() {
        let stays_switched = was == 1_000_000
            && weight == was
            && (progress.plan.is_all_at_once() || progress.step() == Some(Step::Retire));
        prop_assert!(weight <= carries || stays_switched, "{weight} by {carries}");
        prop_assert!(
            weight <= progress.plan.weight_at(progress.index).parts_per_million(),
            "no more than the step"
        );
        return Ok(());
    }
    prop_assert!(weight <= was, "it never rises on the way back");
    if terms.stable_replicas > 0 && seen.stable.ready == terms.stable_replicas {
        prop_assert_eq!(weight, 0, "the old set is whole");
    }
    // What went back is carried, unless the new set can't carry it either.
    let (back, rest) = (was - weight, 1_000_000 - weight);
    if back > 0 && seen.candidate.ready > 0 && terms.stable_replicas > 0 {
        let both_are_short = carries + stable_carries < 1_000_000;
        let is_better = progress.plan.is_all_at_once() && seen.stable.ready >= seen.candidate.ready;
        prop_assert!(
            rest <= stable_carries || both_are_short || is_better,
            "{rest} by {stable_carries}"
        );
    }
    Ok(())
}

fn no_set_goes_with_its_traffic(
    progress: &Progress,
    seen: &Observed,
    terms: &Terms,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let Sizes { stable, candidate } = decision.sizes;
    if stable < seen.stable.total.min(terms.stable_replicas) {
        prop_assert_eq!(seen.weight, Percent::ALL);
        prop_assert!(seen.candidate.ready >= terms.replicas);
        prop_assert_eq!(progress.step(), Some(Step::Retire));
    }
    if candidate < seen.candidate.total && progress.abort.is_some() {
        prop_assert_eq!(seen.weight, Percent::ZERO);
    }
    if progress.abort.is_none() {
        let needed = carried(candidate, terms.replicas);
        prop_assert!(needed >= seen.weight.parts_per_million().min(1_000_000));
    }
    Ok(())
}

fn some_healthy_replica_stays(
    progress: &Progress,
    seen: &Observed,
    terms: &Terms,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let all_may_be_unavailable = progress.plan.steps.iter().any(|step| match step {
        Step::Roll {
            max_unavailable, ..
        } => max_unavailable.of(terms.replicas) >= terms.replicas,
        _ => false,
    });
    let there_was_nothing = terms.stable_replicas == 0 && progress.abort.is_some();
    if all_may_be_unavailable || there_was_nothing {
        return Ok(());
    }
    let was = seen.stable.ready + seen.candidate.ready;
    let stays = seen.stable.ready.min(decision.sizes.stable)
        + seen.candidate.ready.min(decision.sizes.candidate);
    prop_assert!(was == 0 || stays > 0, "{seen:?} {decision:?}");
    Ok(())
}

/// No more replicas than both versions and a surge, or than there are.
fn not_too_many(
    progress: &Progress,
    seen: &Observed,
    terms: &Terms,
    decision: &Decision,
) -> Result<(), TestCaseError> {
    let Sizes { stable, candidate } = decision.sizes;
    let (whole, base) = (terms.replicas, terms.replicas.max(terms.stable_replicas));
    prop_assert!(stable <= base.max(seen.stable.total).saturating_add(1));
    prop_assert!(candidate <= base.max(whole).max(seen.candidate.total).saturating_add(1));
    let rolls = progress.plan.steps.iter().find_map(|step| match step {
        Step::Roll { max_surge, .. } => Some(max_surge.of(whole).max(max_surge.of(base)).max(1)),
        _ => None,
    });
    if let Some(surge) = rolls {
        let most = (base + surge).max(seen.stable.total + seen.candidate.total);
        prop_assert!(stable + candidate <= most, "{seen:?} {decision:?}");
    }
    Ok(())
}

pub(crate) fn at_the_end(world: &World, end: &Event) -> Result<(), TestCaseError> {
    let Event::Ended { end, .. } = end else {
        return Err(TestCaseError::fail("not an end"));
    };
    let rollouts = world.rollouts();
    prop_assert!(rollouts.active.is_none() && rollouts.progress.is_none());
    match end {
        End::Completed { .. } => {
            prop_assert_eq!(
                rollouts.current().map(|c| c.placement.run.as_str()),
                Some("r1")
            );
        }
        End::RolledBack { reason } if reason.contains("no progress") => {}
        End::RolledBack { .. } => {
            prop_assert_eq!(world.observed().weight, Percent::ZERO);
            prop_assert_eq!(world.candidate.total, 0);
            prop_assert!(rollouts.current().is_none());
        }
        End::Restored { .. } => return Err(TestCaseError::fail("nobody asked for that")),
    }
    Ok(())
}
