//! What dies in the middle: workers and the server.

use std::sync::Arc;
use std::time::Duration;

use domain::run::RunState;
use domain::stage::{Outcome, StageName};
use tokio::sync::Notify;

use crate::bed::{BUILD_AND_TEST, Bed, IMAGE_ONLY, Process};
use crate::scripted::{Builds, Script, Tests, success};

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_of_a_dead_worker_is_done_by_another() {
    let bed = Bed::new().await;
    let script = Script::endless_at_first();
    let first = Process::start(&bed, Builds(script.clone()), 1);
    let id = bed.begin(IMAGE_ONLY).await;
    bed.until("the image began", &id, |run| !run.running().is_empty())
        .await;
    let _second = Process::start(&bed, Builds(script.clone()), 1);

    first.kill();
    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Succeeded);
    let attempts = &run.stage(&StageName::Image).unwrap().attempts;
    assert_eq!(attempts.len(), 2);
    assert_ne!(attempts[0].worker, attempts[1].worker);
    let (outcome, _) = attempts[0].ended.clone().unwrap();
    let Outcome::Errored { failure, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        failure.reason.contains("stopped in the middle of it"),
        "{}",
        failure.reason
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_stage_of_a_dead_worker_ends_as_cancelled() {
    let bed = Bed::new().await;
    let first = Process::start(&bed, Builds(Script::new(|_| std::future::pending())), 1);
    let id = bed.begin(IMAGE_ONLY).await;
    bed.until("the image began", &id, |run| !run.running().is_empty())
        .await;
    first.kill();
    bed.cancel(&id).await;

    let second = Script::good();
    let _second = Process::start(&bed, Builds(second.clone()), 1);

    assert_eq!(bed.until_ended(&id).await.state(), RunState::Cancelled);
    assert_eq!(second.begun(), Vec::<String>::new());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_outlives_a_crash_of_the_server_while_a_stage_is_done() {
    let mut bed = Bed::new().await;
    let goes_on = Arc::new(Notify::new());
    let waits = Arc::clone(&goes_on);
    let script = Script::new(move |_| {
        let waits = Arc::clone(&waits);
        async move {
            waits.notified().await;
            waits.notify_one();
            success()
        }
    });
    let _builder = Process::start(&bed, Builds(script.clone()), 2);
    let _tester = Process::start(&bed, Tests(Script::good()), 2);
    let id = bed.begin(BUILD_AND_TEST).await;
    bed.until("the build began", &id, |run| !run.running().is_empty())
        .await;

    bed.server.kill().await.unwrap();
    // The outcome is there while the server is not.
    goes_on.notify_one();
    tokio::time::sleep(Duration::from_millis(500)).await;
    bed.server.restart().await.unwrap();
    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Succeeded, "{}", run.reason());
    for stage in &run.stages {
        assert_eq!(stage.attempts.len(), 1, "{} was done once", stage.name);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_that_a_crash_of_the_server_lost_are_done() {
    let mut bed = Bed::new().await;
    let mut ids = Vec::new();
    for _ in 0..3 {
        ids.push(bed.begin(BUILD_AND_TEST).await);
    }
    bed.server.kill().await.unwrap();
    bed.server.restart().await.unwrap();
    let _builder = Process::start(&bed, Builds(Script::good()), 2);
    let _tester = Process::start(&bed, Tests(Script::good()), 2);

    for id in &ids {
        let run = bed.until_ended(id).await;
        assert_eq!(run.state(), RunState::Succeeded, "{}", run.reason());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_long_stage_goes_on_though_the_server_forgot_its_job() {
    let mut bed = Bed::new().await;
    // Longer than a worker bears to be without a sign from the queue.
    let script = Script::new(|work| async move {
        tokio::select! {
            () = tokio::time::sleep(worker::ACK_WAIT) => success(),
            () = work.stop.token().cancelled() => work.stop.outcome().expect("it was told to stop"),
        }
    });
    let _workers = [1, 2].map(|_| Process::start(&bed, Builds(script.clone()), 1));
    let id = bed.begin(IMAGE_ONLY).await;
    bed.until("the image began", &id, |run| !run.running().is_empty())
        .await;

    bed.server.restart().await.unwrap();
    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Succeeded, "{}", run.reason());
    assert_eq!(script.begun().len(), 1);
}
