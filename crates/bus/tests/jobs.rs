//! Job queues, dead letters, inbox and presence against a real server.

use std::time::Duration;

use bus::{Bus, Deliveries, Delivery, DeliveryOptions, Error, Inbox, JobKind, WorkerState};
use bytes::Bytes;
use tokio::time::Instant;

use crate::bed::{bed, connect, soon};

#[path = "support/bed.rs"]
mod bed;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(900);

async fn enqueue(bus: &Bus, id: &str) {
    bus.jobs()
        .enqueue(
            JobKind::Build,
            None,
            id,
            Bytes::copy_from_slice(id.as_bytes()),
        )
        .await
        .expect("the bus is there");
}

async fn builds(bus: &Bus, max_in_flight: usize, ack_wait: Duration) -> Deliveries {
    let options = DeliveryOptions {
        max_deliver: 3,
        ..DeliveryOptions::new(max_in_flight, ack_wait)
    };
    bus.jobs()
        .deliveries(JobKind::Build, None, options)
        .await
        .expect("the bus is there")
}

async fn next(deliveries: &mut Deliveries) -> Delivery {
    soon("a delivery comes", deliveries.next()).await
}

async fn nothing_comes(deliveries: &mut Deliveries) -> bool {
    tokio::time::timeout(Duration::from_millis(400), deliveries.next())
        .await
        .is_err()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_goes_to_one_worker_and_is_gone_when_acknowledged() {
    let (server, bus) = bed().await;
    let (mut one, mut two) = (
        builds(&bus, 4, LONG).await,
        builds(&connect(&server).await, 4, LONG).await,
    );
    enqueue(&bus, "a").await;
    enqueue(&bus, "a").await;
    let delivery =
        tokio::select! { delivery = one.next() => delivery, delivery = two.next() => delivery };
    assert_eq!(
        (
            &delivery.payload()[..],
            delivery.delivered(),
            delivery.message_id()
        ),
        (&b"a"[..], 1, Some("a"))
    );
    delivery.ack().await.unwrap();
    assert!(nothing_comes(&mut one).await && nothing_comes(&mut two).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn pools_have_queues_of_their_own() {
    let (_server, bus) = bed().await;
    let mut any = builds(&bus, 1, LONG).await;
    let options = DeliveryOptions::new(1, LONG);
    let mut pool = bus
        .jobs()
        .deliveries(JobKind::Build, Some("gpu.*"), options)
        .await
        .unwrap();
    bus.jobs()
        .enqueue(JobKind::Build, Some("gpu.*"), "g", Bytes::from_static(b"g"))
        .await
        .unwrap();
    bus.jobs()
        .enqueue(JobKind::Build, None, "n", Bytes::from_static(b"n"))
        .await
        .unwrap();
    assert_eq!(&next(&mut pool).await.payload()[..], b"g");
    assert_eq!(&next(&mut any).await.payload()[..], b"n");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_worker_never_holds_more_than_it_asked_for() {
    let (_server, bus) = bed().await;
    let mut deliveries = builds(&bus, 2, LONG).await;
    for id in ["a", "b", "c"] {
        enqueue(&bus, id).await;
    }
    let held = (next(&mut deliveries).await, next(&mut deliveries).await);
    assert!(nothing_comes(&mut deliveries).await);
    held.0.ack().await.unwrap();
    assert_eq!(&next(&mut deliveries).await.payload()[..], b"c");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_whose_holder_vanishes_is_delivered_again() {
    let (server, bus) = bed().await;
    let mut deliveries = builds(&bus, 1, SHORT).await;
    enqueue(&bus, "a").await;
    // A process that is killed settles nothing.
    std::mem::forget(next(&mut deliveries).await);
    let mut other = builds(&connect(&server).await, 1, SHORT).await;
    assert_eq!(next(&mut other).await.delivered(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dropped_delivery_is_offered_again_at_once() {
    let (_server, bus) = bed().await;
    let mut deliveries = builds(&bus, 1, LONG).await;
    enqueue(&bus, "a").await;
    drop(next(&mut deliveries).await);
    assert_eq!(next(&mut deliveries).await.delivered(), 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_put_back_with_a_delay_comes_after_it() {
    let (_server, bus) = bed().await;
    let mut deliveries = builds(&bus, 1, LONG).await;
    enqueue(&bus, "a").await;
    let delivery = next(&mut deliveries).await;
    let put_back = Instant::now();
    delivery
        .retry_after(Duration::from_millis(700))
        .await
        .unwrap();
    assert_eq!(next(&mut deliveries).await.delivered(), 2);
    assert!(put_back.elapsed() >= Duration::from_millis(700));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_job_becomes_a_dead_letter_once() {
    let (server, bus) = bed().await;
    let mut deliveries = builds(&bus, 1, SHORT).await;
    enqueue(&bus, "a").await;
    next(&mut deliveries)
        .await
        .reject("cannot read it:\r\nbad")
        .await
        .unwrap();
    assert!(nothing_comes(&mut deliveries).await);
    let mut letters = bus
        .jobs()
        .dead_letters(DeliveryOptions::new(1, LONG))
        .await
        .unwrap();
    let letter = soon("the letter comes", letters.next()).await;
    assert_eq!(
        (letter.kind, letter.reason.as_str(), &letter.payload[..]),
        (JobKind::Build, "cannot read it:\r\nbad", &b"a"[..])
    );
    drop(letter);
    let mut others = connect(&server)
        .await
        .jobs()
        .dead_letters(DeliveryOptions::new(1, LONG))
        .await
        .unwrap();
    let again =
        tokio::select! { letter = letters.next() => letter, letter = others.next() => letter };
    again.ack().await.unwrap();
    assert!(
        tokio::time::timeout(Duration::from_millis(400), letters.next())
            .await
            .is_err()
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_that_nobody_finishes_becomes_a_dead_letter_even_when_nobody_listens_for_them_yet() {
    let (server, bus) = bed().await;
    let mut deliveries = builds(&bus, 1, SHORT).await;
    enqueue(&bus, "poison").await;
    for delivered in 1..=3 {
        let delivery = next(&mut deliveries).await;
        assert_eq!(delivery.delivered(), delivered);
        drop(delivery);
    }
    assert!(nothing_comes(&mut deliveries).await);
    let mut letters = bus
        .jobs()
        .dead_letters(DeliveryOptions::new(1, LONG))
        .await
        .unwrap();
    let letter = soon("the letter comes", letters.next()).await;
    assert_eq!(
        (
            &letter.payload[..],
            letter.delivered,
            letter.pool.as_deref()
        ),
        (&b"poison"[..], 3, None)
    );
    letter.ack().await.unwrap();
    let jetstream = async_nats::jetstream::new(async_nats::connect(server.url()).await.unwrap());
    let left = jetstream
        .get_stream("slipway-jobs")
        .await
        .unwrap()
        .cached_info()
        .state
        .messages;
    assert_eq!(left, 0, "the exhausted job stayed in the queue");
}

#[tokio::test(flavor = "multi_thread")]
async fn heartbeats_hold_a_job_beyond_its_time() {
    let (server, bus) = bed().await;
    let mut deliveries = builds(&bus, 1, SHORT).await;
    let mut other = builds(&connect(&server).await, 1, SHORT).await;
    enqueue(&bus, "a").await;
    let delivery = tokio::select! { delivery = deliveries.next() => delivery, delivery = other.next() => delivery };
    let alive = delivery.keep_alive();
    assert!(
        tokio::time::timeout(SHORT * 3, other.next()).await.is_err(),
        "someone else got it"
    );
    assert!(!alive.lost().is_cancelled());
    delivery.ack().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_holder_learns_that_the_queue_lost_its_job_and_cannot_settle_another() {
    let (mut server, bus) = bed().await;
    let mut deliveries = builds(&bus, 2, SHORT).await;
    enqueue(&bus, "a").await;
    let delivery = next(&mut deliveries).await;
    let alive = delivery.keep_alive();
    server.kill().await.unwrap();
    server.restart().await.unwrap();
    soon("it is known to be lost", alive.lost().cancelled()).await;
    // The queue begins anew: the next job has the numbers that the lost one had.
    soon("the queue is back", async {
        while bus
            .jobs()
            .enqueue(JobKind::Build, None, "b", "b".into())
            .await
            .is_err()
        {}
    })
    .await;
    let other = next(&mut deliveries).await;
    assert_eq!(&other.payload()[..], b"b");
    assert!(matches!(delivery.ack().await, Err(Error::DeliveryGone)));
    std::mem::forget(other);
    assert_eq!(
        next(&mut deliveries).await.delivered(),
        2,
        "the old acknowledgement settled the new job"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_go_on_after_a_crash_of_the_server_that_lost_the_queue() {
    let (mut server, bus) = bed().await;
    let mut deliveries = builds(&bus, 1, LONG).await;
    enqueue(&bus, "a").await;
    next(&mut deliveries).await.ack().await.unwrap();
    server.kill().await.unwrap();
    let (delivery, ()) = tokio::join!(next(&mut deliveries), async {
        server.restart().await.unwrap();
        while bus
            .jobs()
            .enqueue(JobKind::Build, None, "b", "b".into())
            .await
            .is_err()
        {}
    });
    assert_eq!(&delivery.payload()[..], b"b");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_inbox_takes_each_delivery_once_and_from_anyone() {
    let (server, bus) = bed().await;
    let repository = "https://forge.example/team/delivery.git";
    assert!(
        bus.inbox()
            .publish(repository, "d 1\r\n", "one".into())
            .await
            .unwrap()
    );
    assert!(
        !bus.inbox()
            .publish(repository, "d 1\r\n", "one".into())
            .await
            .unwrap()
    );
    assert!(
        bus.inbox()
            .publish("other", "d 1\r\n", "two".into())
            .await
            .unwrap()
    );
    let stranger = async_nats::connect(server.url()).await.unwrap();
    stranger
        .publish("slipway.commit.plain", "three".into())
        .await
        .unwrap();
    stranger.flush().await.unwrap();
    let mut deliveries = bus
        .inbox()
        .deliveries(DeliveryOptions::new(1, LONG))
        .await
        .unwrap();
    for (from, payload) in [(repository, "one"), ("other", "two"), ("plain", "three")] {
        let delivery = next(&mut deliveries).await;
        assert_eq!(Inbox::repository(&delivery).as_deref(), Some(from));
        assert_eq!(&delivery.payload()[..], payload.as_bytes());
        delivery.ack().await.unwrap();
    }
    assert!(nothing_comes(&mut deliveries).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn workers_say_what_they_hold_until_they_are_gone() {
    let (server, bus) = bed().await;
    let other = connect(&server).await;
    let announced = bus
        .presence()
        .announce("builder 1.*", |question| question == b"mine")
        .await
        .unwrap();
    let ask = |question: &'static str| {
        let presence = other.presence();
        async move { presence.ask("builder 1.*", question.into()).await.unwrap() }
    };
    assert_eq!(ask("mine").await, WorkerState::Holds);
    assert_eq!(ask("other").await, WorkerState::Free);
    assert_eq!(
        other.presence().ask("nobody", "mine".into()).await.unwrap(),
        WorkerState::Gone
    );
    drop(announced);
    soon("it is gone", async {
        while ask("mine").await != WorkerState::Gone {}
    })
    .await;
}
