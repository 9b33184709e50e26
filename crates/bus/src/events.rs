//! The event store: lists of events, appended optimistically, loaded and followed.

use std::time::Duration;

use async_nats::jetstream;
use async_nats::jetstream::context::{PublishError, PublishErrorKind};
use async_nats::jetstream::message::{PublishMessage, StreamMessage};
use async_nats::jetstream::stream::DirectGetErrorKind;
use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use jiff::Timestamp;

use crate::connection::Bus;
use crate::error::{AppendError, Error, Result};
use crate::replay::{Replay, Replayed, Stored, message_id, timestamp};
use crate::streams::StreamKind;
use crate::subjects::{self, EventFilter, EventSubject};

const READ_AHEAD_EVENTS: usize = 500;

/// An event as it was stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The list that it belongs to.
    pub subject: EventSubject,
    /// Its place among all events; the expected last sequence of the next append to its list.
    pub sequence: u64,
    /// When the server stored it.
    pub time: Timestamp,
    /// The id that it was appended with, in escaped form when it was not a plain id.
    pub event_id: Option<String>,
    /// Its bytes.
    pub payload: Bytes,
}

/// Where a follower begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// With the first event there is.
    Beginning,
    /// With the first event after this sequence.
    After(u64),
    /// With the first event to come.
    Now,
}

/// What a follower yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Followed {
    /// The next event.
    Event(StoredEvent),
    /// All events that were stored when the follower began have been yielded. Said exactly once.
    CaughtUp,
}

/// The lists of events on the bus.
#[derive(Debug, Clone)]
pub struct EventStore {
    bus: Bus,
}

impl EventStore {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Appends an event to a list whose last event has the sequence `expected_last` (0: the list is empty), and
    /// returns its sequence. Repeating an append with the same `event_id` and expectation gives the same sequence.
    /// While the server is away, it is tried for about three times the request timeout.
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when another event came first.
    pub async fn append(
        &self,
        subject: &EventSubject,
        expected_last: u64,
        event_id: &str,
        payload: Bytes,
    ) -> Result<u64, AppendError> {
        let name = subject.to_subject().map_err(Error::from)?;
        let id = subjects::escape(event_id);
        let attempt = || self.append_once(&name, expected_last, &id, payload.clone());
        let outcome = attempt
            .retry(
                ExponentialBuilder::default()
                    .with_jitter()
                    .with_min_delay(Duration::from_millis(50))
                    .with_max_times(4),
            )
            .when(|error| matches!(error, Outcome::Failed(error) if error.is_retryable()))
            .await;
        match outcome {
            Ok(sequence) => Ok(sequence),
            Err(Outcome::Failed(error)) => Err(error.into()),
            // An earlier attempt, whose acknowledgement got lost, may have stored it.
            Err(Outcome::Conflict) => match self.next(&name, expected_last).await? {
                Some(stored)
                    if message_id(Some(&stored.headers)).as_deref() == Some(id.as_str()) =>
                {
                    Ok(stored.sequence)
                }
                _ => Err(AppendError::Conflict {
                    subject: subject.clone(),
                    expected: expected_last,
                }),
            },
        }
    }

    /// The events of a list after the sequence `after` (0: all), in order.
    ///
    /// # Errors
    /// When the bus is unavailable or the subject is not valid.
    pub async fn load(&self, subject: &EventSubject, after: u64) -> Result<Vec<StoredEvent>> {
        let name = subject.to_subject()?;
        let (mut events, mut last) = (Vec::new(), after);
        while let Some(message) = self.next(&name, last).await? {
            last = message.sequence;
            events.push(StoredEvent {
                subject: subject.clone(),
                sequence: message.sequence,
                time: timestamp(message.time.unix_timestamp_nanos()),
                event_id: message_id(Some(&message.headers)),
                payload: message.payload,
            });
        }
        Ok(events)
    }

    /// Follows events, old and new, in order and each once, over restarts of the server.
    ///
    /// # Errors
    /// When the bus is unavailable, or [`Error::Behind`] when the server has lost events that were seen before.
    pub async fn follow(&self, filter: &EventFilter, from: From) -> Result<Follower> {
        let after = match from {
            From::Beginning => Some(0),
            From::After(sequence) => Some(sequence),
            From::Now => None,
        };
        let replay = Replay::start(
            &self.bus,
            StreamKind::Events,
            filter.pattern()?,
            after,
            READ_AHEAD_EVENTS,
        )
        .await?;
        Ok(Follower { replay })
    }

    /// The sequence of the last event of all; 0 when there is none.
    ///
    /// # Errors
    /// When the bus is unavailable.
    pub async fn last_sequence(&self) -> Result<u64> {
        Ok(self
            .bus
            .stream(StreamKind::Events)
            .await?
            .cached_info()
            .state
            .last_sequence)
    }

    async fn append_once(
        &self,
        subject: &str,
        expected: u64,
        id: &str,
        payload: Bytes,
    ) -> Result<u64, Outcome> {
        let bytes = payload.len();
        let message = PublishMessage::build()
            .message_id(id)
            .expected_stream(StreamKind::Events.name())
            .expected_last_subject_sequence(expected)
            .payload(payload);
        let published = async {
            self.bus
                .jetstream()
                .send_publish(subject.to_owned(), message)
                .await?
                .await
        }
        .await;
        match published {
            Ok(stored) => Ok(stored.sequence),
            Err(error) if error.kind() == PublishErrorKind::WrongLastSequence => {
                Err(Outcome::Conflict)
            }
            Err(error) => Err(Outcome::Failed(publish_error(
                "append the event",
                &self.bus,
                bytes,
                error,
            ))),
        }
    }

    async fn next(&self, subject: &str, after: u64) -> Result<Option<StreamMessage>> {
        let stream = self
            .bus
            .jetstream()
            .get_stream_no_info(StreamKind::Events.name())
            .await;
        let stream = stream.map_err(|error| Error::unavailable("open the event stream", error))?;
        match stream
            .direct_get_next_for_subject(subject, Some(after + 1))
            .await
        {
            Ok(message) => Ok(Some(message)),
            Err(error) if error.kind() == DirectGetErrorKind::NotFound => Ok(None),
            Err(error) => Err(Error::unavailable("load events", error)),
        }
    }
}

enum Outcome {
    Conflict,
    Failed(Error),
}

/// What a failed publish means.
pub(crate) fn publish_error(
    doing: &'static str,
    bus: &Bus,
    bytes: usize,
    error: PublishError,
) -> Error {
    match error.kind() {
        PublishErrorKind::MaxPayloadExceeded => Error::TooLarge {
            doing,
            bytes,
            limit: bus.client().max_payload(),
        },
        PublishErrorKind::Other if is_bad_request(&error) => Error::Denied {
            doing,
            source: error.into(),
        },
        _ => Error::unavailable(doing, error),
    }
}

/// Whether the server understood and refused; other failures, a full queue among them, may pass.
fn is_bad_request(error: &PublishError) -> bool {
    let source = std::error::Error::source(error);
    source
        .and_then(|source| source.downcast_ref::<jetstream::Error>())
        .is_some_and(|reason| reason.code() == 400)
}

/// Follows events; see [`EventStore::follow`].
pub struct Follower {
    replay: Replay,
}

impl Follower {
    /// The next event, or the news that all earlier ones have been yielded. Never ends: while the server is away, it
    /// waits. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Followed {
        loop {
            match self.replay.next().await {
                Replayed::CaughtUp => return Followed::CaughtUp,
                Replayed::Message(message) => {
                    if let Some(event) = stored_event(message) {
                        return Followed::Event(event);
                    }
                }
            }
        }
    }
}

fn stored_event(message: Stored) -> Option<StoredEvent> {
    let Some(subject) = EventSubject::parse(&message.subject) else {
        tracing::warn!(
            event.subject = message.subject,
            event.sequence = message.sequence,
            "not an event of Slipway's"
        );
        return None;
    };
    Some(StoredEvent {
        subject,
        sequence: message.sequence,
        time: message.time,
        event_id: message.id,
        payload: message.payload,
    })
}
