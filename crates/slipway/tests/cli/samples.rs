//! Runs, releases and environments of a shop, always the same.

use prost_types::Timestamp;
use proto::gateway::v1::{
    Candidate, DeployedService, Environment, FailedTest, LogLine, Release, Review, Run, Stage,
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
