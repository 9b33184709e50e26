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
                plan: None,
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
            plan: None,
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
        plan: None,
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

fn restored(run: &str, address: &str) -> [Event; 2] {
    let run: RunId = run.parse().unwrap();
    let end = End::Restored {
        reason: "its tests are red".to_owned(),
        address: address.to_owned(),
    };
    let at = Timestamp::UNIX_EPOCH;
    [
        Event::RestoreStarted {
            run: run.clone(),
            at,
        },
        Event::Ended { run, end, at },
    ]
}

fn after(state: Rollouts, events: impl IntoIterator<Item = Event>) -> Rollouts {
    events.into_iter().fold(state, |state, event| {
        let next = state.last_sequence + 1;
        state.apply(next, event)
    })
}

#[test]
fn what_is_taken_out_leaves_everything_as_it_was_before() {
    let (one, two) = (
        placement("r1", 1, false, 'a'),
        placement("r2", 2, false, 'b'),
    );
    let before = whole(std::slice::from_ref(&one));
    let complete = whole(&[one, two]);
    let after = after(complete, restored("r2", "http://elsewhere"));
    assert_eq!(after.highest_order, before.highest_order);
    assert_eq!(
        (after.line.len(), after.history.len(), &after.restoring),
        (1, 1, &None)
    );
    let current = after.current().unwrap();
    assert_eq!(
        (current.placement.run.as_str(), current.address.as_str()),
        ("r1", "http://elsewhere")
    );
    let (taken_out, why) = after.last_rolled_back.as_ref().unwrap();
    assert_eq!(
        (taken_out.run.as_str(), why.as_str()),
        ("r2", "its tests are red")
    );
    assert_eq!(
        after.admit(&"r2".parse().unwrap(), 2, false, &[]),
        Admission::Go,
        "a retry"
    );
}

#[test]
fn the_first_version_that_is_taken_out_leaves_nothing() {
    let state = after(whole(&[placement("r1", 1, false, 'a')]), restored("r1", ""));
    assert_eq!(
        state,
        Rollouts {
            last_sequence: 4,
            ..Rollouts::default()
        }
    );
}

#[test]
fn what_is_newer_stays_and_does_not_go_back_to_what_is_red() {
    let state = whole(&[
        placement("r1", 1, false, 'a'),
        placement("r2", 2, false, 'b'),
        placement("r3", 3, false, 'c'),
    ]);
    let mut state = after(state, restored("r2", ""));
    let current = |state: &Rollouts| state.current().unwrap().placement.run.to_string();
    assert_eq!((current(&state).as_str(), state.highest_order), ("r3", 3));
    assert_eq!(state.last_rolled_back, None);
    state = after(state, restored("r3", ""));
    assert_eq!(current(&state), "r1");
}

#[test]
fn while_something_is_taken_out_nothing_is_brought_in() {
    let [started, ended] = restored("r1", "");
    let state = after(whole(&[placement("r1", 1, false, 'a')]), [started]);
    let (r1, r2) = ("r1".parse().unwrap(), "r2".parse().unwrap());
    assert_eq!(state.restoration(&r1), Restoration::Resume);
    assert!(matches!(state.restoration(&r2), Restoration::Wait { .. }));
    for wanted in [false, true] {
        assert!(matches!(
            state.admit(&r2, 2, wanted, &[]),
            Admission::Wait { .. }
        ));
    }
    let late = Event::Started {
        placement: placement("r2", 2, false, 'b'),
        plan: None,
    };
    let state = after(state, [late, ended]);
    assert_eq!(state.active, None);
    assert_eq!(state.restoration(&r1), Restoration::Needless);
}

#[test]
fn what_can_not_be_taken_out_stays() {
    let [started, _] = restored("r2", "");
    let run: RunId = "r2".parse().unwrap();
    let end = End::RolledBack {
        reason: "1.0.0 does not come up any more".to_owned(),
    };
    let at = Timestamp::UNIX_EPOCH;
    let before = whole(&[
        placement("r1", 1, false, 'a'),
        placement("r2", 2, false, 'b'),
    ]);
    let state = after(before.clone(), [started, Event::Ended { run, end, at }]);
    assert_eq!((state.line, state.restoring), (before.line, None));
}

#[test]
fn only_what_is_there_can_be_taken_out() {
    let back = whole(&[
        placement("r1", 1, false, 'a'),
        placement("r2", 2, false, 'b'),
        placement("r3", 3, true, 'a'),
    ]);
    for run in ["r2", "r3", "r9"] {
        let run: RunId = run.parse().unwrap();
        assert_eq!(back.restoration(&run), Restoration::Needless, "{run}");
        let state = after(back.clone(), restored(run.as_str(), ""));
        assert_eq!(state.line, back.line, "{run}");
    }
}
