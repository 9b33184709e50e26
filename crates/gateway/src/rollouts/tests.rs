use domain::rollout::{Plan, Step};
use domain::run::Actor;
use domain::spec::{Percent, TimeSpan};

use super::*;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn started(run: &str, second: i64) -> Event {
    let placement = Placement {
        run: run.parse().unwrap(),
        origin: run.parse().unwrap(),
        order: 1,
        version: format!("1.0.{second}"),
        repository: "registry/orders".to_owned(),
        digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
        is_rollback: false,
        at: at(second),
    };
    let steps = vec![
        Step::Weight(Percent::of(10)),
        Step::Bake(TimeSpan::from_secs(60)),
        Step::Weight(Percent::ALL),
        Step::Retire,
    ];
    let plan = Plan {
        steps,
        ..Plan::default()
    };
    Event::Started {
        placement,
        plan: Some(plan),
    }
}

fn acted(run: &str, act: Act, second: i64) -> Event {
    Event::Acted {
        run: run.parse().unwrap(),
        act,
        at: at(second),
    }
}

fn entered(run: &str, index: u32, second: i64) -> Event {
    acted(run, Act::StepEntered { index }, second)
}

fn ended(run: &str, end: End, second: i64) -> Event {
    Event::Ended {
        run: run.parse().unwrap(),
        end,
        at: at(second),
    }
}

fn completed(run: &str, second: i64) -> Event {
    let address = "http://orders".to_owned();
    ended(run, End::Completed { address }, second)
}

fn fold(events: impl IntoIterator<Item = Event>) -> History {
    (1..)
        .zip(events)
        .fold(History::default(), |history, (sequence, event)| {
            history.apply(sequence, event)
        })
}

fn steps(history: &History) -> Vec<(usize, i64)> {
    let record = history.records.last().unwrap();
    let entered = record.entered.iter();
    entered.map(|(step, at)| (*step, at.as_second())).collect()
}

#[test]
fn an_event_that_comes_twice_or_too_late_changes_nothing() {
    let history = fold([started("run-1", 1), entered("run-1", 1, 5)]);
    let again = history.clone().apply(2, entered("run-1", 1, 5));
    assert_eq!(steps(&again), [(0, 1), (1, 5)]);
    let over = again.apply(3, completed("run-1", 9));
    let late = over
        .clone()
        .apply(
            4,
            acted(
                "run-1",
                Act::Resumed {
                    by: Actor::slipway(),
                },
                10,
            ),
        )
        .apply(5, entered("run-1", 2, 11))
        .apply(6, completed("run-1", 12));
    let record = late.records.last().unwrap();
    assert_eq!(steps(&late), [(0, 1), (1, 5)]);
    assert!(record.requests.is_empty());
    assert_eq!(record.ended.as_ref().unwrap().1, at(9));
    assert_eq!(late.sequence(), 6);
}

#[test]
fn what_comes_after_the_step_that_it_is_back_at_is_forgotten() {
    let mut events = vec![
        started("run-1", 1),
        entered("run-1", 1, 2),
        entered("run-1", 2, 3),
        entered("run-1", 3, 4),
        entered("run-1", 2, 5),
    ];
    assert_eq!(steps(&fold(events.clone())), [(0, 1), (1, 2), (2, 5)]);
    let reason = "wrong".to_owned();
    events.push(acted("run-1", Act::AbortRequested { by: None, reason }, 6));
    // It is on its way back: no step is entered any more.
    events.push(entered("run-1", 3, 7));
    assert_eq!(steps(&fold(events.clone())), [(0, 1), (1, 2), (2, 5)]);
    let by = Actor::slipway();
    events.push(acted("run-1", Act::Retried { by }, 8));
    let history = fold(events);
    assert_eq!(steps(&history), [(0, 8)]);
    assert_eq!(history.records[0].requests.len(), 2);
}

#[test]
fn a_start_that_was_said_twice_is_one_rollout_and_one_in_the_middle_is_none() {
    let history = fold([
        started("run-1", 1),
        entered("run-1", 1, 2),
        started("run-1", 3),
        started("run-2", 4),
    ]);
    assert_eq!(history.records.len(), 1);
    assert_eq!(steps(&history), [(0, 3)]);
}

#[test]
fn the_same_run_may_roll_out_again() {
    let reason = "it did not come up".to_owned();
    let history = fold([
        started("run-1", 1),
        completed("run-1", 2),
        started("run-2", 3),
        ended("run-2", End::RolledBack { reason }, 4),
        started("run-2", 5),
    ]);
    let run = "run-2".parse().unwrap();
    let newest = history.newest(Some(&run)).unwrap();
    assert_eq!((newest.sequence, newest.ended.is_none()), (5, true));
    assert_eq!(newest.before.as_deref(), Some("1.0.1"));
    assert_eq!(history.records.len(), 3);
}

#[test]
fn memory_keeps_the_newest() {
    let key = ("test".parse().unwrap(), "orders".parse().unwrap());
    let mut history = None;
    for number in 0..150 {
        let run = format!("run-{number}");
        for (place, event) in [started(&run, 1), completed(&run, 2)]
            .into_iter()
            .enumerate()
        {
            history = History::step(&key, history, number * 2 + place as u64 + 1, event);
        }
    }
    let history = history.unwrap();
    assert_eq!(history.records.len(), KEPT);
    assert_eq!(history.records[0].placement.run.as_str(), "run-50");
    assert_eq!(history.sequence(), 300);
}
