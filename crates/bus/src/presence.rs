//! Who is at work: a worker answers whether it holds something. Nothing is stored.

use std::time::Duration;

use async_nats::RequestErrorKind;
use async_nats::client::Request;
use bytes::Bytes;
use futures::StreamExt as _;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::connection::Bus;
use crate::error::{Error, Result};
use crate::subjects;

const ANSWER_WITHIN: Duration = Duration::from_secs(2);
const HOLDS: &[u8] = b"holds";
const FREE: &[u8] = b"free";

/// What is known about a worker and the thing it was asked about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WorkerState {
    /// It is there and holds it.
    Holds,
    /// It is there and does not hold it.
    Free,
    /// Nobody answers to that name.
    Gone,
    /// It did not answer in time, or we cannot ask now. It may well be at work.
    Unknown,
}

/// Asks and answers who is at work.
#[derive(Debug, Clone)]
pub struct Presence {
    bus: Bus,
}

impl Presence {
    pub(crate) fn new(bus: Bus) -> Self {
        Self { bus }
    }

    /// Answers for a worker until the announcement is dropped: `holds` gets the question and says whether the worker
    /// holds what it names. It must not block.
    ///
    /// # Errors
    /// When the connection is closed or the worker's id is not valid.
    pub async fn announce(
        &self,
        worker: &str,
        holds: impl Fn(&[u8]) -> bool + Send + 'static,
    ) -> Result<Announcement> {
        let client = self.bus.client().clone();
        let subscription = client.subscribe(subjects::worker(worker)?).await;
        let mut questions =
            subscription.map_err(|error| Error::unavailable("announce the worker", error))?;
        client
            .flush()
            .await
            .map_err(|error| Error::unavailable("announce the worker", error))?;
        let (stop, closing) = (CancellationToken::new(), self.bus.closing().clone());
        let stopped = stop.clone();
        self.bus.tasks().spawn(async move {
            loop {
                let question = tokio::select! {
                    () = stopped.cancelled() => return,
                    () = closing.cancelled() => return,
                    question = questions.next() => question,
                };
                let Some(question) = question else { return };
                let Some(reply) = question.reply else {
                    continue;
                };
                let answer = Bytes::from_static(if holds(&question.payload) {
                    HOLDS
                } else {
                    FREE
                });
                if let Err(error) = client.publish(reply, answer).await {
                    tracing::debug!(%error, "cannot answer who is at work");
                }
            }
        });
        Ok(Announcement {
            _stop: stop.drop_guard(),
        })
    }

    /// Asks a worker whether it holds something. [`WorkerState::Gone`] is only said when our own connection is old
    /// enough that the worker, too, has had time to reconnect after a restart of the server.
    ///
    /// # Errors
    /// When the worker's id is not valid.
    pub async fn ask(&self, worker: &str, question: Bytes) -> Result<WorkerState> {
        let subject = subjects::worker(worker)?;
        let request = Request::new()
            .payload(question)
            .timeout(Some(ANSWER_WITHIN));
        let before = *self.bus.link().borrow();
        let answer = self.bus.client().send_request(subject, request).await;
        Ok(match answer {
            Ok(answer) if answer.payload == HOLDS => WorkerState::Holds,
            Ok(answer) if answer.payload == FREE => WorkerState::Free,
            Err(error) if error.kind() == RequestErrorKind::NoResponders => {
                let steady = before.since.elapsed() >= self.bus.config().presence_grace;
                let same = self.bus.link().borrow().epoch == before.epoch;
                if steady && same {
                    WorkerState::Gone
                } else {
                    WorkerState::Unknown
                }
            }
            Ok(_) | Err(_) => WorkerState::Unknown,
        })
    }
}

/// Keeps a worker announced; see [`Presence::announce`].
#[must_use = "the worker is announced only as long as this lives"]
#[derive(Debug)]
pub struct Announcement {
    _stop: DropGuard,
}
