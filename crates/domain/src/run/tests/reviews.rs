//! What people say about a deployment.

use super::story::{STAGING, Story, actor, environment, failure};
use crate::run::{Event, Kind, RunState};

#[test]
fn production_waits_for_as_many_people_as_must_agree() {
    let mut story = Story::before_production();
    assert_eq!(story.run.state(), RunState::WaitingForApproval);
    story.approve("ada");
    assert_eq!(story.run.state(), RunState::WaitingForApproval);
    story.approve("bob");
    assert_eq!(story.state_of("approve:production"), "succeeded");
    assert_eq!(story.ready(), ["promote"]);
}

#[test]
fn one_person_counts_once() {
    let mut story = Story::before_production();
    story.approve("ada");
    let again = story
        .run
        .approve(&environment("production"), &actor("ada"), "", story.now)
        .unwrap_err();
    assert_eq!(
        again.to_string(),
        "ada has approved this already; somebody else must approve too"
    );
    let (environment, by) = (environment("production"), actor("ada"));
    story.append(Event::Approved {
        environment,
        by,
        reason: String::new(),
        at: story.now,
    });
    assert_eq!(
        (story.run.state(), story.run.reviews.len()),
        (RunState::WaitingForApproval, 1)
    );
}

#[test]
fn a_rejection_fails_the_run_with_its_reason() {
    let mut story = Story::before_production();
    story.approve("ada");
    let no = story
        .run
        .reject(
            &environment("production"),
            &actor("bob"),
            "not on a Friday",
            story.now,
        )
        .unwrap();
    story.append(no);
    assert_eq!(story.run.state(), RunState::Failed);
    assert_eq!(
        story.run.reason(),
        "approve:production: rejected by bob: not on a Friday"
    );
    assert_eq!(story.state_of("deploy:production"), "cancelled");
}

#[test]
fn after_a_rejection_and_a_retry_everybody_is_asked_anew() {
    let mut story = Story::before_production();
    story.approve("ada");
    let no = story
        .run
        .reject(&environment("production"), &actor("bob"), "", story.now)
        .unwrap();
    story.append(no);
    story.retry();
    assert_eq!(
        (story.run.state(), story.run.reviews.len()),
        (RunState::WaitingForApproval, 0)
    );
    story.approve("ada");
    story.approve("bob");
    assert_eq!(story.ready(), ["promote"]);
}

#[test]
fn an_approval_stands_when_the_deployment_after_it_is_retried() {
    let mut story = Story::before_production();
    story.approve("ada");
    story.approve("bob");
    story.pass("promote");
    story.start("deploy:production");
    story.end("deploy:production", failure());
    story.retry();
    assert_eq!(story.ready(), ["deploy:production"]);
    let by: Vec<_> = story.run.reviews.iter().map(|r| r.by.0.as_str()).collect();
    assert_eq!(by, ["ada", "bob"]);
}

#[test]
fn nobody_can_agree_too_early_too_late_or_where_nobody_is_asked() {
    let mut story = Story::of("service: delivery", STAGING, &Kind::Change);
    let approve = |story: &Story, name: &str| {
        story
            .run
            .approve(&environment(name), &actor("ada"), "", story.now)
    };
    assert!(
        approve(&story, "staging")
            .unwrap_err()
            .to_string()
            .contains("has not come to approve:staging yet")
    );
    assert!(
        approve(&story, "production")
            .unwrap_err()
            .to_string()
            .contains("needs no approval")
    );
    story.pass("image");
    story.pass("publish");
    let yes = approve(&story, "staging").unwrap();
    story.append(yes);
    assert!(
        approve(&story, "staging")
            .unwrap_err()
            .to_string()
            .contains("is over: succeeded")
    );
}

#[test]
fn a_run_that_waits_for_people_can_be_cancelled() {
    let mut story = Story::before_production();
    story.cancel();
    assert_eq!(
        (story.run.state(), story.run.waits_for().len()),
        (RunState::Cancelled, 0)
    );
    story.retry();
    assert_eq!(story.run.state(), RunState::WaitingForApproval);
}
