//! What goes well.

use std::collections::HashSet;
use std::time::Duration;

use domain::run::RunState;
use domain::stage::{Outcome, StageName};
use worker::Admit;

use crate::bed::{BUILD_AND_TEST, Bed, IMAGE_ONLY, Process};
use crate::scripted::{Builds, Script, Tests, success};

#[tokio::test(flavor = "multi_thread")]
async fn a_run_of_several_stages_is_carried_by_workers_of_two_kinds() {
    let bed = Bed::new().await;
    let _builder = Process::start(&bed, Builds(Script::good()), 2);
    let _tester = Process::start(&bed, Tests(Script::good()), 2);
    let id = bed.begin(BUILD_AND_TEST).await;

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Succeeded, "{}", run.reason());
    assert_eq!(run.stages.len(), 4);
    for stage in &run.stages {
        assert_eq!(stage.attempts.len(), 1, "{}", stage.name);
        for need in &stage.needs {
            let before = run.stage(need).unwrap().finished_at();
            assert!(
                before <= stage.started_at(),
                "{} began before {need} ended",
                stage.name
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_of_one_kind_never_do_the_same_attempt() {
    let bed = Bed::new().await;
    let script = Script::new(|_| async {
        tokio::time::sleep(Duration::from_millis(30)).await;
        success()
    });
    let mut ids = Vec::new();
    for _ in 0..12 {
        ids.push(bed.begin(IMAGE_ONLY).await);
    }
    let _workers: Vec<_> = (0..3)
        .map(|_| Process::start(&bed, Builds(script.clone()), 3))
        .collect();

    for id in &ids {
        let run = bed.until_ended(id).await;
        assert_eq!(run.state(), RunState::Succeeded, "{}", run.reason());
        assert_eq!(run.stage(&StageName::Image).unwrap().attempts.len(), 1);
    }
    let begun = script.begun();
    let distinct: HashSet<_> = begun.iter().collect();
    assert_eq!((begun.len(), distinct.len()), (12, 12), "{begun:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_waits_for_its_turn_leaves_no_trace() {
    let bed = Bed::new().await;
    let admit = |_: &StageName, asked| {
        if asked < 6 {
            Admit::Later(Duration::from_millis(200))
        } else {
            Admit::Now
        }
    };
    let script = Script::good().admitting(admit);
    let id = bed.begin(IMAGE_ONLY).await;
    let before = bed.run(&id).await.last_sequence;
    let _builder = Process::start(&bed, Builds(script.clone()), 1);

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Succeeded);
    assert!(script.asked() >= 7);
    assert_eq!(script.begun().len(), 1);
    assert_eq!(
        run.last_sequence,
        before + 2,
        "one event for its start, one for its end"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_became_needless_is_ended_without_being_done() {
    let bed = Bed::new().await;
    let skipped = || Outcome::Skipped {
        reason: "seen before".to_owned(),
        result: Box::default(),
    };
    let script = Script::good().admitting(move |_, _| Admit::End(Box::new(skipped())));
    let id = bed.begin(IMAGE_ONLY).await;
    let _builder = Process::start(&bed, Builds(script.clone()), 1);

    let run = bed.until_ended(&id).await;

    assert_eq!(
        run.stage(&StageName::Image).unwrap().state.name(),
        "skipped"
    );
    assert_eq!(script.begun(), Vec::<String>::new());
}
