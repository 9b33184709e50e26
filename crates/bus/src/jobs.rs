//! The queues of jobs, one per kind and pool, in the server's memory: jobs follow from events, and a sweep enqueues
//! again what a restart of the server lost.

use async_nats::jetstream::context::PublishErrorKind;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use crate::connection::Bus;
use crate::dead_letters::DeadLetters;
use crate::deliveries::{Deliveries, DeliveryOptions, Queue};
use crate::error::Result;
use crate::events::publish_error;
use crate::streams::StreamKind;
use crate::subjects::{self, JobKind};

/// The queues of jobs on the bus.
#[derive(Debug, Clone)]
pub struct JobQueue {
    bus: Bus,
}

impl JobQueue {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Puts a job into the queue of its kind, for one pool of workers or for any. The same `job_id` within two
    /// minutes is the same job and is put there once, whether or not it was finished meanwhile; a caller that means
    /// it again (a sweep) makes the id differ.
    ///
    /// # Errors
    /// When the server does not confirm it, or the queue is full.
    pub async fn enqueue(
        &self,
        kind: JobKind,
        pool: Option<&str>,
        job_id: &str,
        payload: Bytes,
    ) -> Result<()> {
        let subject = subjects::job(kind, pool)?;
        let (id, bytes) = (subjects::escape(job_id), payload.len());
        let publish = || async {
            let message = PublishMessage::build()
                .message_id(&id)
                .payload(payload.clone());
            self.bus
                .jetstream()
                .send_publish(subject.clone(), message)
                .await?
                .await
        };
        let mut outcome = publish().await;
        if outcome
            .as_ref()
            .is_err_and(|error| error.kind() == PublishErrorKind::StreamNotFound)
        {
            self.bus.stream(StreamKind::Jobs).await?;
            outcome = publish().await;
        }
        outcome
            .map(drop)
            .map_err(|error| publish_error("enqueue the job", &self.bus, bytes, error))
    }

    /// Takes jobs of a kind: those for `pool`, or those for any worker.
    ///
    /// # Errors
    /// When the bus is unavailable or the pool's name is not valid.
    pub async fn deliveries(
        &self,
        kind: JobKind,
        pool: Option<&str>,
        options: DeliveryOptions,
    ) -> Result<Deliveries> {
        let queue = Queue::Jobs {
            kind,
            pool: pool.map(str::to_owned),
        };
        Deliveries::start(&self.bus, queue, options).await
    }

    /// Takes dead letters: jobs of any kind that were rejected, or delivered as often as allowed. All who ask share
    /// them; each letter comes until it is acknowledged.
    ///
    /// # Errors
    /// When the bus is unavailable.
    pub async fn dead_letters(&self, options: DeliveryOptions) -> Result<DeadLetters> {
        DeadLetters::start(&self.bus, options).await
    }
}
