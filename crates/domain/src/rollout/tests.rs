use super::*;

fn placement(run: &str, order: u64, is_rollback: bool, image: char) -> Placement {
    Placement {
        run: run.parse().unwrap(),
        origin: run.parse().unwrap(),
        order,
        version: format!("{order}.0.0"),
        repository: "registry/a".to_owned(),
        digest: format!("sha256:{}", image.to_string().repeat(64))
            .parse()
            .unwrap(),
        is_rollback,
        at: Timestamp::UNIX_EPOCH,
    }
}

fn whole(placements: &[Placement]) -> Rollouts {
    let events = placements.iter().flat_map(|p| {
        let end = End::Completed {
            address: "http://a".to_owned(),
        };
        [
            Event::Started {
                placement: p.clone(),
            },
            Event::Ended {
                run: p.run.clone(),
                end,
                at: Timestamp::UNIX_EPOCH,
            },
        ]
    });
    Rollouts::fold((1..).zip(events))
}

#[test]
fn a_rollback_is_never_rolled_back() {
    let state = whole(&[
        placement("r1", 1, false, 'a'),
        placement("r2", 2, false, 'b'),
        placement("r3", 3, false, 'c'),
        placement("r4", 4, true, 'b'),
    ]);
    assert_eq!(state.current().unwrap().placement.run.as_str(), "r4");
    assert_eq!(state.previous().unwrap().placement.run.as_str(), "r1");
    assert_eq!(state.history.len(), 4);
}

#[test]
fn nothing_overtakes() {
    let state = whole(&[placement("r1", 1, false, 'a')]);
    let r3 = "r3".parse().unwrap();
    let earlier = |is_coming| {
        [Neighbour {
            run: "r2".parse().unwrap(),
            order: 2,
            is_coming,
        }]
    };
    assert!(matches!(
        state.admit(&r3, 3, false, &earlier(true)),
        Admission::Wait { .. }
    ));
    assert_eq!(state.admit(&r3, 3, false, &earlier(false)), Admission::Go);
    assert_eq!(state.admit(&r3, 3, true, &earlier(true)), Admission::Go);
}

#[test]
fn what_was_overtaken_does_not_come_back_by_itself() {
    let state = whole(&[placement("r5", 5, false, 'a')]);
    let r4 = "r4".parse().unwrap();
    assert!(matches!(
        state.admit(&r4, 4, false, &[]),
        Admission::Overtaken { .. }
    ));
    assert_eq!(state.admit(&r4, 4, true, &[]), Admission::Go);
}

#[test]
fn one_rollout_at_a_time_and_its_run_resumes_it() {
    let state = Rollouts::fold([(
        1,
        Event::Started {
            placement: placement("r1", 1, false, 'a'),
        },
    )]);
    assert_eq!(
        state.admit(&"r1".parse().unwrap(), 1, false, &[]),
        Admission::Resume
    );
    assert!(matches!(
        state.admit(&"r2".parse().unwrap(), 2, true, &[]),
        Admission::Wait { .. }
    ));
}

#[test]
fn the_end_of_another_rollout_changes_nothing() {
    let started = Event::Started {
        placement: placement("r1", 1, false, 'a'),
    };
    let end = End::RolledBack {
        reason: "late".to_owned(),
    };
    let other = Event::Ended {
        run: "r0".parse().unwrap(),
        end,
        at: Timestamp::UNIX_EPOCH,
    };
    let state = Rollouts::fold([(1, started), (2, other)]);
    assert!(state.active.is_some());
}
