//! What a long-running container printed.

use bollard::query_parameters::LogsOptionsBuilder;
use futures::StreamExt;
use tokio_util::sync::CancellationToken;

use crate::{
    ContainerId, Engine, Error, OutputChunk, OutputSink, OutputStream, Result,
    connection::{SLOW, within},
    output::emit,
};

/// How much of the end of a log is looked at, whatever the number of lines asked for.
const TAIL_BYTES: usize = 4 << 20;
/// A longer line is cut.
const LINE_BYTES: usize = 64 << 10;

/// A line of a log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LogLine {
    /// The stream it was printed on.
    pub stream: OutputStream,
    /// Its text; what isn't UTF-8 is replaced, what is longer than 64 KiB is cut.
    pub text: String,
}

impl Engine {
    /// The last lines that a container printed, oldest first.
    pub async fn logs(&self, id: &ContainerId, tail: usize) -> Result<Vec<LogLine>> {
        let options = LogsOptionsBuilder::default()
            .stdout(true)
            .stderr(true)
            .tail(&tail.to_string())
            .build();
        within("read the container's log", SLOW, async {
            let mut chunks = self.docker().logs(id.as_str(), Some(options));
            let mut lines = Lines::default();
            while let Some(chunk) = chunks.next().await {
                let chunk = chunk.map_err(|error| Error::of("read the container's log", error))?;
                lines.push(&OutputChunk::from(chunk));
                if lines.bytes >= TAIL_BYTES {
                    break;
                }
            }
            Ok(lines.finish(tail))
        })
        .await
    }

    /// Passes on what a container printed (the last `tail` lines) and prints, until it ends or the token is cancelled.
    pub async fn follow_logs(
        &self,
        id: &ContainerId,
        tail: usize,
        output: OutputSink,
        cancel: &CancellationToken,
    ) -> Result<()> {
        let options = LogsOptionsBuilder::default()
            .follow(true)
            .stdout(true)
            .stderr(true)
            .tail(&tail.to_string())
            .build();
        let mut chunks = self.docker().logs(id.as_str(), Some(options));
        let follow = async {
            while let Some(chunk) = chunks.next().await {
                let chunk =
                    chunk.map_err(|error| Error::of("follow the container's log", error))?;
                emit(&output, OutputChunk::from(chunk)).await;
            }
            Ok(())
        };
        tokio::select! {
            followed = follow => followed,
            () = cancel.cancelled() => Ok(()),
        }
    }
}

/// Chunks of the two streams put together to lines, in the order in which lines end.
#[derive(Default)]
struct Lines {
    done: Vec<LogLine>,
    out: Vec<u8>,
    err: Vec<u8>,
    bytes: usize,
}

impl Lines {
    fn push(&mut self, chunk: &OutputChunk) {
        self.bytes += chunk.bytes.len();
        let partial = match chunk.stream {
            OutputStream::Out => &mut self.out,
            OutputStream::Err => &mut self.err,
        };
        for piece in chunk.bytes.split_inclusive(|byte| *byte == b'\n') {
            let room = LINE_BYTES.saturating_sub(partial.len());
            let text = piece.strip_suffix(b"\n").unwrap_or(piece);
            partial.extend_from_slice(&text[..text.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.done.push(line(chunk.stream, partial));
            }
        }
    }

    fn finish(mut self, tail: usize) -> Vec<LogLine> {
        for (stream, mut partial) in [(OutputStream::Out, self.out), (OutputStream::Err, self.err)]
        {
            if !partial.is_empty() {
                self.done.push(line(stream, &mut partial));
            }
        }
        let excess = self.done.len().saturating_sub(tail);
        self.done.split_off(excess)
    }
}

fn line(stream: OutputStream, bytes: &mut Vec<u8>) -> LogLine {
    let text = String::from_utf8_lossy(bytes)
        .trim_end_matches('\r')
        .to_owned();
    bytes.clear();
    LogLine { stream, text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_become_lines_whatever_their_borders() {
        let mut lines = Lines::default();
        lines.push(&OutputChunk::out("one\ntw"));
        lines.push(&OutputChunk::err("oops\r\n"));
        lines.push(&OutputChunk::out("o\nthree"));
        let texts: Vec<String> = lines.finish(3).into_iter().map(|line| line.text).collect();
        assert_eq!(texts, ["oops", "two", "three"]);
    }

    #[test]
    fn a_huge_line_is_cut() {
        let mut lines = Lines::default();
        lines.push(&OutputChunk::out(vec![b'x'; LINE_BYTES * 2]));
        lines.push(&OutputChunk::out("\nnext\n"));
        let lines = lines.finish(10);
        assert_eq!(lines[0].text.len(), LINE_BYTES);
        assert_eq!(lines[1].text, "next");
    }
}
