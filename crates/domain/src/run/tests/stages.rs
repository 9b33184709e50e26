//! How stages begin, end and begin again.

use jiff::SignedDuration;

use super::story::{
    FULL, IMAGE_ONLY, STAGING, Story, TWO_MUST_AGREE, actor, change, created, errored, failure,
    name, run_id, success, worker,
};
use crate::run::apply::{MAX_ATTEMPTS, back_off};
use crate::run::{Claim, Event, Kind, Run, RunState};
use crate::stage::Outcome;

#[test]
fn a_run_is_queued_until_its_first_stage_begins() {
    let mut story = Story::full();
    assert_eq!(
        (story.run.state(), story.ready()),
        (RunState::Queued, vec!["build".to_owned()])
    );
    story.start("build");
    assert_eq!(
        (story.run.state(), story.ready()),
        (RunState::Running, vec![])
    );
}

#[test]
fn a_stage_begins_when_all_that_it_needs_has_passed() {
    let mut story = Story::proposal();
    story.pass("build");
    assert_eq!(story.ready(), ["unit-test", "image"]);
    story.pass("image");
    assert_eq!(story.ready(), ["unit-test", "functional-test"]);
    story.pass("functional-test");
    story.pass("unit-test");
    assert_eq!(story.run.state(), RunState::Succeeded);
    assert_eq!(story.run.reason(), "");
}

#[test]
fn publish_waits_for_the_unit_tests_too() {
    let mut story = Story::full();
    for stage in ["build", "image", "functional-test"] {
        story.pass(stage);
    }
    assert_eq!(story.ready(), ["unit-test"]);
    story.pass("unit-test");
    assert_eq!(story.ready(), ["publish"]);
}

#[test]
fn a_skipped_stage_has_passed() {
    let mut story = Story::proposal();
    story.start("build");
    story.end(
        "build",
        Outcome::Skipped {
            reason: "seen in r0".to_owned(),
            result: Box::default(),
        },
    );
    assert_eq!(story.ready(), ["unit-test", "image"]);
}

#[test]
fn what_failed_keeps_back_only_what_needs_it() {
    let mut story = Story::full();
    story.pass("build");
    story.start("unit-test");
    story.end("unit-test", failure());
    assert_eq!(story.ready(), ["image"]);
    assert_eq!(story.run.state(), RunState::Running);
    assert_eq!(
        story.run.stage(&name("publish")).unwrap().reason(),
        "not reached: unit-test failed"
    );
    story.pass("image");
    story.pass("functional-test");
    assert_eq!(story.run.state(), RunState::Failed);
    assert_eq!(story.run.reason(), "unit-test: two tests are red");
}

#[test]
fn what_is_red_is_not_tried_again() {
    let mut story = Story::proposal();
    story.start("build");
    story.end("build", failure());
    assert_eq!(story.run.state(), RunState::Failed);
    assert_eq!(story.run.ready(), []);
}

#[test]
fn what_broke_is_tried_again_after_a_back_off() {
    let mut story = Story::proposal();
    story.start("build");
    story.end("build", errored(true));
    assert_eq!(
        story.run.stage(&name("build")).unwrap().reason(),
        "the disk is full"
    );
    let claim = |story: &Story| story.run.claim(&name("build"), 2, &worker(), story.now);
    assert_eq!(claim(&story), Claim::NotYet(SignedDuration::from_secs(2)));
    story.wait(2);
    assert!(matches!(claim(&story), Claim::Start(_)));
}

#[test]
fn what_breaks_every_time_fails_in_the_end() {
    let mut story = Story::proposal();
    for _ in 0..MAX_ATTEMPTS {
        story.start("build");
        story.end("build", errored(true));
        story.wait(40);
    }
    assert_eq!(story.run.state(), RunState::Failed);
    assert_eq!(
        story.run.reason(),
        format!("build: the disk is full (after {MAX_ATTEMPTS} attempts)")
    );
}

#[test]
fn what_no_attempt_can_mend_fails_at_once() {
    let mut story = Story::proposal();
    story.start("build");
    story.end("build", errored(false));
    assert_eq!(
        (story.run.state(), story.run.reason().as_str()),
        (RunState::Failed, "build: the disk is full")
    );
}

#[test]
fn back_offs_grow_and_end() {
    let seconds: Vec<i64> = (0..=7).map(|attempt| back_off(attempt).as_secs()).collect();
    assert_eq!(seconds, [0, 0, 2, 5, 10, 20, 40, 40]);
}

#[test]
fn the_clock_of_another_machine_delays_no_first_attempt() {
    let story = Story::proposal();
    let behind = story.now - SignedDuration::from_hours(1);
    assert!(matches!(
        story.run.claim(&name("build"), 1, &worker(), behind),
        Claim::Start(_)
    ));
}

#[test]
fn of_two_workers_one_has_the_stage() {
    let mut story = Story::proposal();
    story.start("build");
    let other = "w2".parse().unwrap();
    assert_eq!(
        story.run.claim(&name("build"), 1, &other, story.now),
        Claim::Held(worker())
    );
    assert_eq!(
        story.run.claim(&name("build"), 2, &other, story.now),
        Claim::Over
    );
    assert_eq!(
        story.run.claim(&name("image"), 1, &other, story.now),
        Claim::Over
    );
}

#[test]
fn a_lost_attempt_is_over_for_its_worker_too() {
    let mut story = Story::proposal();
    story.start("build");
    let lost = story
        .run
        .lost(&name("build"), 1, &worker(), story.now)
        .unwrap();
    story.append(lost);
    assert_eq!(story.run.end(&name("build"), 1, success(), story.now), None);
    story.append(Event::StageEnded {
        stage: name("build"),
        attempt: 1,
        outcome: success(),
        at: story.now,
    });
    assert_eq!(
        (story.state_of("build"), story.run.ready()[0].attempt),
        ("queued", 2)
    );
}

#[test]
fn a_cancelled_run_begins_nothing_and_stops_what_runs() {
    let mut story = Story::proposal();
    story.pass("build");
    story.start("image");
    story.cancel();
    assert_eq!(story.run.ready(), []);
    assert_eq!(story.state_of("unit-test"), "cancelled");
    assert_eq!(
        story.run.stop_reason(&name("image")).unwrap(),
        "cancelled by ada: not needed"
    );
    assert_eq!(
        story.run.state(),
        RunState::Running,
        "until its worker has stopped"
    );
    story.end("image", errored(true));
    assert_eq!(
        (story.run.state(), story.run.reason().as_str()),
        (RunState::Cancelled, "cancelled by ada: not needed")
    );
}

#[test]
fn who_cancelled_first_is_remembered() {
    let mut story = Story::proposal();
    story.start("build");
    story.cancel();
    assert!(story.run.cancel(&actor("bob"), "", story.now).is_err());
    story.append(Event::CancelRequested {
        by: actor("bob"),
        reason: String::new(),
        at: story.now,
    });
    assert_eq!(story.run.reason(), "cancelled by ada: not needed");
}

#[test]
fn a_run_that_succeeds_while_it_is_cancelled_has_succeeded() {
    let mut story = Story::of(
        IMAGE_ONLY,
        TWO_MUST_AGREE,
        &Kind::Proposal {
            number: "1".to_owned(),
        },
    );
    story.start("image");
    story.cancel();
    story.end("image", success());
    assert_eq!(
        (story.run.state(), story.run.reason().as_str()),
        (RunState::Succeeded, "")
    );
    assert!(story.run.retry_by(&actor("ada"), story.now).is_err());
}

#[test]
fn a_retry_begins_what_stopped_and_what_needs_it() {
    let mut story = Story::full();
    story.pass("build");
    story.start("unit-test");
    story.end("unit-test", failure());
    story.pass("image");
    story.pass("functional-test");
    story.retry();
    assert_eq!(story.ready(), ["unit-test"]);
    assert_eq!(story.run.ready()[0].attempt, 2);
    assert_eq!(story.state_of("functional-test"), "succeeded");
    assert_eq!(story.state_of("publish"), "pending");
    story.pass("unit-test");
    assert_eq!(story.ready(), ["publish"]);
}

#[test]
fn a_retry_gives_all_attempts_anew() {
    let mut story = Story::proposal();
    for _ in 0..2 {
        for _ in 0..MAX_ATTEMPTS {
            story.start("build");
            story.end("build", errored(true));
            story.wait(40);
        }
        assert_eq!(
            story.run.reason(),
            format!("build: the disk is full (after {MAX_ATTEMPTS} attempts)")
        );
        story.retry();
    }
    assert_eq!(story.run.ready()[0].attempt, 2 * MAX_ATTEMPTS + 1);
}

#[test]
fn only_what_stopped_can_be_retried() {
    let mut story = Story::of(
        IMAGE_ONLY,
        STAGING,
        &Kind::Proposal {
            number: "1".to_owned(),
        },
    );
    let refusal = story.run.retry_by(&actor("ada"), story.now).unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "run r1 is queued; only a failed or cancelled run can be retried"
    );
    story.pass("image");
    assert!(story.run.retry_by(&actor("ada"), story.now).is_err());
}

#[test]
fn a_refused_run_has_failed_and_stays_so() {
    let at = Story::full().now;
    let refused = Event::Refused {
        change: Box::new(change(&Kind::Change)),
        reason: "no such branch".to_owned(),
        at,
    };
    let run = Run::first(&run_id(), 7, refused).unwrap();
    assert_eq!(
        (run.state(), run.reason().as_str(), run.order),
        (RunState::Failed, "no such branch", 7)
    );
    assert!(run.retry_by(&actor("ada"), at).is_err());
    assert!(run.cancel(&actor("ada"), "", at).is_err());
}

#[test]
fn nothing_but_a_plan_or_a_refusal_begins_a_run() {
    let story = Story::full();
    let retried = Event::Retried {
        by: actor("ada"),
        at: story.now,
    };
    assert!(Run::first(&run_id(), 1, retried).is_err());
    let created = created(FULL, STAGING, &Kind::Change, story.now);
    assert!(
        Run::first(&"r2".parse().unwrap(), 1, created.clone()).is_err(),
        "the plan of another run"
    );
    assert!(story.run.try_apply(created).is_err());
}
