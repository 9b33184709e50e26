//! Whatever an event says, its bytes say it too.

use domain::ids::{Digest, EnvironmentName, RunId, WorkerId};
use domain::run::Actor;
use domain::spec::{Batch, Percent, TimeSpan};
use domain::stage::{Artifact, FailedTest, Failure, Outcome, StageName, StageResult, TestCounts};
use domain::version::{Level, PlannedVersion};
use domain::{release, rollout, run};
use jiff::Timestamp;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;
use proto::event::WireEvent;
use semver::Version;

use crate::examples;

fn time() -> impl Strategy<Value = Timestamp> {
    (-62_000_000_000i64..250_000_000_000, 0..1_000_000_000i32)
        .prop_map(|(seconds, nanos)| Timestamp::new(seconds, nanos).expect("in range"))
}

fn run_id() -> impl Strategy<Value = RunId> {
    "[a-z0-9-]{1,64}".prop_map(|text| text.parse().expect("a token"))
}

fn worker_id() -> impl Strategy<Value = WorkerId> {
    "[a-z0-9-]{1,64}".prop_map(|text| text.parse().expect("a token"))
}

fn environment() -> impl Strategy<Value = EnvironmentName> {
    "[a-z]([a-z0-9-]{0,20}[a-z0-9])?".prop_map(|text| text.parse().expect("a DNS label"))
}

fn digest() -> impl Strategy<Value = Digest> {
    "sha256:[0-9a-f]{64}".prop_map(|text| text.parse().expect("a digest"))
}

fn version() -> impl Strategy<Value = Version> {
    let pre = prop_oneof![Just(String::new()), "-(alpha|beta|rc)\\.[1-9]{1,3}"];
    (0u64..1000, 0u64..1000, any::<u64>(), pre)
        .prop_map(|(a, b, c, pre)| format!("{a}.{b}.{c}{pre}").parse().expect("a version"))
}

fn level() -> impl Strategy<Value = Level> {
    prop_oneof![Just(Level::Patch), Just(Level::Minor), Just(Level::Major)]
}

fn stage() -> impl Strategy<Value = StageName> {
    prop_oneof![
        Just(StageName::Build),
        Just(StageName::UnitTest),
        Just(StageName::Image),
        Just(StageName::FunctionalTest),
        Just(StageName::Publish),
        Just(StageName::Promote),
        environment().prop_map(StageName::Deploy),
        environment().prop_map(StageName::IntegrationTest),
        environment().prop_map(StageName::LoadTest),
        environment().prop_map(StageName::Restore),
        environment().prop_map(StageName::Approve),
    ]
}

fn artifact() -> impl Strategy<Value = Artifact> {
    let text = any::<String>;
    prop_oneof![
        (text(), text()).prop_map(|(image, engine)| Artifact::Workspace { image, engine }),
        (text(), text(), digest(), text()).prop_map(|(repository, tag, digest, engine)| {
            Artifact::Image {
                repository,
                tag,
                digest,
                engine,
            }
        }),
        (text(), digest()).prop_map(|(tag, digest)| Artifact::Candidate { tag, digest }),
        (text(), text(), digest()).prop_map(|(repository, tag, digest)| Artifact::Release {
            repository,
            tag,
            digest
        }),
        text().prop_map(|address| Artifact::Deployment { address }),
    ]
}

fn counts() -> impl Strategy<Value = TestCounts> {
    any::<(u32, u32, u32)>().prop_map(|(passed, failed, skipped)| TestCounts {
        passed,
        failed,
        skipped,
    })
}

fn result() -> impl Strategy<Value = Box<StageResult>> {
    let tests = option::of(counts());
    (option::of(artifact()), tests, any::<String>()).prop_map(|(artifact, tests, summary)| {
        Box::new(StageResult {
            artifact,
            tests,
            summary,
        })
    })
}

fn failure() -> impl Strategy<Value = Box<Failure>> {
    let test = any::<(String, String)>().prop_map(|(name, message)| FailedTest { name, message });
    let text = any::<String>;
    let counts = option::of(counts());
    (text(), vec(test, 0..4), vec(text(), 0..4), counts).prop_map(
        |(reason, tests, last_lines, counts)| {
            Box::new(Failure {
                reason,
                tests,
                last_lines,
                counts,
            })
        },
    )
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        result().prop_map(Outcome::Succeeded),
        failure().prop_map(Outcome::Failed),
        (failure(), any::<bool>())
            .prop_map(|(failure, retryable)| Outcome::Errored { failure, retryable }),
        (any::<String>(), result())
            .prop_map(|(reason, result)| Outcome::Skipped { reason, result }),
        any::<String>().prop_map(|reason| Outcome::Cancelled { reason }),
    ]
}

fn reused() -> impl Strategy<Value = run::ReusedStage> {
    (stage(), run_id(), result()).prop_map(|(stage, from, result)| run::ReusedStage {
        stage,
        from,
        result: *result,
    })
}

/// A planned run of any kind with a version, a time and reused stages of its own.
fn created() -> impl Strategy<Value = run::Event> {
    let planned = (version(), option::of(version()), level(), any::<String>()).prop_map(
        |(version, previous, level, because)| PlannedVersion {
            version,
            previous,
            level,
            because,
        },
    );
    (
        any::<prop::sample::Index>(),
        option::of(planned),
        run_id(),
        any::<[String; 4]>(),
        time(),
        vec(reused(), 0..4),
    )
        .prop_map(|(which, version, run, texts, at, reused)| {
            let planned: Vec<_> = examples::runs()
                .into_iter()
                .filter_map(|(_, event)| {
                    if let run::Event::Created(created) = event {
                        Some(created)
                    } else {
                        None
                    }
                })
                .collect();
            let mut created = which.get(&planned).clone();
            let [reference, subject, author, path] = texts;
            created.change = run::Change {
                reference,
                subject,
                author,
                path,
                ..created.change
            };
            (created.version, created.run, created.at) = (version, run, at);
            created.reused = reused;
            run::Event::Created(created)
        })
}

fn run_event() -> impl Strategy<Value = run::Event> {
    let said = || {
        (
            environment(),
            any::<String>().prop_map(Actor),
            any::<String>(),
            time(),
        )
    };
    prop_oneof![
        created(),
        (stage(), any::<u32>(), worker_id(), time()).prop_map(|(stage, attempt, worker, at)| {
            run::Event::StageStarted {
                stage,
                attempt,
                worker,
                at,
            }
        }),
        (stage(), any::<u32>(), outcome(), time()).prop_map(|(stage, attempt, outcome, at)| {
            run::Event::StageEnded {
                stage,
                attempt,
                outcome,
                at,
            }
        }),
        said().prop_map(|(environment, by, reason, at)| run::Event::Approved {
            environment,
            by,
            reason,
            at
        }),
        said().prop_map(|(environment, by, reason, at)| run::Event::Rejected {
            environment,
            by,
            reason,
            at
        }),
        said().prop_map(|(_, by, reason, at)| run::Event::CancelRequested { by, reason, at }),
        said().prop_map(|(_, by, _, at)| run::Event::Retried { by, at }),
    ]
}

fn release_event() -> impl Strategy<Value = release::Event> {
    prop_oneof![
        (run_id(), version(), level(), any::<String>(), time()).prop_map(
            |(run, version, level, commit, at)| {
                release::Event::Reserved {
                    run,
                    version,
                    level,
                    commit,
                    at,
                }
            }
        ),
        (
            run_id(),
            version(),
            any::<u32>(),
            any::<String>(),
            digest(),
            time()
        )
            .prop_map(|(run, version, number, repository, digest, at)| {
                release::Event::CandidatePublished {
                    run,
                    version,
                    number,
                    repository,
                    digest,
                    at,
                }
            }),
        (
            run_id(),
            version(),
            any::<String>(),
            digest(),
            any::<String>(),
            time()
        )
            .prop_map(|(run, version, repository, digest, commit, at)| {
                release::Event::Released {
                    run,
                    version,
                    repository,
                    digest,
                    commit,
                    at,
                }
            }),
    ]
}

fn percent() -> impl Strategy<Value = Percent> {
    (0..=1_000_000u32).prop_map(Percent::from_parts_per_million)
}

fn plan() -> impl Strategy<Value = rollout::Plan> {
    use rollout::{OnFailure, Step};
    let span = || any::<u32>().prop_map(|ms| TimeSpan::from_millis(ms.into()));
    let batch = || {
        prop_oneof![
            any::<u32>().prop_map(Batch::Count),
            percent().prop_map(Batch::Share)
        ]
    };
    let every = examples::every_step().steps;
    let step = prop_oneof![
        prop::sample::select(every),
        (batch(), batch()).prop_map(|(max_surge, max_unavailable)| Step::Roll {
            max_surge,
            max_unavailable
        }),
        percent().prop_map(Step::Weight),
        span().prop_map(Step::Bake),
        span().prop_map(Step::Monitor),
        span().prop_map(Step::KeepOld),
    ];
    (vec(step, 0..8), any::<[bool; 2]>()).prop_map(|(steps, [is_analysed, holds])| rollout::Plan {
        steps,
        is_analysed,
        on_failure: if holds {
            OnFailure::Hold
        } else {
            OnFailure::Rollback
        },
    })
}

fn act() -> impl Strategy<Value = rollout::Act> {
    use rollout::{Act, Evidence, Verdict};
    let text = any::<String>;
    let by = || any::<String>().prop_map(Actor);
    let verdict = prop::sample::select(vec![
        Verdict::Pass,
        Verdict::Fail,
        Verdict::Inconclusive,
        Verdict::NoData,
        Verdict::Error,
    ]);
    let evidence = any::<[String; 3]>().prop_map(|[query, values, threshold]| Evidence {
        query,
        values,
        threshold,
    });
    prop_oneof![
        any::<u32>().prop_map(|index| Act::StepEntered { index }),
        (option::of(by()), text()).prop_map(|(by, reason)| Act::Paused { by, reason }),
        by().prop_map(|by| Act::Resumed { by }),
        (by(), any::<bool>()).prop_map(|(by, full)| Act::Promoted { by, full }),
        (option::of(by()), text()).prop_map(|(by, reason)| Act::AbortRequested { by, reason }),
        by().prop_map(|by| Act::Retried { by }),
        (any::<u32>(), verdict, vec(evidence, 0..4)).prop_map(|(index, verdict, evidence)| {
            Act::Judged {
                index,
                verdict,
                evidence,
            }
        }),
    ]
}

fn rollout_event() -> impl Strategy<Value = rollout::Event> {
    let placement = (
        run_id(),
        run_id(),
        any::<(u64, String, String)>(),
        digest(),
        any::<bool>(),
        time(),
    )
        .prop_map(
            |(run, origin, (order, version, repository), digest, is_rollback, at)| {
                rollout::Placement {
                    run,
                    origin,
                    order,
                    version,
                    repository,
                    digest,
                    is_rollback,
                    at,
                }
            },
        );
    let end = prop_oneof![
        any::<String>().prop_map(|address| rollout::End::Completed { address }),
        any::<String>().prop_map(|reason| rollout::End::RolledBack { reason }),
        (any::<String>(), any::<String>())
            .prop_map(|(reason, address)| rollout::End::Restored { reason, address }),
    ];
    prop_oneof![
        (placement, option::of(plan()))
            .prop_map(|(placement, plan)| rollout::Event::Started { placement, plan }),
        (run_id(), act(), time()).prop_map(|(run, act, at)| rollout::Event::Acted { run, act, at }),
        (run_id(), time()).prop_map(|(run, at)| rollout::Event::RestoreStarted { run, at }),
        (run_id(), end, time()).prop_map(|(run, end, at)| rollout::Event::Ended { run, end, at }),
    ]
}

proptest! {
    #[test]
    fn run_events_come_back(event in run_event()) {
        prop_assert_eq!(run::Event::decode(&event.encode()).expect("it was just written"), event);
    }

    #[test]
    fn release_events_come_back(event in release_event()) {
        prop_assert_eq!(release::Event::decode(&event.encode()).expect("it was just written"), event);
    }

    #[test]
    fn rollout_events_come_back(event in rollout_event()) {
        prop_assert_eq!(rollout::Event::decode(&event.encode()).expect("it was just written"), event);
    }
}
