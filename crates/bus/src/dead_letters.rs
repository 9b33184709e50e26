//! Jobs that nobody will try again: rejected, or delivered as often as allowed. They are kept on disk until a service
//! has failed their stage.

use async_nats::Subject;
use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;
use prost::Message as _;
use serde::Deserialize;

use crate::connection::Bus;
use crate::deliveries::{Deliveries, DeliveryOptions, Queue};
use crate::delivery::Delivery;
use crate::error::{Error, Result};
use crate::events::publish_error;
use crate::streams::StreamKind;
use crate::subjects::{self, JobKind};

/// A rejected message as it is stored.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct DeadLetterRecord {
    #[prost(string, tag = "1")]
    pub(crate) subject: String,
    #[prost(bytes = "bytes", tag = "2")]
    pub(crate) payload: Bytes,
    #[prost(string, tag = "3")]
    pub(crate) reason: String,
    #[prost(uint64, tag = "4")]
    pub(crate) delivered: u64,
    #[prost(string, tag = "5")]
    pub(crate) message_id: String,
}

impl DeadLetterRecord {
    /// Stores it once per delivery, however often that is tried.
    pub(crate) async fn store(
        &self,
        bus: &Bus,
        subject: String,
        delivery: Option<&Subject>,
    ) -> Result<()> {
        let payload = Bytes::from(self.encode_to_vec());
        let bytes = payload.len();
        let mut message = PublishMessage::build().payload(payload);
        if let Some(delivery) = delivery {
            message = message.message_id(delivery.as_str());
        }
        let stored = async { bus.jetstream().send_publish(subject, message).await?.await }.await;
        stored
            .map(drop)
            .map_err(|error| publish_error("store the dead letter", bus, bytes, error))
    }
}

/// A job that nobody will try again.
#[derive(Debug)]
pub struct DeadLetter {
    /// What kind of job it was.
    pub kind: JobKind,
    /// The pool that it was for.
    pub pool: Option<String>,
    /// Its content.
    pub payload: Bytes,
    /// Why it is dead.
    pub reason: String,
    /// How often it was delivered.
    pub delivered: u64,
    delivery: Delivery,
    exhausted: Option<u64>,
    bus: Bus,
}

impl DeadLetter {
    /// What had to be done about it is done. One that is dropped instead is offered again.
    ///
    /// # Errors
    /// When the server does not confirm; the letter may then come again.
    pub async fn ack(self) -> Result<()> {
        if let Some(sequence) = self.exhausted {
            let stream = self.bus.stream(StreamKind::Jobs).await?;
            if let Err(error) = stream.delete_message(sequence).await {
                tracing::debug!(%error, job.sequence = sequence, "the exhausted job was gone from its queue");
            }
        }
        self.delivery.ack().await
    }
}

/// What the server says when a message was delivered as often as its consumer allows.
#[derive(Deserialize)]
struct Exhausted {
    consumer: String,
    stream_seq: u64,
    deliveries: u64,
}

/// The dead letters of all job queues; see [`JobQueue::dead_letters`](crate::JobQueue::dead_letters).
pub struct DeadLetters {
    bus: Bus,
    deliveries: Deliveries,
}

impl DeadLetters {
    pub(crate) async fn start(bus: &Bus, options: DeliveryOptions) -> Result<Self> {
        // A letter is offered until it is dealt with.
        let options = DeliveryOptions {
            max_deliver: u32::MAX,
            ..options
        };
        Ok(Self {
            bus: bus.clone(),
            deliveries: Deliveries::start(bus, Queue::DeadJobs, options).await?,
        })
    }

    /// The next dead letter. Never ends. Dropping the future loses nothing.
    pub async fn next(&mut self) -> DeadLetter {
        loop {
            let delivery = self.deliveries.next().await;
            let letter = if delivery.subject().starts_with("$JS.") {
                self.exhausted(&delivery).await
            } else {
                Ok(rejected(&delivery).map(|letter| (letter, None)))
            };
            match letter {
                Ok(Some((record, exhausted))) => {
                    let Some((kind, pool)) = subjects::parse_job(&record.subject) else {
                        discard(delivery, "is not about a job").await;
                        continue;
                    };
                    return DeadLetter {
                        kind,
                        pool,
                        payload: record.payload,
                        reason: record.reason,
                        delivered: record.delivered,
                        delivery,
                        exhausted,
                        bus: self.bus.clone(),
                    };
                }
                Ok(None) => discard(delivery, "cannot be read, or its job is gone").await,
                Err(error) => {
                    tracing::warn!(%error, "cannot read a dead letter now");
                    drop(
                        delivery
                            .retry_after(self.bus.config().request_timeout)
                            .await,
                    );
                }
            }
        }
    }

    /// The job that the server gave up, still in its queue; `None` when it is gone, or the queue began anew.
    async fn exhausted(
        &self,
        delivery: &Delivery,
    ) -> Result<Option<(DeadLetterRecord, Option<u64>)>> {
        let Ok(advisory) = serde_json::from_slice::<Exhausted>(delivery.payload()) else {
            return Ok(None);
        };
        let stream = self.bus.stream(StreamKind::Jobs).await?;
        let born = stream.cached_info().created.unix_timestamp_nanos();
        let message = match stream.get_raw_message(advisory.stream_seq).await {
            Ok(message) => message,
            Err(error)
                if error.kind()
                    == async_nats::jetstream::stream::LastRawMessageErrorKind::NoMessageFound =>
            {
                return Ok(None);
            }
            Err(error) => return Err(Error::unavailable("read the exhausted job", error)),
        };
        let Some((kind, pool)) = subjects::parse_job(&message.subject) else {
            return Ok(None);
        };
        if subjects::job_consumer(kind, pool.as_deref(), born)? != advisory.consumer {
            return Ok(None);
        }
        let record = DeadLetterRecord {
            subject: message.subject.to_string(),
            payload: message.payload,
            reason: format!(
                "delivered {} times, and nobody finished it",
                advisory.deliveries
            ),
            delivered: advisory.deliveries,
            message_id: String::new(),
        };
        Ok(Some((record, Some(advisory.stream_seq))))
    }
}

fn rejected(delivery: &Delivery) -> Option<DeadLetterRecord> {
    DeadLetterRecord::decode(delivery.payload().clone()).ok()
}

async fn discard(delivery: Delivery, why: &str) {
    tracing::warn!(
        delivery.subject = delivery.subject(),
        "dropped a dead letter: it {why}"
    );
    if let Err(error) = delivery.ack().await {
        tracing::debug!(%error, "the dead letter comes again");
    }
}
