//! The logs of stages: written in chunks, read as lines, live and later by the same read.
//!
//! A stage's log is a list of [`chunk::LogChunk`] messages on its subject. Every writer has an id and numbers its
//! chunks, because several are under way at once and one may have to be sent again; readers put them back in order.

use std::collections::{HashMap, HashSet, VecDeque};

use jiff::Timestamp;

use self::chunk::LogChunk;
use self::reorder::Reorder;
pub use self::writer::LogWriter;
use crate::connection::Bus;
use crate::error::Result;
use crate::replay::{Replay, Replayed, Stored};
use crate::streams::StreamKind;
use crate::subjects;

mod assembler;
mod chunk;
mod reorder;
mod writer;

/// Chunks are up to 256 KiB; more than this many at once would let the server take us for a slow reader.
const READ_AHEAD_CHUNKS: usize = 32;
/// What a stage may print by default.
const DEFAULT_STAGE_LIMIT_BYTES: u64 = 256 << 20;

/// Where a program printed a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum LogStream {
    /// Standard output.
    Out,
    /// Standard error.
    Err,
}

/// A line of a log, or a part of one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The stage that printed it.
    pub stage: String,
    /// Where it was printed.
    pub stream: LogStream,
    /// When its first byte was read, to the microsecond.
    pub time: Timestamp,
    /// The bytes as printed, without the line feed at the end.
    pub bytes: bytes::Bytes,
    /// Whether the line goes on: the next line of the same stream is its continuation.
    pub continued: bool,
}

/// What a reader yields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LogItem {
    /// The next line.
    Line(LogLine),
    /// The stage printed more than its limit; what it printed after this is not kept.
    Truncated {
        /// The stage.
        stage: String,
    },
    /// The stage's writer has finished. When the stage is tried again, more may follow.
    End {
        /// The stage.
        stage: String,
    },
}

/// The logs on the bus.
#[derive(Debug, Clone)]
pub struct LogStore {
    bus: Bus,
    stage_limit_bytes: u64,
}

impl LogStore {
    pub(crate) fn new(bus: Bus) -> Self {
        Self {
            bus,
            stage_limit_bytes: DEFAULT_STAGE_LIMIT_BYTES,
        }
    }

    /// The same, but writers keep at most this many bytes of each stage (by default 256 MiB).
    #[must_use]
    pub fn with_stage_limit(self, bytes: u64) -> Self {
        Self {
            stage_limit_bytes: bytes,
            ..self
        }
    }

    /// Begins to write the log of a stage.
    ///
    /// # Errors
    /// When a name is not valid.
    pub fn writer(&self, run: &str, stage: &str) -> Result<LogWriter> {
        LogWriter::start(&self.bus, run, stage, self.stage_limit_bytes)
    }

    /// Reads the log of one stage, or of all stages of a run.
    ///
    /// Without `follow`, it ends where the stored log ends. With it, the log of one stage ends when all that is stored
    /// has been read and the stage's writer has finished; the log of all stages never ends by itself, as another stage
    /// may begin: its reader stops when it has seen [`LogItem::End`] of each stage that it knows to be at rest.
    ///
    /// # Errors
    /// When the bus is unavailable or a name is not valid.
    pub async fn read(&self, run: &str, stage: Option<&str>, follow: bool) -> Result<LogReader> {
        let filter = match stage {
            Some(stage) => subjects::log(run, stage)?,
            None => subjects::logs(run)?,
        };
        let replay = Replay::start(
            &self.bus,
            StreamKind::Logs,
            filter,
            Some(0),
            READ_AHEAD_CHUNKS,
        )
        .await?;
        Ok(LogReader {
            replay,
            end_with_stage: stage.is_some(),
            follow,
            caught_up: false,
            ended: HashSet::new(),
            orders: HashMap::new(),
            ready: VecDeque::new(),
            over: false,
        })
    }
}

/// Reads a log; see [`LogStore::read`].
pub struct LogReader {
    replay: Replay,
    end_with_stage: bool,
    follow: bool,
    caught_up: bool,
    /// Stages whose last chunk so far was an end.
    ended: HashSet<String>,
    /// Chunks that came before their predecessors, by stage and writer.
    orders: HashMap<(String, String), Reorder>,
    ready: VecDeque<LogItem>,
    over: bool,
}

impl LogReader {
    /// The next item; `None` at the end. While the server is away, it waits. Dropping the future loses nothing.
    pub async fn next(&mut self) -> Option<LogItem> {
        loop {
            if let Some(item) = self.ready.pop_front() {
                return Some(item);
            }
            if self.over {
                return None;
            }
            match self.replay.next().await {
                Replayed::Message(message) => self.take(&message),
                Replayed::CaughtUp => self.caught_up = true,
            }
            if self.caught_up && !self.follow {
                self.release_what_waits();
                self.over = true;
            }
            if self.caught_up && self.end_with_stage && !self.ended.is_empty() {
                self.over = true;
            }
        }
    }

    fn take(&mut self, message: &Stored) {
        let Some((stage, chunk)) = read_chunk(message) else {
            tracing::warn!(
                log.subject = message.subject,
                log.sequence = message.sequence,
                "cannot read a chunk of a log"
            );
            return;
        };
        let key = (stage.clone(), chunk.writer.clone());
        for chunk in self.orders.entry(key).or_default().push(chunk) {
            self.yield_chunk(&stage, chunk);
        }
    }

    /// At the end of what is stored, chunks whose predecessors never came are worth more than nothing.
    fn release_what_waits(&mut self) {
        let mut orders: Vec<_> = std::mem::take(&mut self.orders).into_iter().collect();
        orders.sort_by(|a, b| a.0.cmp(&b.0));
        for ((stage, _), mut order) in orders {
            for chunk in order.release() {
                self.yield_chunk(&stage, chunk);
            }
        }
    }

    fn yield_chunk(&mut self, stage: &str, chunk: LogChunk) {
        self.ended.remove(stage);
        let (truncated, end) = (chunk.truncated, chunk.end);
        self.ready
            .extend(chunk.into_lines(stage).map(LogItem::Line));
        if truncated {
            self.ready.push_back(LogItem::Truncated {
                stage: stage.to_owned(),
            });
        }
        if end {
            self.ended.insert(stage.to_owned());
            self.ready.push_back(LogItem::End {
                stage: stage.to_owned(),
            });
        }
    }
}

fn read_chunk(message: &Stored) -> Option<(String, LogChunk)> {
    let stage = subjects::parse_log_stage(&message.subject)?;
    let chunk = <LogChunk as prost::Message>::decode(message.payload.clone()).ok()?;
    Some((stage, chunk))
}
