//! The public feed: CDEvents in CloudEvents JSON, for other tools.

use async_nats::jetstream::message::PublishMessage;
use bytes::Bytes;

use crate::connection::Bus;
use crate::error::Result;
use crate::events::publish_error;
use crate::subjects;

/// The public feed on the bus.
#[derive(Debug, Clone)]
pub struct Feed {
    bus: Bus,
}

impl Feed {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Publishes an event of a dotted CDEvents type, such as `dev.cdevents.service.deployed.0.2.0`; the same
    /// `event_id` within two minutes is published once.
    ///
    /// # Errors
    /// When the server does not confirm it, or the type is not valid.
    pub async fn publish(&self, event_type: &str, event_id: &str, payload: Bytes) -> Result<()> {
        let subject = subjects::cdevent(event_type)?;
        let bytes = payload.len();
        let message = PublishMessage::build()
            .message_id(subjects::escape(event_id))
            .payload(payload);
        let stored = async {
            self.bus
                .jetstream()
                .send_publish(subject, message)
                .await?
                .await
        }
        .await;
        stored
            .map(drop)
            .map_err(|error| publish_error("publish to the feed", &self.bus, bytes, error))
    }
}
