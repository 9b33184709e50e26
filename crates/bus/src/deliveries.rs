//! Takes messages from a queue, never more at once than asked for, over restarts of the server.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Batch};
use async_nats::jetstream::consumer::{AckPolicy, PullConsumer};
use futures::{FutureExt as _, StreamExt as _};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};

use crate::connection::{Bus, Link};
use crate::delivery::Delivery;
use crate::error::{Error, Result};
use crate::streams::StreamKind;
use crate::subjects::{self, JobKind, SubjectError};

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// How long one request for messages stands at the server.
const PULL_EXPIRES: Duration = Duration::from_secs(30);
/// The server forgets a consumer that nobody uses this long.
const FORGET_AFTER: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// How messages are taken from a queue.
#[derive(Debug, Clone)]
pub struct DeliveryOptions {
    /// How many deliveries this process holds unsettled at most.
    pub max_in_flight: usize,
    /// How long a delivery may stay unsettled without a heartbeat before it is offered to someone else.
    pub ack_wait: Duration,
    /// How often a message is delivered before it becomes a dead letter.
    pub max_deliver: u32,
}

impl DeliveryOptions {
    /// `max_in_flight` at a time, each offered again after `ack_wait`, ten deliveries at most.
    pub fn new(max_in_flight: usize, ack_wait: Duration) -> Self {
        Self {
            max_in_flight,
            ack_wait,
            max_deliver: 10,
        }
    }
}

/// Which queue.
#[derive(Debug, Clone)]
pub(crate) enum Queue {
    Jobs { kind: JobKind, pool: Option<String> },
    Inbox,
    DeadJobs,
}

impl Queue {
    fn stream(&self) -> StreamKind {
        match self {
            Self::Jobs { .. } => StreamKind::Jobs,
            Self::Inbox => StreamKind::Inbox,
            Self::DeadJobs => StreamKind::Dead,
        }
    }

    /// The name of the queue's consumer in the stream that was made at `born`.
    fn consumer(&self, born: i128) -> Result<String, SubjectError> {
        match self {
            Self::Jobs { kind, pool } => subjects::job_consumer(*kind, pool.as_deref(), born),
            Self::Inbox => Ok(subjects::INBOX_CONSUMER.to_owned()),
            Self::DeadJobs => Ok(subjects::DEAD_JOBS_CONSUMER.to_owned()),
        }
    }

    fn filters(&self) -> Result<Vec<String>, SubjectError> {
        match self {
            Self::Jobs { kind, pool } => Ok(vec![subjects::job(*kind, pool.as_deref())?]),
            Self::Inbox => Ok(Vec::new()),
            Self::DeadJobs => Ok(vec![
                subjects::DEAD_JOBS.to_owned(),
                subjects::JOBS_EXHAUSTED.to_owned(),
            ]),
        }
    }
}

/// The deliveries of one queue to this process.
pub struct Deliveries {
    bus: Bus,
    queue: Queue,
    options: DeliveryOptions,
    places: Arc<Semaphore>,
    open: Option<Open>,
    pause: Duration,
}

/// A consumer, valid for one connection to the server, and the request that stands there.
struct Open {
    consumer: PullConsumer,
    link: watch::Receiver<Link>,
    batch: Option<(Batch, OwnedSemaphorePermit)>,
}

impl Deliveries {
    pub(crate) async fn start(bus: &Bus, queue: Queue, options: DeliveryOptions) -> Result<Self> {
        let mut deliveries = Self {
            bus: bus.clone(),
            queue,
            places: Arc::new(Semaphore::new(options.max_in_flight.max(1))),
            options,
            open: None,
            pause: FIRST_PAUSE,
        };
        // Whatever is wrong for good, such as a bad pool label, shows here.
        deliveries.open = Some(deliveries.open().await?);
        Ok(deliveries)
    }

    /// The next delivery, as soon as there is one and fewer than the allowed number are unsettled. Never ends: while
    /// the server is away, it waits. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Delivery {
        loop {
            if self.open.is_none() {
                match self.open().await {
                    Ok(open) => self.open = Some(open),
                    Err(error) => {
                        tracing::debug!(%error, queue = ?self.queue, "cannot open the queue yet");
                        tokio::time::sleep(self.pause).await;
                        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                }
            }
            match self.receive().await {
                Ok(Some(delivery)) => {
                    self.pause = FIRST_PAUSE;
                    return delivery;
                }
                Ok(None) => {}
                Err(error) => {
                    tracing::debug!(%error, queue = ?self.queue, "the queue broke; opening it again");
                    self.open = None;
                    tokio::time::sleep(self.pause).await;
                    self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Stops taking messages, and gives those back at once that had arrived but not been asked for.
    pub fn stop(mut self) {
        let Some((mut batch, mut places)) = self.open.take().and_then(|open| open.batch) else {
            return;
        };
        while let Some(Some(Ok(message))) = batch.next().now_or_never() {
            let Some(place) = places.split(1) else { return };
            drop(Delivery::new(
                message,
                self.options.ack_wait,
                self.bus.clone(),
                place,
            ));
        }
    }

    /// The next message of the standing request, which is made when there is none.
    async fn receive(&mut self) -> Result<Option<Delivery>> {
        let Some(open) = self.open.as_mut() else {
            return Ok(None);
        };
        if open.batch.is_none() {
            let places = tokio::select! {
                _ = open.link.changed() => { self.open = None; return Ok(None) }
                places = free_places(&self.places) => places,
            };
            let request = open
                .consumer
                .batch()
                .max_messages(places.num_permits())
                .expires(PULL_EXPIRES)
                .messages();
            let batch = request
                .await
                .map_err(|error| Error::unavailable("ask for deliveries", error))?;
            open.batch = Some((batch, places));
        }
        let Some((batch, places)) = open.batch.as_mut() else {
            return Ok(None);
        };
        let message = tokio::select! {
            biased;
            message = batch.next() => message,
            _ = open.link.changed() => { self.open = None; return Ok(None) }
        };
        let Some(message) = message else {
            open.batch = None;
            return Ok(None);
        };
        let message = message.map_err(|error| Error::unavailable("take deliveries", error))?;
        let place = places.split(1);
        if places.num_permits() == 0 {
            open.batch = None;
        }
        Ok(place.and_then(|place| {
            Delivery::new(message, self.options.ack_wait, self.bus.clone(), place)
        }))
    }

    async fn open(&self) -> Result<Open> {
        let mut link = self.bus.link();
        link.borrow_and_update();
        let stream = self.bus.stream(self.queue.stream()).await?;
        let name = self
            .queue
            .consumer(stream.cached_info().created.unix_timestamp_nanos())?;
        let consumer = stream
            .create_consumer(pull::Config {
                durable_name: Some(name),
                ack_policy: AckPolicy::Explicit,
                ack_wait: self.options.ack_wait,
                max_deliver: i64::from(self.options.max_deliver),
                max_ack_pending: -1,
                filter_subjects: self.queue.filters()?,
                inactive_threshold: FORGET_AFTER,
                ..pull::Config::default()
            })
            .await
            .map_err(|error| Error::unavailable("open a queue", error))?;
        Ok(Open {
            consumer,
            link,
            batch: None,
        })
    }
}

/// All places that are free, at least one.
async fn free_places(places: &Arc<Semaphore>) -> OwnedSemaphorePermit {
    let mut taken = Arc::clone(places)
        .acquire_owned()
        .await
        .expect("the semaphore is never closed");
    while let Ok(more) = Arc::clone(places).try_acquire_owned() {
        taken.merge(more);
    }
    taken
}
