//! What happens to rollouts.

use super::*;

pub(crate) fn rollouts() -> Vec<(&'static str, rollout::Event)> {
    let placement = rollout::Placement {
        run: run_id(),
        origin: "r0".parse().expect("a token"),
        order: 42,
        version: "1.4.0".to_owned(),
        repository: "prod:5000/delivery".to_owned(),
        digest: digest(),
        is_rollback: true,
        at: at(),
    };
    let ended = |end| rollout::Event::Ended {
        run: run_id(),
        end,
        at: at(),
    };
    vec![
        (
            "rollout-started",
            rollout::Event::Started {
                placement: placement.clone(),
                plan: None,
            },
        ),
        (
            "rollout-started-with-steps",
            rollout::Event::Started {
                placement,
                plan: Some(every_step()),
            },
        ),
        (
            "rollout-completed",
            ended(rollout::End::Completed {
                address: "http://127.0.0.1:8080".to_owned(),
            }),
        ),
        (
            "rollout-rolled-back",
            ended(rollout::End::RolledBack {
                reason: "it never got ready".to_owned(),
            }),
        ),
        (
            "rollout-restore-started",
            rollout::Event::RestoreStarted {
                run: run_id(),
                at: at(),
            },
        ),
        (
            "rollout-restored",
            ended(rollout::End::Restored {
                reason: "integration-test:test failed; 1.3.0 serves as before".to_owned(),
                address: "http://127.0.0.1:8080".to_owned(),
            }),
        ),
    ]
}

/// One step of each kind, though no strategy has them all.
pub(crate) fn every_step() -> rollout::Plan {
    use rollout::Step;
    use spec::{Batch, Percent, TimeSpan};
    let time = TimeSpan::from_secs(90);
    rollout::Plan {
        steps: vec![
            Step::BringUp,
            Step::Roll {
                max_surge: Batch::Count(1),
                max_unavailable: Batch::Share(Percent::of(25)),
            },
            Step::Weight(Percent::of(5)),
            Step::Bake(time),
            Step::Analyse,
            Step::Pause,
            Step::Preview,
            Step::Validate,
            Step::Switch,
            Step::Monitor(time),
            Step::Retire,
            Step::KeepOld(time),
        ],
        is_analysed: true,
        on_failure: rollout::OnFailure::Hold,
    }
}

/// What is done with a rollout under way.
pub(crate) fn acts() -> Vec<(&'static str, rollout::Event)> {
    use rollout::{Act, Evidence, Verdict};
    let by = actor;
    let reason = || "to look at it".to_owned();
    let evidence = vec![Evidence {
        query: "errors of 1.4.0".to_owned(),
        values: "12 of 480 (2.5%), stable 3 of 4520 (0.1%)".to_owned(),
        threshold: "1% more".to_owned(),
    }];
    let acts = [
        ("rollout-step-entered", Act::StepEntered { index: 3 }),
        (
            "rollout-paused",
            Act::Paused {
                by: Some(by()),
                reason: reason(),
            },
        ),
        (
            "rollout-paused-by-itself",
            Act::Paused {
                by: None,
                reason: reason(),
            },
        ),
        ("rollout-resumed", Act::Resumed { by: by() }),
        (
            "rollout-promoted",
            Act::Promoted {
                by: by(),
                full: true,
            },
        ),
        (
            "rollout-abort-requested",
            Act::AbortRequested {
                by: Some(by()),
                reason: reason(),
            },
        ),
        ("rollout-retried", Act::Retried { by: by() }),
        (
            "rollout-judged",
            Act::Judged {
                index: 2,
                verdict: Verdict::Fail,
                evidence,
            },
        ),
    ];
    let event = |(kind, act)| {
        let (run, at) = (run_id(), at());
        (kind, rollout::Event::Acted { run, act, at })
    };
    acts.into_iter().map(event).collect()
}
