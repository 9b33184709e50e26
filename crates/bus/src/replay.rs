//! Reads a stream in order, each message once, over restarts of the server: the base of following events and logs.

use std::time::Duration;

use async_nats::jetstream::consumer::pull::{self, Stream as Messages};
use async_nats::jetstream::consumer::{AckPolicy, DeliverPolicy};
use bytes::Bytes;
use futures::StreamExt as _;
use jiff::Timestamp;
use tokio::sync::watch;

use crate::connection::{Bus, Link};
use crate::error::{Error, Result};
use crate::streams::StreamKind;

const FIRST_PAUSE: Duration = Duration::from_millis(20);
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// The server forgets a reader that stays away this long; it begins again where it was.
const FORGET_AFTER: Duration = Duration::from_secs(60);

/// A message as it is stored.
#[derive(Debug, Clone)]
pub(crate) struct Stored {
    pub(crate) subject: String,
    pub(crate) sequence: u64,
    pub(crate) time: Timestamp,
    pub(crate) id: Option<String>,
    pub(crate) payload: Bytes,
}

/// What a [`Replay`] yields.
#[derive(Debug)]
pub(crate) enum Replayed {
    Message(Stored),
    /// Everything that was stored when the replay began has been yielded. Said once.
    CaughtUp,
}

/// An endless read of one stream, from some sequence on.
pub(crate) struct Replay {
    bus: Bus,
    stream: StreamKind,
    filter: String,
    batch: usize,
    /// The last sequence that was yielded or is known not to be wanted.
    last: u64,
    /// The last sequence of the stream when the replay began.
    head: u64,
    caught_up: CaughtUp,
    reader: Option<Reader>,
    pause: Duration,
}

#[derive(Debug, PartialEq, Eq)]
enum CaughtUp {
    No,
    Unsaid,
    Said,
}

/// An ephemeral consumer that delivers everything after a sequence, without acknowledgements.
struct Reader {
    messages: Messages,
    link: watch::Receiver<Link>,
    /// The consumer's number of the last message: a gap means that one was lost on the way.
    delivered: u64,
}

impl Replay {
    /// Begins after `after`, or with what comes from now on.
    pub(crate) async fn start(
        bus: &Bus,
        stream: StreamKind,
        filter: String,
        after: Option<u64>,
        batch: usize,
    ) -> Result<Self> {
        let head = bus.stream(stream).await?.cached_info().state.last_sequence;
        let last = after.unwrap_or(head);
        if last > head {
            return Err(Error::Behind {
                after: last,
                last: head,
            });
        }
        Ok(Self {
            bus: bus.clone(),
            stream,
            filter,
            batch,
            last,
            head,
            caught_up: if last == head {
                CaughtUp::Unsaid
            } else {
                CaughtUp::No
            },
            reader: None,
            pause: FIRST_PAUSE,
        })
    }

    /// The next message. Never ends: while the server is away, it waits. Dropping the future loses nothing.
    pub(crate) async fn next(&mut self) -> Replayed {
        loop {
            if self.caught_up == CaughtUp::Unsaid {
                self.caught_up = CaughtUp::Said;
                return Replayed::CaughtUp;
            }
            if self.reader.is_none() {
                match self.open().await {
                    Ok(()) => continue,
                    Err(error) => {
                        tracing::debug!(%error, stream.name = self.stream.name(), "cannot read the stream yet");
                        tokio::time::sleep(self.pause).await;
                        self.pause = (self.pause * 2).min(LONGEST_PAUSE);
                        continue;
                    }
                }
            }
            let Some(message) = self.receive().await else {
                self.reader = None;
                continue;
            };
            self.pause = FIRST_PAUSE;
            return Replayed::Message(message);
        }
    }

    async fn open(&mut self) -> Result<()> {
        let mut link = self.bus.link();
        link.borrow_and_update();
        let stream = self.bus.stream(self.stream).await?;
        let end = stream.cached_info().state.last_sequence;
        if end < self.last {
            tracing::error!(
                stream.name = self.stream.name(),
                stream.seen = self.last,
                stream.end = end,
                "THE NATS SERVER LOST DATA: the stream ends before what was already read; reading it from its beginning"
            );
            self.last = 0;
        }
        let consumer = stream
            .create_consumer(pull::Config {
                deliver_policy: DeliverPolicy::ByStartSequence {
                    start_sequence: self.last + 1,
                },
                ack_policy: AckPolicy::None,
                filter_subject: self.filter.clone(),
                memory_storage: true,
                num_replicas: 1,
                inactive_threshold: FORGET_AFTER,
                ..pull::Config::default()
            })
            .await
            .map_err(|error| Error::unavailable("open a reader", error))?;
        if self.caught_up == CaughtUp::No && consumer.cached_info().num_pending == 0 {
            self.caught_up = CaughtUp::Unsaid;
        }
        let messages = consumer
            .stream()
            .max_messages_per_batch(self.batch)
            .expires(Duration::from_secs(30))
            .heartbeat(Duration::from_secs(5))
            .messages()
            .await
            .map_err(|error| Error::unavailable("read a stream", error))?;
        self.reader = Some(Reader {
            messages,
            link,
            delivered: 0,
        });
        Ok(())
    }

    /// The next message of the present reader; `None` when it has to be opened again.
    async fn receive(&mut self) -> Option<Stored> {
        let reader = self.reader.as_mut()?;
        let message = tokio::select! {
            biased;
            _ = reader.link.changed() => return None,
            message = reader.messages.next() => message,
        };
        let message = match message? {
            Ok(message) => message,
            Err(error) => {
                tracing::debug!(%error, stream.name = self.stream.name(), "the reader broke; opening another");
                return None;
            }
        };
        let info = message.info().ok()?;
        if info.consumer_sequence != reader.delivered + 1 || info.stream_sequence <= self.last {
            return None;
        }
        reader.delivered += 1;
        self.last = info.stream_sequence;
        if self.caught_up == CaughtUp::No
            && (info.pending == 0 || info.stream_sequence >= self.head)
        {
            self.caught_up = CaughtUp::Unsaid;
        }
        let (sequence, time) = (
            info.stream_sequence,
            timestamp(info.published.unix_timestamp_nanos()),
        );
        Some(Stored {
            id: message_id(message.headers.as_ref()),
            subject: message.subject.to_string(),
            sequence,
            time,
            payload: message.payload.clone(),
        })
    }
}

/// The time of `nanoseconds` after 1970.
pub(crate) fn timestamp(nanoseconds: i128) -> Timestamp {
    Timestamp::from_nanosecond(nanoseconds).unwrap_or(Timestamp::UNIX_EPOCH)
}

/// The id that the publisher gave the message.
pub(crate) fn message_id(headers: Option<&async_nats::HeaderMap>) -> Option<String> {
    headers?
        .get(async_nats::header::NATS_MESSAGE_ID)
        .map(|id| id.as_str().to_owned())
}
