use super::*;
use crate::rollout::{Beginning, End, OnFailure, Placement, Plan};
use crate::spec::{BlueGreen, Canary, Strategy};

fn placement(run: &str, order: u64) -> Placement {
    Placement {
        run: run.parse().unwrap(),
        origin: run.parse().unwrap(),
        order,
        version: format!("{order}.0.0"),
        repository: "registry/a".to_owned(),
        digest: format!("sha256:{order:064}").parse().unwrap(),
        is_rollback: false,
        at: Timestamp::UNIX_EPOCH,
    }
}

fn started(run: &str, order: u64, plan: Option<Plan>) -> Event {
    let placement = placement(run, order);
    Event::Started { placement, plan }
}

fn completed(run: &str) -> Event {
    Event::Ended {
        run: run.parse().unwrap(),
        end: End::Completed {
            address: "http://a".to_owned(),
        },
        at: Timestamp::UNIX_EPOCH,
    }
}

fn fold(events: &[Event]) -> Rollouts {
    Rollouts::fold((1..).zip(events.iter().cloned()))
}

fn canary() -> Plan {
    let steps = ["5%", "bake 2m", "100%"].map(|s| s.parse().unwrap());
    let strategy = Strategy::Canary(Canary {
        steps: steps.to_vec(),
        ..Canary::default()
    });
    Plan::compile(&strategy, Beginning::Older)
}

/// What a person asks for, one after the other; the last answer.
fn asked(plan: Plan, events: &[Act], ask: impl Fn(&Rollouts) -> Result<Event, Refusal>) -> String {
    let mut all = vec![started("r1", 1, Some(plan))];
    let now = Timestamp::UNIX_EPOCH;
    all.extend(
        events
            .iter()
            .map(|act| acted(&"r1".parse().unwrap(), act.clone(), now)),
    );
    match ask(&fold(&all)) {
        Ok(Event::Acted { act, .. }) => format!("{act:?}"),
        Ok(event) => panic!("{event:?}"),
        Err(refusal) => refusal.why,
    }
}

fn by() -> Actor {
    Actor("ada".to_owned())
}

fn run() -> RunId {
    "r1".parse().unwrap()
}

const NOW: Timestamp = Timestamp::UNIX_EPOCH;

fn paused(by: Option<Actor>) -> Act {
    let reason = "it is lunch".to_owned();
    Act::Paused { by, reason }
}

fn aborted() -> Act {
    let reason = "it is slow".to_owned();
    Act::AbortRequested { by: None, reason }
}

#[test]
fn who_pauses_can_resume_and_not_twice() {
    let pause = |r: &Rollouts| r.pause(&run(), &by(), "why not", NOW);
    let resume = |r: &Rollouts| r.resume(&run(), &by(), NOW);
    assert!(asked(canary(), &[], pause).starts_with("Paused"));
    assert_eq!(
        asked(canary(), &[paused(None)], pause),
        "the rollout of run r1 is paused already: it is lunch"
    );
    assert!(asked(canary(), &[paused(None)], resume).starts_with("Resumed"));
    assert_eq!(
        asked(canary(), &[], resume),
        "the rollout of run r1 is not paused; it is at step 1 of 4 (5%)"
    );
}

#[test]
fn only_what_waits_can_be_promoted() {
    let promote = |full| move |r: &Rollouts| r.promote(&run(), &by(), full, NOW);
    let entered = |index| Act::StepEntered { index };
    assert_eq!(
        asked(canary(), &[], promote(false)),
        "step 1 of 4 (5%) of the rollout of run r1 waits for replicas and traffic, which nobody can do without; \
         `--full` leaves out the steps after it"
    );
    let full = Act::Promoted {
        by: by(),
        full: true,
    };
    for (acts, is_full) in [
        (&[entered(1)][..], false),
        (&[paused(None)], false),
        (&[], true),
        (&[full.clone(), paused(None)], false),
    ] {
        let answer = asked(canary(), acts, promote(is_full));
        assert!(answer.starts_with("Promoted"), "{answer}");
    }
    let answer = asked(canary(), &[full], promote(true));
    assert!(answer.contains("goes to its end already"), "{answer}");
}

#[test]
fn nothing_but_a_retry_stops_an_abort() {
    let late = [
        asked(canary(), &[aborted()], |r| r.pause(&run(), &by(), "", NOW)),
        asked(canary(), &[aborted()], |r| r.resume(&run(), &by(), NOW)),
        asked(canary(), &[aborted()], |r| {
            r.promote(&run(), &by(), true, NOW)
        }),
        asked(canary(), &[aborted()], |r| r.abort(&run(), &by(), "", NOW)),
    ];
    for answer in late {
        assert_eq!(
            answer,
            "the rollout of run r1 is being taken back: it is slow"
        );
    }
    let retry = |r: &Rollouts| r.retry(&run(), &by(), NOW);
    assert!(asked(canary(), &[aborted()], retry).starts_with("Retried"));
    let held = canary().on_failure(OnFailure::Hold);
    assert!(asked(held, &[paused(None)], retry).starts_with("Retried"));
    for (acts, part) in [
        (vec![], "has not failed"),
        (vec![paused(Some(by()))], "has not failed"),
    ] {
        let answer = asked(canary(), &acts, retry);
        assert!(answer.contains(part), "{answer}");
    }
    let retried = fold(&[
        started("r1", 1, Some(canary())),
        acted(&run(), aborted(), NOW),
        acted(&run(), Act::Retried { by: by() }, NOW),
    ]);
    assert_eq!(retried.progress, Some(Progress::new(canary(), NOW)));
}

#[test]
fn only_the_rollout_under_way_can_be_asked_for_anything() {
    let state = fold(&[started("r2", 2, None)]);
    let why = state.abort(&run(), &by(), "", NOW).unwrap_err().why;
    assert_eq!(
        why,
        "the rollout of run r1 is not under way here; that of run r2 is"
    );
    let state = fold(&[started("r1", 1, None), completed("r1")]);
    let why = state.retry(&run(), &by(), NOW).unwrap_err().why;
    assert!(why.contains("slipway run retry r1"), "{why}");
}

#[test]
fn acts_of_other_rollouts_and_of_ended_ones_change_nothing() {
    let state = fold(&[started("r1", 1, Some(canary()))]);
    let other = acted(&"r2".parse().unwrap(), aborted(), NOW);
    let after = state.clone().apply(2, other);
    assert_eq!(after.progress, state.progress);
    let ended = state.apply(2, completed("r1"));
    let after = ended.clone().apply(3, acted(&run(), aborted(), NOW));
    assert_eq!(after.progress, None);
}

#[test]
fn a_rollout_of_an_earlier_version_is_a_rolling_update() {
    let state = fold(&[started("r1", 1, None)]);
    assert_eq!(state.progress.unwrap().plan, Plan::default());
}

#[test]
fn the_old_set_is_kept_for_its_time_or_until_the_next_rollout() {
    let blue_green = || {
        let strategy = Strategy::BlueGreen(BlueGreen::default());
        Plan::compile(&strategy, Beginning::Older)
    };
    let mut events = vec![
        started("r1", 1, None),
        completed("r1"),
        started("r2", 2, Some(blue_green())),
    ];
    assert_eq!(fold(&events).kept, None);
    events.push(completed("r2"));
    let kept = fold(&events).kept.expect("the old set is kept");
    assert_eq!(kept.placement.run.as_str(), "r1");
    let at = |seconds| Timestamp::from_second(seconds).unwrap();
    assert!(!kept.is_over(at(599)) && kept.is_over(at(600)));
    events.push(started("r3", 3, None));
    assert_eq!(fold(&events).kept, None);
    let first = [started("r1", 1, Some(blue_green())), completed("r1")];
    assert_eq!(fold(&first).kept, None, "there was nothing before");
}
