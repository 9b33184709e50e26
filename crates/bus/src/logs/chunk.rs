//! The stored form of a part of a log, a protobuf message.

use bytes::Bytes;
use jiff::Timestamp;

use super::{LogLine, LogStream};

/// Some lines of one stage, in the order in which they were printed.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct LogChunk {
    /// Who wrote it; a stage that is tried again has another writer.
    #[prost(string, tag = "1")]
    pub(crate) writer: String,
    /// The chunk's number among those of its writer, from 0.
    #[prost(uint64, tag = "2")]
    pub(crate) number: u64,
    /// The time of the first line, in microseconds since 1970.
    #[prost(int64, tag = "3")]
    pub(crate) time_us: i64,
    #[prost(message, repeated, tag = "4")]
    pub(crate) lines: Vec<ChunkLine>,
    /// After these lines the stage's limit was reached.
    #[prost(bool, tag = "5")]
    pub(crate) truncated: bool,
    /// The writer has finished.
    #[prost(bool, tag = "6")]
    pub(crate) end: bool,
}

/// One line of a chunk.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct ChunkLine {
    /// Without the line feed.
    #[prost(bytes = "bytes", tag = "1")]
    pub(crate) bytes: Bytes,
    /// Microseconds after the chunk's time.
    #[prost(sint64, tag = "2")]
    pub(crate) after_us: i64,
    #[prost(bool, tag = "3")]
    pub(crate) error: bool,
    #[prost(bool, tag = "4")]
    pub(crate) continued: bool,
}

impl LogChunk {
    pub(crate) fn into_lines(self, stage: &str) -> impl Iterator<Item = LogLine> {
        let time_us = self.time_us;
        self.lines.into_iter().map(move |line| LogLine {
            stage: stage.to_owned(),
            stream: if line.error {
                LogStream::Err
            } else {
                LogStream::Out
            },
            time: Timestamp::from_microsecond(time_us.saturating_add(line.after_us))
                .unwrap_or(Timestamp::UNIX_EPOCH),
            bytes: line.bytes,
            continued: line.continued,
        })
    }
}
