//! Runs, releases and environments of a shop, always the same.

use prost_types::Timestamp;
use proto::gateway::v1::{
    Candidate, DeployedService, Environment, FailedTest, LogLine, Release, Review, Rollout,
    RolloutEvidence, RolloutRequested, RolloutStep, RolloutVerdict, Run, Stage, StageRollout,
    TestCounts,
};

pub(crate) const DELIVERY: &str = "019a0b6e-6d1c-7c3e-9a51-0f225f2c8a1b";
pub(crate) const PACKAGE: &str = "019a0b6e-6d1c-7c3e-9a51-0f22d94e77c0";
pub(crate) const DIGEST: &str =
    "sha256:8d2f1c0a9b7e6d5c4b3a29181706f5e4d3c2b1a09f8e7d6c5b4a39281706f5e4";

/// Seconds after noon of the first of March 2026.
pub(crate) fn at(seconds: i64) -> Option<Timestamp> {
    Some(Timestamp {
        seconds: 1_772_366_400 + seconds,
        nanos: 500_000_000,
    })
}

fn stage(name: &str, needs: &[&str]) -> Stage {
    let needs = needs.iter().map(|n| (*n).to_owned()).collect();
    Stage {
        name: name.into(),
        state: "pending".into(),
        needs,
        ..Stage::default()
    }
}

/// A run that has just been planned.
pub(crate) fn queued() -> Run {
    Run {
        run_id: DELIVERY.into(),
        service: "delivery".into(),
        kind: "change".into(),
        state: "queued".into(),
        version: "1.4.0".into(),
        version_because: "feat since 1.3.2".into(),
        repository: "/srv/shop".into(),
        reference: "main".into(),
        commit: "1f3a9c2e5b7d4f60a1b2c3d4e5f60718293a4b5c".into(),
        subject: "feat: Deliver on Sundays".into(),
        author: "Ada Author".into(),
        actor: "operator".into(),
        via: "cli".into(),
        created_at: at(0),
        stages: vec![
            stage("build", &[]),
            stage("unit-test", &["build"]),
            stage("image", &["build"]),
            stage("publish", &["unit-test", "image"]),
            stage("deploy:test", &["publish"]),
            stage("approve:production", &["deploy:test"]),
            stage("promote", &["approve:production"]),
            stage("deploy:production", &["promote"]),
        ],
        ..Run::default()
    }
}

fn running(mut run: Run, index: usize, second: i64) -> Run {
    run.state = "running".into();
    let stage = &mut run.stages[index];
    (stage.state, stage.started_at, stage.attempt) = ("running".into(), at(second), 1);
    run
}

fn ended(mut run: Run, index: usize, state: &str, second: i64) -> Run {
    let stage = &mut run.stages[index];
    (stage.state, stage.finished_at) = (state.into(), at(second));
    run
}

/// From the plan to the tests, which are red.
pub(crate) fn red_history() -> Vec<Run> {
    let building = running(queued(), 0, 1);
    let built = ended(building.clone(), 0, "succeeded", 13);
    let testing = running(running(built, 1, 13), 2, 13);
    let mut red = ended(testing.clone(), 1, "failed", 16);
    red.stages[1].reason = "2 of 43 tests failed".into();
    red.stages[1].tests = Some(TestCounts {
        passed: 41,
        failed: 2,
        skipped: 0,
    });
    red.stages[1].failed_tests = vec![
        FailedTest {
            name: "tests.test_parcels::test_empty".into(),
            message: "assert 3 == 4\n  where 3 = total()".into(),
        },
        FailedTest {
            name: "tests.test_parcels::test_heavy".into(),
            message: "KeyError: 'weight'".into(),
        },
    ];
    red.stages[1].last_lines = (1..=20)
        .map(|n| format!("\u{1b}[31mline {n} of the output\u{1b}[0m"))
        .collect();
    red.stages[2].state = "cancelled".into();
    red.stages[2].finished_at = at(17);
    red.stages[3..]
        .iter_mut()
        .for_each(|stage| stage.state = "cancelled".into());
    red.state = "failed".into();
    red.retry_can_help = true;
    red.reason = "unit-test failed: 2 of 43 tests failed".into();
    red.finished_at = at(17);
    vec![queued(), building, testing, red]
}

/// A run whose first stage broke and is tried again.
pub(crate) fn broken() -> Run {
    let mut run = ended(running(queued(), 0, 1), 0, "queued", 3);
    let build = &mut run.stages[0];
    build.finished_at = None;
    build.reason = "the image rust could not be pulled: no such host".into();
    build.tried_again_at = at(5);
    run
}

/// A run of which nothing is missing but somebody's word.
pub(crate) fn waiting() -> Run {
    let mut run = queued();
    for (index, end) in [(0, 12), (1, 15), (2, 20), (3, 22), (4, 30)] {
        run = ended(
            running(run, index, if index == 2 { 12 } else { end - 3 }),
            index,
            "succeeded",
            end,
        );
    }
    run.image_digest = DIGEST.into();
    run.stages[4].reason = "2 replicas ready".into();
    run.stages[5].state = "waiting_for_approval".into();
    run.state = "waiting_for_approval".into();
    run
}

/// A run in production.
pub(crate) fn succeeded() -> Run {
    let mut run = waiting();
    for (index, end) in [(5, 90), (6, 95), (7, 120)] {
        run = ended(running(run, index, end - 4), index, "succeeded", end);
    }
    let by = "ana".into();
    let review = Review {
        environment: "production".into(),
        approved: true,
        by,
        reason: "looks good".into(),
        at: at(90),
    };
    run.reviews = vec![review];
    run.state = "succeeded".into();
    run.finished_at = at(120);
    run
}

/// Another service of the same commit, already done.
pub(crate) fn other_succeeded() -> Run {
    Run {
        run_id: PACKAGE.into(),
        service: "package".into(),
        version: "0.3.1".into(),
        ..succeeded()
    }
}

pub(crate) fn environment() -> Environment {
    let service = DeployedService {
        service: "delivery".into(),
        version: "1.4.0".into(),
        image_digest: DIGEST.into(),
        address: "http://127.0.0.1:8081/delivery".into(),
        replicas_ready: 2,
        replicas: 2,
        deployed_at: at(120),
        run_id: DELIVERY.into(),
        previous_version: "1.3.2".into(),
        note: String::new(),
        is_live_known: true,
    };
    let broken = DeployedService {
        service: "package".into(),
        version: "0.3.1".into(),
        replicas: 2,
        replicas_ready: 1,
        note: "one replica restarts again and again".into(),
        is_live_known: true,
        ..DeployedService::default()
    };
    Environment {
        name: "production".into(),
        production: true,
        approvals: 1,
        target: "docker".into(),
        services: vec![service, broken],
    }
}

pub(crate) fn release() -> Release {
    let candidate = Candidate {
        tag: "1.4.0-rc.1".into(),
        run_id: DELIVERY.into(),
        image_digest: DIGEST.into(),
        published_at: at(22),
        environments: vec!["test".into(), "production".into()],
    };
    Release {
        service: "delivery".into(),
        version: "1.4.0".into(),
        image_digest: DIGEST.into(),
        repository: "registry.example.org/delivery".into(),
        run_id: DELIVERY.into(),
        commit: queued().commit,
        released_at: at(95),
        candidates: vec![candidate],
        environments: vec!["test".into(), "production".into()],
    }
}

pub(crate) fn log() -> Vec<LogLine> {
    let line = |stage: &str, is_error_stream, text: &[u8]| LogLine {
        stage: stage.into(),
        is_error_stream,
        at: at(2),
        text: text.to_vec(),
        continued: false,
    };
    vec![
        line("build", false, b"compiling"),
        line(
            "build",
            true,
            b"\x1b[33mwarning:\x1b[0m unused \x07variable",
        ),
        line("unit-test", false, b"binary \xff\xfe here"),
    ]
}

fn step(name: &str, kind: &str, state: &str, seconds: u64, weight: f64) -> RolloutStep {
    RolloutStep {
        name: name.into(),
        kind: kind.into(),
        state: state.into(),
        seconds,
        weight,
        ..RolloutStep::default()
    }
}

fn requested(what: &str, by: &str, reason: &str, second: i64) -> RolloutRequested {
    RolloutRequested {
        what: what.into(),
        by: by.into(),
        reason: reason.into(),
        at: at(second),
    }
}

/// A canary that has just begun.
pub(crate) fn rollout() -> Rollout {
    Rollout {
        run_id: DELIVERY.into(),
        service: "delivery".into(),
        environment: "production".into(),
        version: "1.4.0".into(),
        image_digest: DIGEST.into(),
        previous_version: "1.3.2".into(),
        state: "running".into(),
        steps: vec![
            RolloutStep {
                entered_at: at(0),
                ..step("10%", "weight", "current", 0, 10.0)
            },
            step("pause", "pause", "pending", 0, 10.0),
            step("bake 2m", "bake", "pending", 120, 10.0),
            step("100%", "weight", "pending", 0, 100.0),
            step("retire", "retire", "pending", 0, 100.0),
        ],
        step: 1,
        entered_at: at(0),
        goal_weight: 10.0,
        started_at: at(0),
        possible: ["pause", "promote_full", "abort"].map(Into::into).into(),
        on_failure: "rollback".into(),
        ..Rollout::default()
    }
}

fn at_step(mut rollout: Rollout, number: u32, second: i64) -> Rollout {
    let index = number as usize - 1;
    let before = &mut rollout.steps[index - 1];
    (before.state, before.left_at) = ("done".into(), at(second));
    let step = &mut rollout.steps[index];
    (step.state, step.entered_at) = ("current".into(), at(second));
    (rollout.step, rollout.entered_at) = (number, at(second));
    (rollout.weight, rollout.highest_weight) = (10.0, 10.0);
    rollout
}

/// It waits for a person.
pub(crate) fn paused_rollout() -> Rollout {
    let mut rollout = at_step(rollout(), 2, 14);
    rollout.state = "paused".into();
    let asked = requested("pause", "", "step 2 of 5 (pause) waits for a person", 14);
    rollout.paused = Some(asked.clone());
    rollout.requests = vec![asked];
    rollout.possible = ["resume", "promote", "promote_full", "abort"]
        .map(Into::into)
        .into();
    rollout
}

/// The canary was bad.
pub(crate) fn red_rollouts() -> Vec<Rollout> {
    let mut baking = at_step(paused_rollout(), 3, 44);
    (baking.state, baking.paused) = ("running".into(), None);
    baking.requests.push(requested("resume", "ada", "", 44));
    let verdict = |verdict: &str, values: &str, second| RolloutVerdict {
        step: 3,
        verdict: verdict.into(),
        evidence: vec![RolloutEvidence {
            query: "errors of \u{1b}[31m1.4.0\u{1b}[0m against 1.3.2".into(),
            values: values.into(),
            threshold: "at most 0.01 more, with 95 % confidence".into(),
        }],
        at: at(second),
    };
    baking.verdicts = vec![verdict("inconclusive", "0.02 of 41; 0.00 of 370", 74)];
    let mut aborting = baking.clone();
    aborting
        .verdicts
        .push(verdict("fail", "0.07 of 140; 0.00 of 1260", 94));
    let reason = "the analysis of step 3 of 5 (bake 2m) failed: fail: errors of 1.4.0";
    let asked = requested("abort", "", reason, 95);
    (aborting.state, aborting.goal_weight) = ("aborting".into(), 0.0);
    aborting.abort = Some(asked.clone());
    aborting.requests.push(asked);
    aborting.possible = vec!["retry".into()];
    let mut red = aborting.clone();
    (red.state, red.weight, red.reason) = ("rolled_back".into(), 0.0, reason.into());
    (red.ended_at, red.possible) = (at(97), Vec::new());
    (red.steps[2].state, red.steps[2].left_at) = ("stopped".into(), at(97));
    vec![rollout(), paused_rollout(), baking, aborting, red]
}

/// 1.4.0 has all the traffic.
pub(crate) fn completed_rollout() -> Rollout {
    let mut rollout = at_step(paused_rollout(), 3, 44);
    rollout = at_step(rollout, 4, 164);
    (rollout.state, rollout.paused) = ("completed".into(), None);
    (rollout.steps[3].state, rollout.steps[3].left_at) = ("done".into(), at(170));
    (rollout.steps[4].state, rollout.ended_at) = ("done".into(), at(170));
    (rollout.weight, rollout.goal_weight, rollout.highest_weight) = (100.0, 100.0, 100.0);
    rollout.requests.push(requested("resume", "ada", "", 44));
    rollout.address = "http://127.0.0.1:8081/delivery".into();
    rollout.possible = Vec::new();
    rollout
}

/// A run whose rollout waits for a person.
pub(crate) fn paused_run() -> Run {
    let mut run = running(waiting(), 7, 96);
    for index in [5, 6] {
        run.stages[index].state = "succeeded".into();
    }
    run.stages[7].rollout = Some(StageRollout {
        standing: "paused: step 2 of 5 (pause) waits for a person".into(),
        is_paused: true,
    });
    run
}
