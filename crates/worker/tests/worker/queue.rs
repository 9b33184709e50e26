//! What happens to the messages of a job: lost, doubled, rejected.

use bus::JobKind;
use domain::run::{Event, RunState};
use domain::stage::StageName;
use jiff::Timestamp;
use worker::enqueue_ready;

use crate::bed::{Bed, IMAGE_ONLY, Process, person};
use crate::scripted::{Builds, Script, Tests};

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_job_is_enqueued_again() {
    let bed = Bed::new().await;
    let id = bed.begin(IMAGE_ONLY).await;
    bed.lose_job(JobKind::Build).await;
    let script = Script::good();
    let _builder = Process::start(&bed, Builds(script.clone()), 1);

    assert_eq!(bed.until_ended(&id).await.state(), RunState::Succeeded);
    assert_eq!(script.begun().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_nobody_enqueued_is_found() {
    let bed = Bed::new().await;
    let _builder = Process::start(&bed, Builds(Script::good()), 1);

    let run = bed.plan(IMAGE_ONLY).await;

    assert_eq!(bed.until_ended(&run.id).await.state(), RunState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_cancelled_and_retried_before_it_began_is_done() {
    let bed = Bed::new().await;
    let id = bed.begin(IMAGE_ONLY).await;
    bed.cancel(&id).await;
    // Over, and so taken from the queue; the retry enqueues the same attempt.
    bed.lose_job(JobKind::Build).await;
    let retried = bed
        .append(&id, |run| {
            run.retry_by(&person(), Timestamp::now()).unwrap()
        })
        .await;
    enqueue_ready(&bed.bus, &retried).await;
    let _builder = Process::start(&bed, Builds(Script::good()), 1);

    assert_eq!(bed.until_ended(&id).await.state(), RunState::Succeeded);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_stage_of_a_rejected_job_fails_with_the_reason() {
    let bed = Bed::new().await;
    let id = bed.begin(IMAGE_ONLY).await;
    bed.take_job(JobKind::Build)
        .await
        .reject("nobody can do this")
        .await
        .unwrap();
    let script = Script::good();
    // Any worker does, also one of another kind.
    let _tester = Process::start(&bed, Tests(script.clone()), 1);

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Failed);
    assert_eq!(
        run.reason(),
        "image: its job could not be done: nobody can do this"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_job_does_not_end_what_another_worker_is_doing() {
    let bed = Bed::new().await;
    let run = bed.plan(IMAGE_ONLY).await;
    enqueue_ready(&bed.bus, &run).await;
    let taken = bed.take_job(JobKind::Build).await;
    let script = Script::endless();
    let _builder = Process::start(&bed, Builds(script.clone()), 1);
    // The sweep finds the job lost; its second message is the one that is done.
    bed.until("the image began", &run.id, |run| !run.running().is_empty())
        .await;

    let _tester = Process::start(&bed, Tests(Script::good()), 1);
    taken.reject("the first message was bad").await.unwrap();
    let bad = bed.plan(IMAGE_ONLY).await;
    enqueue_ready(&bed.bus, &bad).await;

    // Letters are dealt with one by one: after the second, the first is done with.
    let next = bed.take_job(JobKind::Build).await;
    next.reject("so was this").await.unwrap();
    bed.until_ended(&bad.id).await;
    assert_eq!(bed.run(&run.id).await.running().len(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_that_panics_before_the_claim_fails_the_stage() {
    let bed = Bed::new().await;
    let script = Script::good().admitting(|_, _| panic!("cannot even think about it"));
    let _builder = Process::start(&bed, Builds(script), 1);
    let id = bed.begin(IMAGE_ONLY).await;

    let run = bed.until_ended(&id).await;

    assert_eq!(run.state(), RunState::Failed);
    assert!(
        run.reason().contains("cannot even think about it"),
        "{}",
        run.reason()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn an_event_of_a_newer_version_of_slipway_stops_nobody() {
    let bed = Bed::new().await;
    let run = bed.plan(IMAGE_ONLY).await;
    let subject = bus::EventSubject::Run(run.id.to_string());
    let unknown = bytes::Bytes::from_static(&[0x0a, 0x02, 0x08, 0x01, 0xfa, 0x07, 0x00]);
    assert!(<Event as proto::event::WireEvent>::decode(&unknown).is_err());
    bed.bus
        .events()
        .append(&subject, run.last_sequence, "new", unknown)
        .await
        .unwrap();
    let _builder = Process::start(&bed, Builds(Script::good()), 1);
    enqueue_ready(&bed.bus, &bed.run(&run.id).await).await;

    let run = bed.until_ended(&run.id).await;

    assert_eq!(run.stage(&StageName::Image).unwrap().attempts.len(), 1);
}
