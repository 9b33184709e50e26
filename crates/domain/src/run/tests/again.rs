//! Whether a run that ended badly is worth another try, and what is known while it waits for one.

use super::story::{Story, actor, change, environment, errored, failure, run_id};
use crate::run::{Actor, Event, Kind, Run};
use crate::stage::{Failure, Outcome, TestCounts};

fn overtaken() -> Outcome {
    Outcome::Cancelled {
        reason: "a newer version was deployed here meanwhile".to_owned(),
    }
}

/// A full run up to the stage, which is begun.
fn at(stage: &str) -> Story {
    let mut story = Story::full();
    while story.state_of(stage) != "running" {
        if story.run.waits_for().is_empty() {
            let next = story.ready()[0].clone();
            story.start(&next);
            if next != stage {
                story.end(&next, super::story::success());
            }
        } else {
            story.approve("ada");
            story.approve("bob");
        }
    }
    story
}

#[test]
fn what_may_end_otherwise_is_worth_another_try() {
    for (stage, outcome) in [
        ("unit-test", failure()),
        ("image", errored(false)),
        ("deploy:test", failure()),
        ("integration-test:test", failure()),
        ("promote", errored(false)),
    ] {
        let mut story = at(stage);
        assert!(!story.run.retry_can_help(), "{stage} is still running");
        story.end(stage, outcome);
        while let Some(beside) = story.ready().first().cloned() {
            story.pass(&beside);
        }
        assert!(story.run.retry_can_help(), "{stage}");
    }
    let mut story = Story::full();
    story.cancel();
    assert!(story.run.retry_can_help());
    let mut story = Story::before_production();
    let no = story
        .run
        .reject(&environment("production"), &actor("bob"), "", story.now);
    story.append(no.unwrap());
    assert!(
        story.run.retry_can_help(),
        "a rejection is asked about again"
    );
}

#[test]
fn what_can_not_end_otherwise_is_not() {
    let mut story = at("deploy:test");
    story.end("deploy:test", overtaken());
    assert!(!story.run.retry_can_help(), "a newer version is there");

    let mut story = at("promote");
    story.end("promote", failure());
    assert!(!story.run.retry_can_help(), "the version is released");

    let mut story = Story::before_production();
    let cancel = story
        .run
        .cancel(&Actor::slipway(), "1.0.0 was released", story.now);
    story.append(cancel.unwrap());
    assert!(
        !story.run.retry_can_help(),
        "something newer took its place"
    );

    let refused = Event::Refused {
        change: Box::new(change(&Kind::Change)),
        reason: "unknown key".to_owned(),
        at: story.now,
    };
    let refused = Run::first(&run_id(), 1, refused).unwrap();
    assert!(!refused.retry_can_help(), "nothing was planned");

    let mut story = Story::before_production();
    story.approve("ada");
    story.approve("bob");
    while let Some(next) = story.ready().first().cloned() {
        story.pass(&next);
    }
    assert!(!story.run.retry_can_help(), "it succeeded");
}

#[test]
fn a_stage_that_broke_says_when_it_is_tried_again() {
    let mut story = Story::full();
    story.start("build");
    story.end("build", errored(true));
    let build = &story.run.stages[0];
    assert_eq!(build.reason(), "the disk is full");
    let waits = build.tried_again_at().unwrap().duration_since(story.now);
    assert_eq!(waits.as_secs(), 2);
    story.wait(2);
    story.start("build");
    assert_eq!(story.run.stages[0].tried_again_at(), None);
    assert!(
        story
            .run
            .stages
            .iter()
            .all(|s| s.tried_again_at().is_none())
    );
}

#[test]
fn red_tests_keep_their_counts() {
    let counts = TestCounts {
        passed: 39,
        failed: 3,
        skipped: 0,
    };
    let red = Failure {
        counts: Some(counts),
        ..Failure::because("3 of 42 tests failed")
    };
    let mut story = at("unit-test");
    story.end("unit-test", Outcome::Failed(Box::new(red)));
    let stage = story.run.stage(&super::story::name("unit-test")).unwrap();
    assert_eq!(stage.tests(), Some(counts));
}
