//! One message that was taken from a queue, and what became of it.

use std::time::Duration;

use async_nats::client::Request;
use async_nats::jetstream::AckKind;
use async_nats::{Client, RequestErrorKind, Subject};
use bytes::Bytes;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::Bus;
use crate::dead_letters::DeadLetterRecord;
use crate::error::{Error, Result};
use crate::replay::message_id;
use crate::subjects;

/// A message from a queue. Settle it with [`ack`](Self::ack), [`retry_after`](Self::retry_after) or
/// [`reject`](Self::reject); one that is dropped is offered again at once.
pub struct Delivery {
    message: async_nats::Message,
    id: Option<String>,
    /// Where the verdict goes; `None` when there is nothing left to say.
    reply: Option<Subject>,
    delivered: u64,
    sequence: u64,
    ack_wait: Duration,
    bus: Bus,
    /// One of the places in [`Deliveries`](crate::Deliveries), free again when this is settled.
    _place: OwnedSemaphorePermit,
}

impl Delivery {
    /// `None` for a message that no queue delivered.
    pub(crate) fn new(
        message: async_nats::jetstream::Message,
        ack_wait: Duration,
        bus: Bus,
        place: OwnedSemaphorePermit,
    ) -> Option<Self> {
        let info = message.info().ok()?;
        let delivered = u64::try_from(info.delivered).unwrap_or(1);
        let sequence = info.stream_sequence;
        let reply = message.reply.clone();
        let id = message_id(message.headers.as_ref());
        Some(Self {
            message: message.message,
            id,
            reply,
            delivered,
            sequence,
            ack_wait,
            bus,
            _place: place,
        })
    }

    /// The content.
    pub fn payload(&self) -> &Bytes {
        &self.message.payload
    }

    /// The subject that it was published to.
    pub fn subject(&self) -> &str {
        self.message.subject.as_str()
    }

    /// The id that it was published with, in escaped form when it was not a plain id.
    pub fn message_id(&self) -> Option<&str> {
        self.id.as_deref()
    }

    /// How often it was delivered, this time included.
    pub fn delivered(&self) -> u64 {
        self.delivered
    }

    /// Its place in the queue's stream: the same at each delivery of this message, another for every other message.
    pub fn sequence(&self) -> u64 {
        self.sequence
    }

    /// Done: it is not delivered again. Returns when the server has confirmed it.
    ///
    /// # Errors
    /// When the server does not confirm; the message may then be delivered again.
    pub async fn ack(mut self) -> Result<()> {
        self.settle("acknowledge the delivery", AckKind::Ack).await
    }

    /// Not now: it is delivered again after `delay`, which counts towards the limit of deliveries.
    ///
    /// # Errors
    /// When the server does not confirm; the message is then delivered again when its time to be settled is over.
    pub async fn retry_after(mut self, delay: Duration) -> Result<()> {
        self.settle("put the delivery back", AckKind::Nak(Some(delay)))
            .await
    }

    /// Never: it becomes a dead letter with this reason, and is not delivered again.
    ///
    /// # Errors
    /// When the server does not confirm; the message may then be delivered again.
    pub async fn reject(mut self, reason: &str) -> Result<()> {
        let record = DeadLetterRecord {
            subject: self.message.subject.to_string(),
            payload: self.message.payload.clone(),
            reason: reason.to_owned(),
            delivered: self.delivered,
            message_id: self.id.clone().unwrap_or_default(),
        };
        let subject = match subjects::parse_job(&record.subject) {
            Some((kind, _)) => kind.dead_letter_subject(),
            None => subjects::DEAD_COMMITS.to_owned(),
        };
        record
            .store(&self.bus, subject, self.reply.as_ref())
            .await?;
        tracing::warn!(
            delivery.subject = record.subject,
            reason,
            "rejected a delivery"
        );
        self.settle("end the delivery", AckKind::Term).await
    }

    /// Tells the server every third of the acknowledgement time that this is still worked on, until the guard is
    /// dropped.
    pub fn keep_alive(&self) -> KeepAlive {
        let (stop, lost) = (CancellationToken::new(), CancellationToken::new());
        if let Some(reply) = self.reply.clone() {
            let heartbeat = Heartbeat {
                client: self.bus.client().clone(),
                reply,
                ack_wait: self.ack_wait,
            };
            let (stopped, lost) = (stop.clone(), lost.clone());
            let closing = self.bus.closing().clone();
            self.bus.tasks().spawn(async move {
                tokio::select! {
                    () = stopped.cancelled() => {}
                    () = closing.cancelled() => {}
                    () = heartbeat.beat_until_lost() => lost.cancel(),
                }
            });
        }
        KeepAlive {
            lost,
            _stop: stop.drop_guard(),
        }
    }

    async fn settle(&mut self, doing: &'static str, verdict: AckKind) -> Result<()> {
        let Some(reply) = self.reply.clone() else {
            return Ok(());
        };
        let limit = self.bus.config().request_timeout;
        // When this does not succeed, dropping self offers the message again, or fails as this did.
        say(self.bus.client(), reply, verdict, limit, doing).await?;
        self.reply = None;
        Ok(())
    }
}

impl std::fmt::Debug for Delivery {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Delivery")
            .field("subject", &self.subject())
            .field("message_id", &self.id)
            .field("delivered", &self.delivered)
            .finish_non_exhaustive()
    }
}

impl Drop for Delivery {
    fn drop(&mut self) {
        let Some(reply) = self.reply.take() else {
            return;
        };
        let Ok(runtime) = tokio::runtime::Handle::try_current() else {
            return;
        };
        let client = self.bus.client().clone();
        let offer_again = async move {
            if let Err(error) = client.publish(reply, AckKind::Nak(None).into()).await {
                tracing::debug!(%error, "a dropped delivery waits until its time is over");
            }
        };
        self.bus.tasks().spawn_on(offer_again, &runtime);
    }
}

/// Keeps a delivery ours while it is worked on; see [`Delivery::keep_alive`].
#[must_use = "the delivery is kept only as long as this lives"]
#[derive(Debug)]
pub struct KeepAlive {
    lost: CancellationToken,
    _stop: DropGuard,
}

impl KeepAlive {
    /// Cancelled when the server has confirmed nothing for two thirds of the acknowledgement time: someone else may
    /// be given the job soon, or it is gone. Stop working on it.
    pub fn lost(&self) -> &CancellationToken {
        &self.lost
    }
}

struct Heartbeat {
    client: Client,
    reply: Subject,
    ack_wait: Duration,
}

impl Heartbeat {
    async fn beat_until_lost(self) {
        let (period, patience) = (self.ack_wait / 3, self.ack_wait * 2 / 3);
        let mut confirmed = Instant::now();
        let mut next = confirmed + period;
        loop {
            tokio::time::sleep_until(next.min(confirmed + patience)).await;
            let limit = patience.saturating_sub(confirmed.elapsed());
            if limit.is_zero() {
                return;
            }
            let beaten = Instant::now();
            match say(
                &self.client,
                self.reply.clone(),
                AckKind::Progress,
                limit,
                "extend the delivery",
            )
            .await
            {
                Ok(()) => {
                    confirmed = beaten;
                    next = beaten + period;
                }
                Err(error) => {
                    tracing::debug!(%error, "a heartbeat of a delivery was not confirmed");
                    next = Instant::now() + period / 4;
                }
            }
        }
    }
}

/// Gives the server a verdict and waits until it has it.
async fn say(
    client: &Client,
    reply: Subject,
    verdict: AckKind,
    limit: Duration,
    doing: &'static str,
) -> Result<()> {
    let request = Request::new().payload(verdict.into()).timeout(Some(limit));
    match client.send_request(reply, request).await {
        Ok(_) => Ok(()),
        Err(error) if error.kind() == RequestErrorKind::NoResponders => Err(Error::DeliveryGone),
        Err(error) => Err(Error::unavailable(doing, error)),
    }
}
