//! One event of each kind, as [`crate::golden`] keeps it. What stands here never changes; new kinds are added.

mod rollouts;

use domain::ids::{Digest, EnvironmentName, RunId, ServiceName};
use domain::plan::plan;
use domain::run::{Actor, Change, Created, DeployTarget, Kind, ReusedStage, Trigger};
use domain::stage::{Artifact, FailedTest, Failure, Outcome, StageName, StageResult, TestCounts};
use domain::version::{Level, PlannedVersion};
use domain::{platform, release, rollout, run, spec};
use jiff::Timestamp;
use semver::Version;

pub(crate) use rollouts::{acts, every_step, rollouts};

const SPEC: &str = "
service: delivery
build: { image: rust, run: make, timeout: 10m }
test:
  unit: { run: make test, reports: junit.xml }
  functional: { image: curl, run: curl http://delivery, ready: { http: /, port: 80 } }
deploy: { port: 8080, replicas: 2, env: { LEVEL: info, PASSWORD: { secret: \"env:PASSWORD\" } } }
";

const PLATFORM: &str = "
registries: { development: { address: \"dev:5000\" }, production: { address: \"prod:5000\" } }
environments:
  test: {}
  production: { approvals: 2, target: { kubernetes: { context: main, namespace: shop } } }
";

pub(crate) fn runs() -> Vec<(&'static str, run::Event)> {
    let stage = name("deploy:test");
    let change = Box::new(change(Kind::Change));
    let mut events = vec![
        ("run-created-change", created(Kind::Change, Some(version()))),
        (
            "run-created-proposal",
            created(
                Kind::Proposal {
                    number: "17".to_owned(),
                },
                None,
            ),
        ),
        (
            "run-created-deploy",
            created(Kind::Deploy(target()), Some(version())),
        ),
        (
            "run-created-deploy-overwriting",
            created(
                Kind::Deploy(DeployTarget {
                    overwrites_changes: true,
                    ..target()
                }),
                Some(version()),
            ),
        ),
        (
            "run-created-rollback",
            created(Kind::Rollback(target()), None),
        ),
        ("run-created-reused", reused()),
        (
            "run-refused",
            run::Event::Refused {
                change,
                reason: "no such branch\nis it pushed?".to_owned(),
                at: at(),
            },
        ),
        (
            "run-stage-started",
            run::Event::StageStarted {
                stage,
                attempt: 2,
                worker: "deployer-1".parse().expect("a token"),
                at: at(),
            },
        ),
        (
            "run-approved",
            run::Event::Approved {
                environment: production(),
                by: actor(),
                reason: "it is good".to_owned(),
                at: at(),
            },
        ),
        (
            "run-rejected",
            run::Event::Rejected {
                environment: production(),
                by: actor(),
                reason: "on a Friday?".to_owned(),
                at: at(),
            },
        ),
        (
            "run-cancel-requested",
            run::Event::CancelRequested {
                by: actor(),
                reason: "a typo".to_owned(),
                at: at(),
            },
        ),
        (
            "run-retried",
            run::Event::Retried {
                by: actor(),
                at: at(),
            },
        ),
    ];
    events.extend(outcomes().into_iter().map(|(kind, stage, outcome)| {
        (
            kind,
            run::Event::StageEnded {
                stage: name(stage),
                attempt: 1,
                outcome,
                at: at(),
            },
        )
    }));
    events
}

fn outcomes() -> Vec<(&'static str, &'static str, Outcome)> {
    let made = |artifact| {
        let tests = Some(TestCounts {
            passed: 12,
            failed: 0,
            skipped: 3,
        });
        Outcome::Succeeded(Box::new(StageResult {
            artifact: Some(artifact),
            tests,
            summary: "done".to_owned(),
        }))
    };
    let (repository, tag, engine) = (
        "dev:5000/delivery".to_owned(),
        "run-r1".to_owned(),
        "engine-1".to_owned(),
    );
    let failure = || {
        let test = FailedTest {
            name: "tests::total".to_owned(),
            message: "1 != 2".to_owned(),
        };
        let last_lines = vec![
            "running 1 test".to_owned(),
            "test total ... FAILED".to_owned(),
        ];
        Box::new(Failure {
            reason: "1 test is red".to_owned(),
            tests: vec![test],
            last_lines,
            counts: None,
        })
    };
    let result = || {
        Box::new(StageResult {
            summary: "12 tests".to_owned(),
            ..StageResult::default()
        })
    };
    vec![
        (
            "run-stage-ended-succeeded-workspace",
            "build",
            made(Artifact::Workspace {
                image: "workspace:r1".to_owned(),
                engine: engine.clone(),
            }),
        ),
        (
            "run-stage-ended-succeeded-image",
            "image",
            made(Artifact::Image {
                repository: repository.clone(),
                tag,
                digest: digest(),
                engine,
            }),
        ),
        (
            "run-stage-ended-succeeded-candidate",
            "publish",
            made(Artifact::Candidate {
                tag: "1.4.0-rc.1".to_owned(),
                digest: digest(),
            }),
        ),
        (
            "run-stage-ended-succeeded-release",
            "promote",
            made(Artifact::Release {
                repository,
                tag: "1.4.0".to_owned(),
                digest: digest(),
            }),
        ),
        (
            "run-stage-ended-succeeded-deployment",
            "deploy:production",
            made(Artifact::Deployment {
                address: "http://127.0.0.1:8080".to_owned(),
            }),
        ),
        (
            "run-stage-ended-succeeded-nothing",
            "integration-test:test",
            Outcome::Succeeded(result()),
        ),
        (
            "run-stage-ended-failed",
            "unit-test",
            Outcome::Failed(failure()),
        ),
        (
            "run-stage-ended-errored",
            "functional-test",
            Outcome::Errored {
                failure: failure(),
                retryable: true,
            },
        ),
        (
            "run-stage-ended-skipped",
            "load-test:test",
            Outcome::Skipped {
                reason: "seen in r0".to_owned(),
                result: result(),
            },
        ),
        (
            "run-stage-ended-cancelled",
            "build",
            Outcome::Cancelled {
                reason: "a newer push".to_owned(),
            },
        ),
    ]
}

pub(crate) fn releases() -> Vec<(&'static str, release::Event)> {
    let (version, commit) = (Version::new(1, 4, 0), "c".repeat(40));
    vec![
        (
            "release-reserved",
            release::Event::Reserved {
                run: run_id(),
                version: version.clone(),
                level: Level::Minor,
                commit: commit.clone(),
                at: at(),
            },
        ),
        (
            "release-candidate-published",
            release::Event::CandidatePublished {
                run: run_id(),
                version: version.clone(),
                number: 3,
                repository: "dev:5000/delivery".to_owned(),
                digest: digest(),
                at: at(),
            },
        ),
        (
            "release-released",
            release::Event::Released {
                run: run_id(),
                version,
                repository: "prod:5000/delivery".to_owned(),
                digest: digest(),
                commit,
                at: at(),
            },
        ),
    ]
}

pub(crate) fn created(kind: Kind, version: Option<PlannedVersion>) -> run::Event {
    let spec = spec::parse("slipway.yaml", SPEC).expect("it is valid");
    let platform = platform::parse("platform.yaml", PLATFORM).expect("it is valid");
    let plan = plan(&spec, &platform, &kind);
    run::Event::Created(Box::new(Created {
        run: run_id(),
        change: change(kind),
        version,
        spec,
        plan,
        reused: Vec::new(),
        at: at(),
    }))
}

/// A run of a commit that was carried before.
fn reused() -> run::Event {
    let mut event = created(Kind::Change, Some(version()));
    let run::Event::Created(created) = &mut event else {
        panic!("not a first event: {event:?}");
    };
    let made = outcomes().into_iter().filter_map(|(_, stage, outcome)| {
        let (stage, Outcome::Succeeded(result)) = (name(stage), outcome) else {
            return None;
        };
        stage.follows_from_commit().then(|| ReusedStage {
            stage,
            from: "r0".parse().expect("a token"),
            result: *result,
        })
    });
    created.reused = made.collect();
    event
}

fn change(kind: Kind) -> Change {
    let service: ServiceName = "delivery".parse().expect("a name");
    Change {
        service,
        kind,
        repository: "https://git.example.org/shop".to_owned(),
        reference: "refs/heads/main".to_owned(),
        commit: "a".repeat(40),
        path: "services/delivery".to_owned(),
        subject: "feat: weigh parcels".to_owned(),
        author: "Ada <ada@example.org>".to_owned(),
        trigger: Trigger {
            via: "github".to_owned(),
            delivery: "d-1".to_owned(),
            actor: actor(),
        },
    }
}

fn version() -> PlannedVersion {
    PlannedVersion {
        version: Version::new(1, 4, 0),
        previous: Some(Version::new(1, 3, 9)),
        level: Level::Minor,
        because: "minor: feat: weigh parcels".to_owned(),
    }
}

fn target() -> DeployTarget {
    DeployTarget {
        environment: production(),
        origin: "r0".parse().expect("a token"),
        repository: "prod:5000/delivery".to_owned(),
        digest: digest(),
        overwrites_changes: false,
    }
}

fn at() -> Timestamp {
    "2026-11-23T12:34:56.789012345Z".parse().expect("a time")
}

fn run_id() -> RunId {
    "0198-r1".parse().expect("a token")
}

fn production() -> EnvironmentName {
    "production".parse().expect("a name")
}

fn actor() -> Actor {
    Actor("ada".to_owned())
}

fn digest() -> Digest {
    format!("sha256:{}", "0123456789abcdef".repeat(4))
        .parse()
        .expect("a digest")
}

fn name(stage: &str) -> StageName {
    stage.parse().expect("a stage")
}
