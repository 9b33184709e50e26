//! Commits that arrive from outside: webhooks, gRPC calls, and whoever publishes to `slipway.commit.<repository>`.

use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use crate::connection::Bus;
use crate::deliveries::{Deliveries, DeliveryOptions, Queue};
use crate::delivery::Delivery;
use crate::error::Result;
use crate::events::publish_error;
use crate::subjects;

/// The inbox of commits on the bus.
#[derive(Debug, Clone)]
pub struct Inbox {
    bus: Bus,
}

impl Inbox {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Puts a commit of a repository into the inbox. The same delivery of the same repository within a day is kept
    /// once; returns whether this was the first.
    ///
    /// # Errors
    /// When the server does not confirm it, or the repository's name is not valid.
    pub async fn publish(
        &self,
        repository: &str,
        delivery_id: &str,
        payload: Bytes,
    ) -> Result<bool> {
        let subject = subjects::commit(repository)?;
        let bytes = payload.len();
        let id = format!(
            "{}.{}",
            subjects::escape(repository),
            subjects::escape(delivery_id)
        );
        let message = PublishMessage::build().message_id(id).payload(payload);
        let stored = async {
            self.bus
                .jetstream()
                .send_publish(subject, message)
                .await?
                .await
        }
        .await;
        match stored {
            Ok(stored) => Ok(!stored.duplicate),
            Err(error) => Err(publish_error("take the commit in", &self.bus, bytes, error)),
        }
    }

    /// Takes commits; all replicas share them. A rejected one is kept for a week among the dead letters.
    ///
    /// # Errors
    /// When the bus is unavailable.
    pub async fn deliveries(&self, options: DeliveryOptions) -> Result<Deliveries> {
        Deliveries::start(&self.bus, Queue::Inbox, options).await
    }

    /// The repository that a delivery of the inbox names in its subject.
    pub fn repository(delivery: &Delivery) -> Option<String> {
        subjects::parse_commit(delivery.subject())
    }
}
