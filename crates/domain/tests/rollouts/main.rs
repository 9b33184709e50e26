//! Rollouts against a simulated target: whatever replicas, routers and people do, no version gets more traffic than it
//! carries, the only healthy replicas stay, and it ends.

mod checks;
mod inputs;
mod world;

use domain::rollout::{Admission, End, Event, Rollouts};
use proptest::prelude::*;

use inputs::{Beginning, Case, Outlook};
use world::World;

/// Looks that a rollout may need to end, once nothing unexpected happens any more.
const ENOUGH: usize = 1_500;

fn run(case: &Case) -> Result<(World, Event), TestCaseError> {
    let mut world = World::new(case);
    for tick in &case.ticks {
        world.disturb(tick);
        if let Some(end) = world.look(tick.router_obeys, tick.pace)? {
            return Ok((world, end));
        }
    }
    for _ in 0..ENOUGH {
        world.calm_down(&case.outlook);
        if let Some(end) = world.look(true, u32::MAX)? {
            return Ok((world, end));
        }
    }
    Err(TestCaseError::fail(format!(
        "it does not end: {:?}",
        world.decide()
    )))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_rollout_holds_its_promises_whatever_happens(case in inputs::case()) {
        let (world, end) = run(&case)?;
        checks::at_the_end(&world, &end)?;
    }

    #[test]
    fn a_good_version_comes_in_where_nothing_else_happens(beginning in inputs::beginning()) {
        let outlook = Outlook::good();
        let (_, end) = run(&Case { beginning, ticks: Vec::new(), outlook })?;
        let is_complete = matches!(end, Event::Ended { end: End::Completed { .. }, .. });
        prop_assert!(is_complete, "{end:?}");
    }

    #[test]
    fn a_version_that_never_gets_ready_is_taken_back(beginning in inputs::beginning()) {
        let outlook = Outlook { candidate_comes_up: false, ..Outlook::good() };
        let has_stable = beginning.stable_replicas > 0;
        let (world, end) = run(&Case { beginning, ticks: Vec::new(), outlook })?;
        let is_back = matches!(end, Event::Ended { end: End::RolledBack { .. }, .. });
        prop_assert!(is_back, "{end:?}");
        prop_assert!(!has_stable || world.is_stable_whole(), "nothing happened to the old set");
    }

    #[test]
    fn a_newer_release_in_the_middle_waits_and_changes_nothing(
        beginning in inputs::beginning(),
        looks in 0..30_usize,
    ) {
        let mut world = World::new(&Case { beginning, ticks: Vec::new(), outlook: Outlook::good() });
        for _ in 0..looks {
            world.calm_down(&Outlook::good());
            if world.look(true, u32::MAX)?.is_some() {
                return Ok(());
            }
        }
        let (newer, before) = (Beginning::placement("newer", 99), world.rollouts());
        let admission = before.admit(&newer.run, newer.order, false, &[]);
        prop_assert!(matches!(admission, Admission::Wait { .. }), "{admission:?}");
        let sequence = before.last_sequence + 1;
        let pushed = Event::Started { placement: newer, plan: None };
        let after = before.clone().apply(sequence, pushed);
        prop_assert_eq!(after, Rollouts { last_sequence: sequence, ..before });
    }
}
