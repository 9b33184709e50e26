//! An environment goes back to what it was when the version's tests stop there.

use super::story::{FULL, Story, TWO_MUST_AGREE, actor, errored, failure, name, success, worker};
use crate::plan::Plan;
use crate::run::apply::MAX_ATTEMPTS;
use crate::run::{Event, Kind, Run, RunState};
use crate::stage::Outcome;

const DEPLOY: &str = "deploy:test";
const INTEGRATION: &str = "integration-test:test";
const LOAD: &str = "load-test:test";
const RESTORE: &str = "restore:test";

/// A full run whose `stage` may begin now.
fn come_to(stage: &str) -> Story {
    let mut story = Story::full();
    come_again_to(&mut story, stage);
    story
}

fn come_again_to(story: &mut Story, stage: &str) {
    while !story.ready().contains(&stage.to_owned()) {
        let next = story.ready().first().expect("it comes there").clone();
        story.pass(&next);
    }
}

fn red(stage: &str) -> Story {
    let mut story = come_to(stage);
    story.start(stage);
    story.end(stage, failure());
    story
}

#[test]
fn passed_tests_need_no_way_back_and_nothing_waits_for_it() {
    let mut story = come_to(LOAD);
    assert_eq!(story.state_of(RESTORE), "pending");
    story.pass(LOAD);
    assert_eq!(
        (story.state_of(RESTORE), story.run.state()),
        ("skipped", RunState::WaitingForApproval)
    );
    let restore = story.run.stage(&name(RESTORE)).unwrap();
    assert_eq!(restore.reason(), "not needed: the tests passed");
    assert!(!restore.is_shown());
}

#[test]
fn a_red_test_puts_the_environment_back_before_the_run_has_failed() {
    for test in [INTEGRATION, LOAD] {
        let mut story = red(test);
        assert_eq!(story.ready(), [RESTORE]);
        assert_eq!(story.run.state(), RunState::Running);
        assert!(story.run.stage(&name(RESTORE)).unwrap().is_shown());
        story.pass(RESTORE);
        assert_eq!(
            (story.run.state(), story.run.reason()),
            (RunState::Failed, format!("{test}: two tests are red"))
        );
    }
}

#[test]
fn tests_that_break_for_good_put_the_environment_back_too() {
    let mut story = come_to(INTEGRATION);
    for _ in 0..MAX_ATTEMPTS {
        assert_eq!(story.ready(), [INTEGRATION]);
        story.start(INTEGRATION);
        story.end(INTEGRATION, errored(true));
        story.wait(40);
    }
    assert_eq!(story.ready(), [RESTORE]);
}

#[test]
fn a_version_that_did_not_come_in_need_not_be_taken_out() {
    let mut story = come_to(DEPLOY);
    story.start(DEPLOY);
    story.end(DEPLOY, failure());
    assert_eq!(
        (story.state_of(RESTORE), story.run.state()),
        ("cancelled", RunState::Failed)
    );
    let restore = story.run.stage(&name(RESTORE)).unwrap();
    assert_eq!(restore.reason(), "not reached: deploy:test failed");
    assert!(!restore.is_shown());
}

#[test]
fn a_run_that_is_cancelled_while_it_tests_puts_the_environment_back_first() {
    let mut story = come_to(INTEGRATION);
    story.start(INTEGRATION);
    story.cancel();
    assert_eq!(
        (story.state_of(LOAD), story.state_of(RESTORE)),
        ("cancelled", "pending"),
        "the test still runs"
    );
    let reason = story.run.stop_reason(&name(INTEGRATION)).unwrap();
    story.end(INTEGRATION, Outcome::Cancelled { reason });
    assert_eq!(
        (story.ready(), story.run.state()),
        (vec![RESTORE.to_owned()], RunState::Running)
    );
    story.pass(RESTORE);
    assert_eq!(
        (story.run.state(), story.run.reason().as_str()),
        (RunState::Cancelled, "cancelled by ada: not needed")
    );
}

#[test]
fn a_version_that_comes_in_while_the_run_is_cancelled_is_taken_out_again() {
    let mut story = come_to(DEPLOY);
    story.start(DEPLOY);
    story.cancel();
    assert_eq!(story.state_of(RESTORE), "pending");
    story.end(DEPLOY, success());
    assert_eq!(story.ready(), [RESTORE]);
}

#[test]
fn a_run_that_is_cancelled_after_its_tests_leaves_the_environment_alone() {
    let mut story = Story::before_production();
    story.cancel();
    assert_eq!(
        (story.state_of(RESTORE), story.run.state()),
        ("skipped", RunState::Cancelled)
    );
}

#[test]
fn nobody_stops_what_puts_an_environment_back() {
    let mut story = red(INTEGRATION);
    story.start(RESTORE);
    story.cancel();
    assert_eq!(story.run.stop_reason(&name(RESTORE)), None);
    let lost = story
        .run
        .lost(&name(RESTORE), 1, &worker(), story.now)
        .unwrap();
    story.append(lost);
    assert_eq!(story.ready(), [RESTORE], "it begins anew");
    story.wait(2);
    story.start(RESTORE);
    story.end(RESTORE, errored(true));
    assert_eq!(story.ready(), [RESTORE], "it is tried again");
    story.wait(5);
    story.pass(RESTORE);
    assert_eq!(story.run.state(), RunState::Cancelled);
}

#[test]
fn an_environment_that_could_not_be_put_back_is_told_of() {
    let mut story = red(INTEGRATION);
    story.start(RESTORE);
    story.end(RESTORE, errored(false));
    assert_eq!(
        (story.run.state(), story.run.reason().as_str()),
        (
            RunState::Failed,
            "integration-test:test: two tests are red\nrestore:test: the disk is full"
        )
    );
    let mut story = come_to(INTEGRATION);
    story.cancel();
    story.start(RESTORE);
    story.end(RESTORE, errored(false));
    assert_eq!(
        (story.run.state(), story.run.reason().as_str()),
        (
            RunState::Cancelled,
            "cancelled by ada: not needed\nrestore:test: the disk is full"
        )
    );
}

#[test]
fn a_retry_brings_the_version_in_anew_and_tests_all_of_it() {
    let mut story = red(LOAD);
    story.pass(RESTORE);
    story.retry();
    assert_eq!(story.ready(), [DEPLOY]);
    assert_eq!(story.run.ready()[0].attempt, 2);
    assert_eq!(
        (story.state_of("publish"), story.state_of(INTEGRATION)),
        ("succeeded", "pending")
    );
    assert!(!story.run.stage(&name(RESTORE)).unwrap().is_shown());
    come_again_to(&mut story, LOAD);
    story.start(LOAD);
    story.end(LOAD, failure());
    assert_eq!(story.run.ready()[0].attempt, 2, "and takes it out again");
    story.pass(RESTORE);
    story.retry();
    come_again_to(&mut story, LOAD);
    story.pass(LOAD);
    assert_eq!(
        (story.state_of(RESTORE), story.run.state()),
        ("skipped", RunState::WaitingForApproval)
    );
}

#[test]
fn a_retry_leaves_alone_what_was_not_put_back() {
    let mut story = Story::before_production();
    let no = story
        .run
        .reject(
            &name("approve:production").environment().unwrap().clone(),
            &actor("eve"),
            "",
            story.now,
        )
        .unwrap();
    story.append(no);
    story.retry();
    assert_eq!(
        (story.state_of(DEPLOY), story.state_of(RESTORE)),
        ("succeeded", "skipped")
    );
}

#[test]
fn a_run_from_before_there_was_a_way_back_goes_on_as_it_began() {
    let mut story = Story::of(FULL, TWO_MUST_AGREE, &Kind::Change);
    let (sequence, mut first) = story.events.remove(0);
    if let Event::Created(created) = &mut first {
        let Plan { stages, .. } = &mut created.plan;
        stages.retain(|stage| stage.name != name(RESTORE));
    }
    story.run = Run::first(&super::story::run_id(), sequence, first).unwrap();
    come_again_to(&mut story, INTEGRATION);
    story.start(INTEGRATION);
    story.end(INTEGRATION, failure());
    assert_eq!(story.run.state(), RunState::Failed);
    story.retry();
    assert_eq!(story.ready(), [INTEGRATION]);
}
