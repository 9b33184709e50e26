//! Makes chunks of lines from the pieces that a program prints. Pure: the time comes with the pieces.

use std::collections::VecDeque;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::Instant;

use super::LogStream;
use super::chunk::{ChunkLine, LogChunk};

/// A chunk waits this long for more lines.
const LINGER: Duration = Duration::from_millis(50);
/// A line that has no end waits this long for it: then what there is of a prompt or a progress bar is shown.
const PARTIAL_LINGER: Duration = Duration::from_millis(500);
/// What a line costs in a chunk besides its bytes, at most.
const LINE_OVERHEAD_BYTES: usize = 32;

/// A piece of output, and when it was read.
#[derive(Debug)]
pub(crate) struct Piece {
    pub(crate) stream: LogStream,
    pub(crate) bytes: Bytes,
    /// Microseconds since 1970.
    pub(crate) time_us: i64,
    /// The same moment on the clock that deadlines use.
    pub(crate) at: Instant,
}

/// Collects lines until a chunk is full or old enough.
pub(crate) struct Assembler {
    writer: String,
    chunk_limit: usize,
    stage_limit: u64,
    number: u64,
    kept_bytes: u64,
    truncated: bool,
    out: Partial,
    err: Partial,
    chunk: LogChunk,
    chunk_bytes: usize,
    chunk_since: Option<Instant>,
    ready: VecDeque<LogChunk>,
}

/// A line that has not ended.
#[derive(Default)]
struct Partial {
    bytes: BytesMut,
    time_us: i64,
    since: Option<Instant>,
    /// Whether a part of it has been written already.
    broken: bool,
}

impl Assembler {
    /// For chunks of at most `chunk_limit` bytes, and at most `stage_limit` bytes of lines altogether.
    pub(crate) fn new(writer: String, chunk_limit: usize, stage_limit: u64) -> Self {
        Self {
            writer,
            chunk_limit,
            stage_limit,
            number: 0,
            kept_bytes: 0,
            truncated: false,
            out: Partial::default(),
            err: Partial::default(),
            chunk: LogChunk::default(),
            chunk_bytes: 0,
            chunk_since: None,
            ready: VecDeque::new(),
        }
    }

    /// Takes a piece of output.
    pub(crate) fn push(&mut self, piece: Piece) {
        let Piece {
            stream,
            mut bytes,
            time_us,
            at,
        } = piece;
        while !bytes.is_empty() && !self.truncated {
            let room = self.longest_line() - self.partial(stream).bytes.len();
            let within = &bytes[..bytes.len().min(room + 1)];
            let (part, ends) = match within.iter().position(|&byte| byte == b'\n') {
                Some(end) => {
                    let part = bytes.split_to(end);
                    drop(bytes.split_to(1));
                    (part, true)
                }
                None => (bytes.split_to(bytes.len().min(room)), false),
            };
            self.extend(stream, part, ends, time_us, at);
        }
    }

    /// When [`Assembler::tick`] has something to do.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        let partials = [&self.out, &self.err]
            .into_iter()
            .filter(|partial| !partial.bytes.is_empty());
        let partial = partials
            .filter_map(|partial| partial.since)
            .min()
            .map(|since| since + PARTIAL_LINGER);
        let chunk = self.chunk_since.map(|since| since + LINGER);
        [partial, chunk].into_iter().flatten().min()
    }

    /// Closes what has waited long enough.
    pub(crate) fn tick(&mut self, now: Instant) {
        for stream in [LogStream::Out, LogStream::Err] {
            let partial = self.partial(stream);
            if !partial.bytes.is_empty()
                && partial
                    .since
                    .is_some_and(|since| since + PARTIAL_LINGER <= now)
            {
                self.line(stream, None, true, now);
            }
        }
        if self.chunk_since.is_some_and(|since| since + LINGER <= now) {
            self.close_chunk();
        }
    }

    /// Closes everything, with an end marker.
    pub(crate) fn finish(&mut self, now: Instant) {
        for stream in [LogStream::Out, LogStream::Err] {
            let partial = self.partial(stream);
            if partial.broken || !partial.bytes.is_empty() {
                self.line(stream, None, false, now);
            }
        }
        self.chunk.end = true;
        self.close_chunk();
    }

    /// The next chunk that is complete.
    pub(crate) fn pop(&mut self) -> Option<LogChunk> {
        self.ready.pop_front()
    }

    fn longest_line(&self) -> usize {
        self.chunk_limit - LINE_OVERHEAD_BYTES
    }

    fn partial(&mut self, stream: LogStream) -> &mut Partial {
        match stream {
            LogStream::Out => &mut self.out,
            LogStream::Err => &mut self.err,
        }
    }

    /// Adds to the line under way, and writes it when it ends or is as long as a chunk.
    fn extend(&mut self, stream: LogStream, part: Bytes, ends: bool, time_us: i64, at: Instant) {
        let longest = self.longest_line();
        let partial = self.partial(stream);
        if partial.bytes.is_empty() {
            (partial.time_us, partial.since) = (time_us, Some(at));
            if ends {
                return self.line(stream, Some(part), false, at);
            }
        }
        partial.bytes.extend_from_slice(&part);
        if ends {
            self.line(stream, None, false, at);
        } else if partial.bytes.len() >= longest {
            self.line(stream, None, true, at);
        }
    }

    /// Writes a line: these bytes, or those collected.
    fn line(&mut self, stream: LogStream, whole: Option<Bytes>, continued: bool, at: Instant) {
        let partial = self.partial(stream);
        let mut bytes = whole.unwrap_or_else(|| partial.bytes.split().freeze());
        partial.broken = continued;
        let time_us = partial.time_us;
        let left = usize::try_from(self.stage_limit - self.kept_bytes).unwrap_or(usize::MAX);
        let over = bytes.len() > left;
        bytes.truncate(left);
        self.kept_bytes += bytes.len() as u64;
        if self.chunk_bytes + bytes.len() + LINE_OVERHEAD_BYTES > self.chunk_limit {
            self.close_chunk();
        }
        if self.chunk.lines.is_empty() {
            self.chunk.time_us = time_us;
        }
        self.chunk_since.get_or_insert(at);
        self.chunk_bytes += bytes.len() + LINE_OVERHEAD_BYTES;
        let (error, after_us) = (
            stream == LogStream::Err,
            time_us.saturating_sub(self.chunk.time_us),
        );
        self.chunk.lines.push(ChunkLine {
            bytes,
            after_us,
            error,
            continued,
        });
        if over {
            self.truncate();
        }
    }

    /// Says that nothing more is kept, once.
    fn truncate(&mut self) {
        self.truncated = true;
        self.chunk.truncated = true;
        (self.out, self.err) = (Partial::default(), Partial::default());
        self.close_chunk();
    }

    fn close_chunk(&mut self) {
        let mut chunk = std::mem::take(&mut self.chunk);
        (self.chunk_bytes, self.chunk_since) = (0, None);
        if chunk.lines.is_empty() && !chunk.end && !chunk.truncated {
            return;
        }
        chunk.writer.clone_from(&self.writer);
        chunk.number = self.number;
        self.number += 1;
        self.ready.push_back(chunk);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn piece(stream: LogStream, bytes: &[u8], at: Instant) -> Piece {
        Piece {
            stream,
            bytes: Bytes::copy_from_slice(bytes),
            time_us: 7,
            at,
        }
    }

    fn chunks(assembler: &mut Assembler) -> Vec<LogChunk> {
        std::iter::from_fn(|| assembler.pop()).collect()
    }

    fn lines(chunks: &[LogChunk]) -> Vec<(String, bool)> {
        let lines = chunks.iter().flat_map(|chunk| &chunk.lines);
        lines
            .map(|line| {
                (
                    String::from_utf8_lossy(&line.bytes).into_owned(),
                    line.continued,
                )
            })
            .collect()
    }

    #[test]
    fn pieces_become_whole_lines_and_streams_do_not_mix() {
        let (mut assembler, now) = (Assembler::new("w".into(), 4096, 1 << 20), Instant::now());
        for (stream, bytes) in [
            (LogStream::Out, "one\ntw"),
            (LogStream::Err, "er"),
            (LogStream::Out, "o\n\n"),
            (LogStream::Err, "ror"),
        ] {
            assembler.push(piece(stream, bytes.as_bytes(), now));
        }
        assembler.finish(now);
        let chunks = chunks(&mut assembler);
        assert_eq!(
            lines(&chunks),
            [
                ("one".into(), false),
                ("two".into(), false),
                (String::new(), false),
                ("error".into(), false)
            ]
        );
        assert!(chunks.last().unwrap().end);
    }

    #[test]
    fn a_line_longer_than_a_chunk_is_split_and_flagged() {
        let (mut assembler, now) = (Assembler::new("w".into(), 132, 1 << 20), Instant::now());
        assembler.push(piece(LogStream::Out, &[b'x'; 250], now));
        assembler.push(piece(LogStream::Out, b"\nnext\n", now));
        assembler.finish(now);
        let lines = lines(&chunks(&mut assembler));
        assert_eq!(
            lines
                .iter()
                .map(|(_, continued)| *continued)
                .collect::<Vec<_>>(),
            [true, true, false, false]
        );
        assert_eq!(
            lines[..3].iter().map(|(text, _)| text.len()).sum::<usize>(),
            250
        );
        assert_eq!(lines[3].0, "next");
    }

    #[test]
    fn a_line_as_long_as_a_chunk_stays_whole() {
        let (mut assembler, now) = (Assembler::new("w".into(), 132, 1 << 20), Instant::now());
        let mut line = vec![b'x'; 100];
        line.push(b'\n');
        assembler.push(piece(LogStream::Out, &line, now));
        assembler.finish(now);
        assert_eq!(lines(&chunks(&mut assembler)), [("x".repeat(100), false)]);
    }

    #[test]
    fn chunks_wait_for_more_lines_and_prompts_for_their_end_but_not_forever() {
        let (mut assembler, now) = (Assembler::new("w".into(), 4096, 1 << 20), Instant::now());
        assembler.push(piece(LogStream::Out, b"done\ncontinue? ", now));
        assert_eq!(assembler.deadline(), Some(now + LINGER));
        assembler.tick(now + LINGER);
        assert_eq!(lines(&chunks(&mut assembler)), [("done".into(), false)]);
        assert_eq!(assembler.deadline(), Some(now + PARTIAL_LINGER));
        assembler.tick(now + PARTIAL_LINGER);
        assembler.tick(now + PARTIAL_LINGER + LINGER);
        assert_eq!(
            lines(&chunks(&mut assembler)),
            [("continue? ".into(), true)]
        );
    }

    #[test]
    fn beyond_the_limit_one_notice_is_kept_and_the_end() {
        let (mut assembler, now) = (Assembler::new("w".into(), 4096, 10), Instant::now());
        for _ in 0..100 {
            assembler.push(piece(LogStream::Out, b"123456\n", now));
        }
        assembler.finish(now);
        let chunks = chunks(&mut assembler);
        assert_eq!(
            lines(&chunks),
            [("123456".into(), false), ("1234".into(), false)]
        );
        assert_eq!(chunks.iter().filter(|chunk| chunk.truncated).count(), 1);
        assert!(chunks.last().unwrap().end);
    }
}
