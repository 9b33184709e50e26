//! Runs that begin with what an earlier run of the same commit made.

use proptest::prelude::*;
use proptest::sample::subsequence;

use super::story::{FULL, IMAGE_ONLY, STAGING, Story, TWO_MUST_AGREE, name, run_id};
use crate::run::{Event, Kind, ReusedStage, Run, RunState};
use crate::stage::{Artifact, StageName, StageResult};

const MADE: [&str; 5] = ["build", "unit-test", "image", "functional-test", "publish"];

fn result(stage: &str) -> StageResult {
    let digest = format!("sha256:{}", "a".repeat(64)).parse().unwrap();
    let artifact = (stage == "image").then(|| Artifact::Image {
        repository: "127.0.0.1:5000/delivery".to_owned(),
        tag: "run-r0".to_owned(),
        digest,
        engine: "engine-1".to_owned(),
    });
    StageResult {
        artifact,
        summary: format!("{stage} is done"),
        tests: None,
    }
}

/// A change that begins with the results of these stages.
fn story(spec: &str, platform: &str, stages: &[&str]) -> Story {
    let mut story = Story::of(spec, platform, &Kind::Change);
    let (_, Event::Created(created)) = &mut story.events[0] else {
        panic!("no first event");
    };
    let reused = stages.iter().map(|stage| ReusedStage {
        stage: name(stage),
        from: "r0".parse().unwrap(),
        result: result(stage),
    });
    created.reused = reused.collect();
    story.run = Run::first(&run_id(), 1, story.events[0].1.clone()).unwrap();
    story
}

/// Lets everything go well from here.
fn finish(story: &mut Story) {
    for _ in 0..40 {
        if let Some(job) = story.run.ready().first() {
            let stage = job.stage.to_string();
            story.pass(&stage);
        } else if let Some(environment) = story.run.waits_for().first() {
            let environment = (*environment).clone();
            for by in ["ada", "bob"] {
                let by = super::story::actor(by);
                if let Ok(event) = story.run.approve(&environment, &by, "", story.now) {
                    story.append(event);
                }
            }
        } else {
            return;
        }
    }
}

#[test]
fn a_run_begins_after_what_an_earlier_one_made() {
    let story = story(FULL, TWO_MUST_AGREE, &MADE);
    assert_eq!(story.ready(), ["deploy:test"]);
    assert_eq!(story.run.state(), RunState::Queued);
    for stage in MADE {
        let made = story.run.stage(&name(stage)).unwrap();
        assert_eq!((made.state.name(), made.attempts.len()), ("skipped", 0));
        let reason = format!("the same as in run r0: {stage} is done");
        assert_eq!(made.reason(), reason);
        assert_eq!(made.result(), Some(&result(stage)));
        assert_eq!(made.finished_at(), Some(story.now));
    }
    assert_eq!(
        story.run.image_digest().map(ToString::to_string),
        Some(format!("sha256:{}", "a".repeat(64)))
    );
}

#[test]
fn what_was_reused_is_not_done_again_by_a_retry() {
    let mut story = story(FULL, TWO_MUST_AGREE, &MADE);
    story.start("deploy:test");
    story.end("deploy:test", super::story::failure());
    assert_eq!(story.run.state(), RunState::Failed);
    story.retry();
    assert_eq!(story.ready(), ["deploy:test"]);
    assert_eq!(story.state_of("build"), "skipped");
}

#[test]
fn nobody_s_approval_no_promotion_and_no_deployment_is_left_out() {
    let stages = [
        "approve:production",
        "promote",
        "deploy:production",
        "deploy:test",
    ];
    let story = story(FULL, TWO_MUST_AGREE, &stages);
    assert_eq!(story.ready(), ["build"]);
    for stage in stages {
        assert_eq!(story.state_of(stage), "pending", "{stage}");
    }
}

proptest! {
    #[test]
    fn whatever_is_said_to_be_reused_a_run_does_the_rest_and_ends(
        spec in prop_oneof![Just(FULL), Just(IMAGE_ONLY)],
        platform in prop_oneof![Just(TWO_MUST_AGREE), Just(STAGING)],
        stages in subsequence(vec![
            "build", "unit-test", "image", "functional-test", "publish", "promote", "deploy:test",
            "approve:staging", "approve:production", "deploy:production", "integration-test:test", "deploy:moon",
        ], 0..12),
    ) {
        let mut story = story(spec, platform, &stages);
        let is_reused = |stage: &StageName| stage.follows_from_commit() && stages.contains(&&*stage.to_string());
        for stage in &story.run.stages {
            prop_assert_eq!(stage.state.is_passed(), is_reused(&stage.name), "{}", stage.name);
        }
        finish(&mut story);
        prop_assert_eq!(story.run.state(), RunState::Succeeded);
        let made = story.run.stages.iter().filter(|stage| stage.name.follows_from_commit());
        for stage in made {
            let reused = is_reused(&stage.name);
            prop_assert_eq!(stage.attempts.len(), usize::from(!reused), "{}", stage.name);
            prop_assert_eq!(stage.state.name() == "skipped", reused, "{}", stage.name);
        }
        let folded = Run::fold(&run_id(), story.events.clone());
        prop_assert_eq!(folded.as_ref(), Some(&story.run));
    }
}
