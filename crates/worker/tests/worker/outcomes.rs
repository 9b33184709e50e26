//! What handlers do wrong, and what people do to them.

use std::time::Duration;

use domain::run::apply::MAX_ATTEMPTS;
use domain::run::{Claim, RunState};
use domain::stage::{Outcome, StageName};
use jiff::{SignedDuration, Timestamp};
use worker::enqueue_ready;

use crate::bed::{BUILD_AND_TEST, Bed, IMAGE_ONLY, Process};
use crate::scripted::{Builds, Script, errored, success};

const IMAGE: StageName = StageName::Image;

#[tokio::test(flavor = "multi_thread")]
async fn what_broke_is_done_again_after_a_while() {
    let bed = Bed::new().await;
    let script = Script::new(|work| async move {
        if work.attempt == 1 {
            errored("the disk is full", true)
        } else {
            success()
        }
    });
    let _builder = Process::start(&bed, Builds(script.clone()), 1);
    let id = bed.begin(IMAGE_ONLY).await;

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Succeeded);
    let attempts = &run.stage(&IMAGE).unwrap().attempts;
    let (_, ended) = attempts[0].ended.as_ref().unwrap();
    assert!(
        attempts[1].started_at >= *ended + SignedDuration::from_secs(2),
        "the back-off is kept"
    );
    assert_eq!(script.begun().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_breaks_again_and_again_fails_with_the_cause() {
    let bed = Bed::new().await;
    let run = bed.plan(IMAGE_ONLY).await;
    let id = run.id.clone();
    // All attempts but the last broke long ago.
    let long_ago = Timestamp::now() - SignedDuration::from_hours(1);
    let gone = "gone".parse().unwrap();
    for attempt in 1..MAX_ATTEMPTS {
        let at = long_ago + SignedDuration::from_mins(i64::from(attempt));
        bed.append(&id, |run| match run.claim(&IMAGE, attempt, &gone, at) {
            Claim::Start(event) => event,
            other => panic!("{other:?}"),
        })
        .await;
        bed.append(&id, |run| {
            run.end(&IMAGE, attempt, errored("the disk is full", true), at)
                .unwrap()
        })
        .await;
    }
    enqueue_ready(&bed.bus, &bed.run(&id).await).await;
    let _builder = Process::start(
        &bed,
        Builds(Script::new(|_| async { errored("the disk is full", true) })),
        1,
    );

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Failed);
    assert_eq!(
        run.reason(),
        format!("image: the disk is full (after {MAX_ATTEMPTS} attempts)")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_attempt_can_mend_fails_at_once() {
    let bed = Bed::new().await;
    let script = Script::new(|_| async { errored("there is no such registry", false) });
    let _builder = Process::start(&bed, Builds(script.clone()), 1);
    let id = bed.begin(BUILD_AND_TEST).await;

    let run = bed.until_ended(&id).await;

    assert_eq!(run.reason(), "build: there is no such registry");
    assert_eq!(script.begun().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_panic_is_an_error_like_others() {
    let bed = Bed::new().await;
    let script = Script::new(|work| async move {
        assert!(work.attempt > 1, "a hole in the code");
        success()
    });
    let _builder = Process::start(&bed, Builds(script), 1);
    let id = bed.begin(IMAGE_ONLY).await;

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Succeeded);
    let (outcome, _) = run.stage(&IMAGE).unwrap().attempts[0]
        .ended
        .clone()
        .unwrap();
    let Outcome::Errored { failure, .. } = outcome else {
        panic!("{outcome:?}")
    };
    assert!(
        failure.reason.contains("a hole in the code"),
        "{}",
        failure.reason
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_outcome_that_is_too_large_for_the_bus_fails_the_stage() {
    let bed = Bed::new().await;
    let script = Script::new(|_| async { errored(&"x".repeat(6 << 20), true) });
    let _builder = Process::start(&bed, Builds(script), 1);
    let id = bed.begin(IMAGE_ONLY).await;

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Failed);
    assert!(
        run.reason().contains("could not be recorded"),
        "{}",
        run.reason()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_run_stops_what_is_being_done() {
    let bed = Bed::new().await;
    let script = Script::endless();
    let _builder = Process::start(&bed, Builds(script.clone()), 1);
    let id = bed.begin(BUILD_AND_TEST).await;
    bed.until("the build began", &id, |run| !run.running().is_empty())
        .await;

    bed.cancel(&id).await;
    let run = bed.until_ended(&id).await;

    assert_eq!(
        (run.state(), run.reason().as_str()),
        (RunState::Cancelled, "cancelled by ada: not needed")
    );
    assert!(
        run.stages.iter().all(|s| s.state.name() == "cancelled"),
        "{run:#?}"
    );
    assert_eq!(script.begun().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_handler_that_does_not_stop_is_left_behind() {
    let bed = Bed::new().await;
    let _builder = Process::start(&bed, Builds(Script::new(|_| std::future::pending())), 1);
    let id = bed.begin(IMAGE_ONLY).await;
    bed.until("the image began", &id, |run| !run.running().is_empty())
        .await;

    bed.cancel(&id).await;

    assert_eq!(bed.until_ended(&id).await.state(), RunState::Cancelled);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stage_that_takes_too_long_fails() {
    let bed = Bed::new().await;
    let _builder = Process::start(&bed, Builds(Script::endless()), 1);
    let id = bed
        .begin("{ service: delivery, image: { timeout: 1s } }")
        .await;

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Failed);
    assert!(
        run.reason().contains("longer than its time limit of 1 s"),
        "{}",
        run.reason()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_attempt_that_was_given_up_is_stopped() {
    let bed = Bed::new().await;
    let script = Script::endless_at_first();
    let _builder = Process::start(&bed, Builds(script.clone()), 2);
    let id = bed.begin(IMAGE_ONLY).await;
    let run = bed
        .until("the image began", &id, |run| !run.running().is_empty())
        .await;
    let (_, _, holder) = run.running().remove(0);

    let lost = bed
        .append(&id, |run| {
            run.lost(&IMAGE, 1, &holder, Timestamp::now()).unwrap()
        })
        .await;
    enqueue_ready(&bed.bus, &lost).await;

    assert_eq!(bed.until_ended(&id).await.state(), RunState::Succeeded);
    assert_eq!(script.begun().len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_shut_down_gives_its_stage_back() {
    let bed = Bed::new().await;
    let script = Script::endless_at_first();
    let first = Process::start(&bed, Builds(script.clone()), 1);
    let id = bed.begin(IMAGE_ONLY).await;
    bed.until("the image began", &id, |run| !run.running().is_empty())
        .await;

    first.shut_down().await;
    let run = bed.run(&id).await;
    assert!(run.running().is_empty(), "nothing is left behind: {run:#?}");
    let _second = Process::start(&bed, Builds(script), 1);

    let run = bed.until_ended(&id).await;
    assert_eq!(run.state(), RunState::Succeeded);
    assert_eq!(run.stage(&IMAGE).unwrap().attempts.len(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_is_shut_down_begins_nothing_any_more() {
    let bed = Bed::new().await;
    // The shutdown comes between the question whether the stage may begin and its beginning.
    let asked = std::sync::Arc::new(tokio::sync::Notify::new());
    let asks = std::sync::Arc::clone(&asked);
    let script = Script::endless().admitting(move |_, _| {
        asks.notify_one();
        let wait = std::time::Instant::now() + Duration::from_millis(500);
        while std::time::Instant::now() < wait {
            std::thread::yield_now();
        }
        worker::Admit::Now
    });
    let builder = Process::start(&bed, Builds(script.clone()), 1);
    let id = bed.begin(IMAGE_ONLY).await;

    asked.notified().await;
    builder.shut_down().await;

    let run = bed.run(&id).await;
    assert!(run.running().is_empty(), "{run:#?}");
    let _second = Process::start(&bed, Builds(Script::good()), 1);
    assert_eq!(bed.until_ended(&id).await.state(), RunState::Succeeded);
}
