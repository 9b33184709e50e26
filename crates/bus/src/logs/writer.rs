//! Writes the log of one stage: pieces go through a bounded channel to a task that makes chunks and stores them.

use std::time::Duration;

use async_nats::jetstream::message::PublishMessage;
use backon::{ExponentialBuilder, Retryable as _};
use bytes::Bytes;
use futures::StreamExt as _;
use futures::future::BoxFuture;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;
use prost::Message as _;
use tokio::sync::{mpsc, oneshot};
use tokio::time::Instant;

use super::LogStream;
use super::assembler::{Assembler, Piece};
use super::chunk::LogChunk;
use super::reorder::WINDOW;
use crate::connection::Bus;
use crate::error::{Error, Result};
use crate::events::publish_error;
use crate::subjects;

const MAX_CHUNK_BYTES: usize = 256 << 10;
/// What a chunk has besides its lines: the writer's id, numbers.
const CHUNK_OVERHEAD_BYTES: usize = 256;
/// Pieces in the channel are at most this long, so that it holds at most 4 MiB.
const MAX_PIECE_BYTES: usize = 64 << 10;
const MAX_PIECES: usize = 64;

/// Writes the log of one stage. Clones write to the same log, each write in one piece of it. When all are dropped
/// without [`finish`](Self::finish), what was written is stored, but readers go on waiting for more.
#[derive(Debug, Clone)]
pub struct LogWriter {
    run: String,
    stage: String,
    commands: mpsc::Sender<Command>,
}

#[derive(Debug)]
enum Command {
    Write(Piece),
    Finish(oneshot::Sender<Result<(), String>>),
}

impl LogWriter {
    pub(crate) fn start(bus: &Bus, run: &str, stage: &str, stage_limit: u64) -> Result<Self> {
        let subject = subjects::log(run, stage)?;
        let writer = uuid::Uuid::now_v7().simple().to_string();
        let chunk_limit = MAX_CHUNK_BYTES
            .min(bus.client().max_payload() / 2)
            .max(4096)
            - CHUNK_OVERHEAD_BYTES;
        let (commands, received) = mpsc::channel(MAX_PIECES);
        let task = Task {
            bus: bus.clone(),
            subject,
            assembler: Assembler::new(writer, chunk_limit, stage_limit),
            oldest: 0,
            done: std::collections::BTreeSet::new(),
            under_way: FuturesUnordered::new(),
            failed: None,
        };
        bus.tasks().spawn(task.run(received));
        Ok(Self {
            run: run.to_owned(),
            stage: stage.to_owned(),
            commands,
        })
    }

    /// Takes what a program printed. Waits while the bus is slower than the program.
    ///
    /// # Errors
    /// [`Error::LogLost`] when something written earlier could not be stored; nothing more is taken then.
    pub async fn write(&self, stream: LogStream, bytes: &[u8]) -> Result<()> {
        let (time_us, at) = (Timestamp::now().as_microsecond(), Instant::now());
        for part in bytes.chunks(MAX_PIECE_BYTES) {
            let piece = Piece {
                stream,
                bytes: Bytes::copy_from_slice(part),
                time_us,
                at,
            };
            if self.commands.send(Command::Write(piece)).await.is_err() {
                return Err(self.lost("the writer has finished, or failed before"));
            }
        }
        Ok(())
    }

    /// Stores what is left and marks the end. Other clones cannot write any more.
    ///
    /// # Errors
    /// [`Error::LogLost`] when part of the log could not be stored.
    pub async fn finish(self) -> Result<()> {
        let (sender, finished) = oneshot::channel();
        if self.commands.send(Command::Finish(sender)).await.is_err() {
            return Err(self.lost("the writer has finished, or failed before"));
        }
        match finished.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(reason)) => Err(self.lost(&reason)),
            Err(_) => Err(self.lost("the writer was stopped")),
        }
    }

    fn lost(&self, reason: &str) -> Error {
        Error::LogLost {
            run: self.run.clone(),
            stage: self.stage.clone(),
            reason: reason.to_owned(),
        }
    }
}

struct Task {
    bus: Bus,
    subject: String,
    assembler: Assembler,
    /// All chunks before this are stored.
    oldest: u64,
    /// Later chunks that are stored.
    done: std::collections::BTreeSet<u64>,
    under_way: FuturesUnordered<BoxFuture<'static, (u64, Result<()>)>>,
    /// Why a chunk could not be stored.
    failed: Option<String>,
}

impl Task {
    async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let finished = loop {
            let deadline = self.assembler.deadline();
            tokio::select! {
                Some((number, stored)) = self.under_way.next(), if !self.under_way.is_empty() => self.note(number, stored),
                command = commands.recv() => match command {
                    Some(Command::Write(piece)) => self.assembler.push(piece),
                    Some(Command::Finish(sender)) => break Some(sender),
                    None => break None,
                },
                () = tokio::time::sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.assembler.tick(Instant::now());
                }
            }
            self.send().await;
            if let Some(reason) = &self.failed {
                tracing::warn!(
                    log.subject = self.subject,
                    reason,
                    "a log cannot be stored; the rest of it is not taken"
                );
                return;
            }
        };
        drop(commands);
        match &finished {
            Some(_) => self.assembler.finish(Instant::now()),
            // Long enough that everything is due.
            None => self.assembler.tick(Instant::now() + Duration::from_secs(1)),
        }
        self.send().await;
        while let Some((number, stored)) = self.under_way.next().await {
            self.note(number, stored);
        }
        if let Some(sender) = finished {
            // Nobody waits any more when this fails.
            drop(sender.send(self.failed.map_or(Ok(()), Err)));
        }
    }

    /// Sends the chunks that are complete, as many at once as readers can put in order.
    async fn send(&mut self) {
        while let Some(chunk) = self.assembler.pop() {
            while self.failed.is_none() && chunk.number >= self.oldest + WINDOW {
                let Some((number, stored)) = self.under_way.next().await else {
                    break;
                };
                self.note(number, stored);
            }
            if self.failed.is_some() {
                return;
            }
            self.under_way.push(Box::pin(store(
                self.bus.clone(),
                self.subject.clone(),
                chunk,
            )));
        }
    }

    fn note(&mut self, number: u64, stored: Result<()>) {
        match stored {
            Ok(()) => {
                self.done.insert(number);
                while self.done.remove(&self.oldest) {
                    self.oldest += 1;
                }
            }
            Err(error) => {
                let cause = std::error::Error::source(&error)
                    .map_or_else(String::new, |cause| format!(": {cause}"));
                self.failed.get_or_insert(format!("{error}{cause}"));
            }
        }
    }
}

/// Stores a chunk; again, when it is not confirmed. Readers drop what is stored twice.
async fn store(bus: Bus, subject: String, chunk: LogChunk) -> (u64, Result<()>) {
    let number = chunk.number;
    let id = format!("{}-{number}", chunk.writer);
    let payload = Bytes::from(chunk.encode_to_vec());
    let attempt = || async {
        let message = PublishMessage::build()
            .message_id(&id)
            .payload(payload.clone());
        let stored = async {
            bus.jetstream()
                .send_publish(subject.clone(), message)
                .await?
                .await
        }
        .await;
        stored
            .map(drop)
            .map_err(|error| publish_error("store the log", &bus, payload.len(), error))
    };
    let stored = attempt
        .retry(
            ExponentialBuilder::default()
                .with_jitter()
                .with_min_delay(Duration::from_millis(100))
                .with_max_times(6),
        )
        .when(Error::is_retryable)
        .await;
    (number, stored)
}
