use proptest::prelude::*;

use super::*;

/// A target that does what a step says; time passes when the step is to wait.
#[derive(Debug, Clone, Default)]
struct World {
    replicas: Vec<Replica>,
    started: usize,
}

impl World {
    fn with_old(count: usize) -> Self {
        let old = |n| Replica {
            name: format!("old-{n}"),
            is_wanted: false,
            health: Health::Ready,
            is_routed: true,
            in_flight: 1,
        };
        Self {
            replicas: (0..count).map(old).collect(),
            started: 0,
        }
    }

    fn serving(&self) -> usize {
        self.replicas
            .iter()
            .filter(|r| r.is_routed && r.health == Health::Ready)
            .count()
    }

    fn act(&mut self, step: &Step) {
        match step {
            Step::Start(count) => {
                for _ in 0..*count {
                    self.started += 1;
                    self.replicas.push(Replica {
                        name: format!("new-{}", self.started),
                        is_wanted: true,
                        health: Health::Starting,
                        is_routed: false,
                        in_flight: 0,
                    });
                }
            }
            Step::Route(names) => {
                self.replicas
                    .iter_mut()
                    .for_each(|r| r.is_routed = names.contains(&r.name));
            }
            Step::Remove(names) => self.replicas.retain(|r| !names.contains(&r.name)),
            Step::Wait => {
                for replica in &mut self.replicas {
                    replica.health = Health::Ready;
                    replica.in_flight = u64::from(replica.is_routed);
                }
            }
            Step::Done | Step::Fail { .. } => {}
        }
    }
}

fn run(world: &mut World, scale: Scale) -> Step {
    for _ in 0..1_000 {
        let step = next(scale, &world.replicas, |_| false);
        if matches!(step, Step::Done | Step::Fail { .. }) {
            return step;
        }
        world.act(&step);
    }
    panic!("the rollout does not end: {world:?}");
}

fn scale(replicas: usize, surge: usize, unavailable: usize) -> Scale {
    Scale {
        replicas,
        surge,
        unavailable,
    }
}

#[test]
fn a_first_rollout_starts_all_replicas_at_once() {
    assert_eq!(next(scale(3, 1, 0), &[], |_| false), Step::Start(3));
}

#[test]
fn an_old_replica_goes_only_when_a_new_one_is_ready() {
    let mut world = World::with_old(2);
    assert_eq!(
        next(scale(2, 1, 0), &world.replicas, |_| false),
        Step::Start(1)
    );
    world.act(&Step::Start(1));
    let route = next(scale(2, 1, 0), &world.replicas, |_| false);
    assert_eq!(
        route,
        Step::Route(vec!["old-0".into(), "old-1".into(), "new-1".into()])
    );
    world.act(&route);
    assert_eq!(next(scale(2, 1, 0), &world.replicas, |_| false), Step::Wait);
    world.act(&Step::Wait);
    assert_eq!(
        next(scale(2, 1, 0), &world.replicas, |_| false),
        Step::Route(vec!["old-0".into(), "new-1".into()])
    );
}

#[test]
fn a_replica_with_requests_under_way_is_not_removed_before_its_time() {
    let mut world = World::with_old(1);
    world.replicas[0].is_routed = false;
    world.replicas.push(Replica {
        name: "new-1".into(),
        is_wanted: true,
        health: Health::Ready,
        is_routed: true,
        in_flight: 0,
    });
    assert_eq!(next(scale(1, 1, 0), &world.replicas, |_| false), Step::Wait);
    assert_eq!(
        next(scale(1, 1, 0), &world.replicas, |_| true),
        Step::Remove(vec!["old-0".into()])
    );
}

#[test]
fn a_lost_table_is_made_anew_before_anything_is_removed() {
    let mut world = World::with_old(2);
    world.replicas.iter_mut().for_each(|r| r.is_routed = false);
    let step = next(scale(2, 1, 0), &world.replicas, |_| true);
    assert_eq!(step, Step::Route(vec!["old-0".into(), "old-1".into()]));
}

#[test]
fn a_replica_that_ends_fails_the_rollout() {
    let mut world = World::with_old(1);
    world.act(&Step::Start(1));
    world.replicas[1].health = Health::Failed {
        reason: "exit code 1".into(),
    };
    assert_eq!(
        next(scale(1, 1, 0), &world.replicas, |_| false),
        Step::Fail {
            reason: "exit code 1".into()
        }
    );
}

proptest! {
    #[test]
    fn every_rollout_ends_and_never_serves_with_fewer_than_allowed(
        old in 0_usize..6, replicas in 1_usize..6, surge in 0_usize..4, unavailable in 0_usize..4, forget in any::<bool>()
    ) {
        let scale = scale(replicas, surge, unavailable);
        let mut world = World::with_old(old);
        if forget {
            world.replicas.iter_mut().for_each(|r| r.is_routed = false);
        }
        let floor = old.min(replicas.saturating_sub(unavailable));
        for _ in 0..1_000 {
            let step = next(scale, &world.replicas, |_| false);
            if step == Step::Done {
                break;
            }
            world.act(&step);
            let bound = (replicas + surge.max(usize::from(unavailable == 0))).max(old);
            prop_assert!(world.replicas.len() <= bound, "{} replicas after {step:?}", world.replicas.len());
            let table_was_lost = forget && !world.replicas.iter().any(|r| r.is_routed);
            prop_assert!(table_was_lost || world.serving() >= floor, "{} serve after {step:?}", world.serving());
        }
        prop_assert_eq!(run(&mut world, scale), Step::Done);
        prop_assert!(world.replicas.iter().all(|r| r.is_wanted && r.is_routed));
        prop_assert_eq!(world.replicas.len(), replicas);
    }

    #[test]
    fn going_back_in_the_middle_ends_with_the_old_version(
        replicas in 1_usize..6, surge in 0_usize..4, unavailable in 0_usize..4, steps in 0_usize..30
    ) {
        let scale = scale(replicas, surge, unavailable);
        let mut world = World::with_old(replicas);
        for _ in 0..steps {
            let step = next(scale, &world.replicas, |_| false);
            world.act(&step);
        }
        for replica in &mut world.replicas {
            replica.is_wanted = !replica.is_wanted;
        }
        prop_assert_eq!(run(&mut world, scale), Step::Done);
    }
}
