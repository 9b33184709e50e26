//! Output on its way to the log, with its last lines kept for whoever reads about a failure.

use std::collections::VecDeque;

use domain::stage::Failure;
use engine::{OutputChunk, OutputSink, OutputStream};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use worker::StageLog;

/// Chunks on their way before a container has to wait.
const BUFFERED: usize = 64;

/// Takes the output of one attempt.
pub struct Output {
    sink: OutputSink,
    pump: JoinHandle<Tail>,
}

impl Output {
    /// Begins to write to `log`.
    #[must_use]
    pub fn to(log: StageLog) -> Self {
        let (sink, chunks) = mpsc::channel(BUFFERED);
        #[expect(
            clippy::disallowed_methods,
            reason = "awaited by `finish`; ends with the last sink"
        )]
        let pump = tokio::spawn(pump(log, chunks));
        Self { sink, pump }
    }

    /// Where containers and builds write to.
    #[must_use]
    pub fn sink(&self) -> OutputSink {
        self.sink.clone()
    }

    /// Writes a line of our own.
    pub async fn say(&self, line: &str) {
        let chunk = OutputChunk {
            stream: OutputStream::Out,
            bytes: format!("{line}\n").into(),
        };
        self.sink.send(chunk).await.ok();
    }

    /// Waits until everything is written, and returns the last lines. All sinks must be gone.
    pub async fn finish(self) -> Vec<String> {
        drop(self.sink);
        self.pump.await.map(Tail::into_lines).unwrap_or_default()
    }
}

async fn pump(log: StageLog, mut chunks: mpsc::Receiver<OutputChunk>) -> Tail {
    let mut tail = Tail::default();
    let mut complained = false;
    while let Some(chunk) = chunks.recv().await {
        tail.push(&chunk.bytes);
        let stream = match chunk.stream {
            OutputStream::Out => bus::LogStream::Out,
            OutputStream::Err => bus::LogStream::Err,
        };
        if let Err(error) = log.write(stream, &chunk.bytes).await
            && !std::mem::replace(&mut complained, true)
        {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a part of a log is lost"
            );
        }
    }
    tail
}

/// The last lines of a text that comes in pieces.
#[derive(Debug, Default)]
struct Tail {
    lines: VecDeque<String>,
    open: Vec<u8>,
}

/// Bytes kept of a line: a character of UTF-8 has at most four.
const LINE_BYTES: usize = Failure::MAX_LINE * 4;

impl Tail {
    fn push(&mut self, bytes: &[u8]) {
        for piece in bytes.split_inclusive(|b| *b == b'\n') {
            let room = LINE_BYTES.saturating_sub(self.open.len());
            self.open.extend_from_slice(&piece[..piece.len().min(room)]);
            if piece.ends_with(b"\n") {
                self.close();
            }
        }
    }

    fn close(&mut self) {
        let line = String::from_utf8_lossy(&std::mem::take(&mut self.open))
            .trim_end()
            .to_owned();
        if line.is_empty() {
            return;
        }
        if self.lines.len() == Failure::MAX_LINES {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    fn into_lines(mut self) -> Vec<String> {
        self.close();
        self.lines.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_lines_are_kept_however_the_text_is_cut() {
        let text: String = (0..100).map(|n| format!("line {n}\n")).collect();
        for size in [1, 3, 7, 1000] {
            let mut tail = Tail::default();
            text.as_bytes()
                .chunks(size)
                .for_each(|chunk| tail.push(chunk));
            let lines = tail.into_lines();
            assert_eq!(lines.len(), Failure::MAX_LINES);
            assert_eq!(lines.last().unwrap(), "line 99");
        }
    }

    #[test]
    fn an_endless_line_takes_no_more_memory_than_a_line() {
        let mut tail = Tail::default();
        for _ in 0..1000 {
            tail.push(&[b'x'; 10_000]);
        }
        assert!(tail.open.len() <= LINE_BYTES);
        tail.push(b"\nlast");
        assert_eq!(tail.into_lines().len(), 2);
    }
}
