//! BuildKit's progress, in the words of `docker build --progress=plain`.

use std::collections::{HashMap, HashSet};

use bollard::moby::buildkit::v1::{StatusResponse, Vertex};

use crate::{OutputChunk, OutputStream};

/// A longer line is passed on in pieces.
const LINE_BYTES: usize = 64 << 10;
/// How many of the last lines of a step are kept for the message of its failure.
const KEPT_LINES: usize = 20;

/// What has been told so far.
#[derive(Default)]
pub(super) struct Progress {
    steps: HashMap<String, Step>,
    cached: HashSet<String>,
    failed: Option<String>,
    last_classic_step: Option<String>,
    classic_cached: usize,
    classic_steps: usize,
}

struct Step {
    number: usize,
    name: String,
    ended: bool,
    error: String,
    partial: Vec<u8>,
    partial_stream: OutputStream,
    tail: Vec<String>,
}

impl Progress {
    /// What is new, for people.
    pub(super) fn update(&mut self, status: &StatusResponse) -> Vec<OutputChunk> {
        let mut chunks = Vec::new();
        for vertex in &status.vertexes {
            self.vertex(vertex, &mut chunks);
        }
        for log in &status.logs {
            let stream = if log.stream == 2 {
                OutputStream::Err
            } else {
                OutputStream::Out
            };
            if let Some(step) = self.steps.get_mut(&log.vertex) {
                step.log(stream, &log.msg, &mut chunks);
            }
        }
        chunks
    }

    /// A piece of the classic builder's output.
    pub(super) fn classic(&mut self, text: &str) {
        if let Some(step) = text.strip_prefix("Step ") {
            self.classic_steps += 1;
            let instruction = step
                .split_once(" : ")
                .map_or(step, |(_, instruction)| instruction);
            self.last_classic_step = Some(instruction.trim().to_owned());
        } else if text.trim() == "---> Using cache" {
            self.classic_cached += 1;
        }
    }

    /// What was printed without a line's end.
    pub(super) fn finish(&mut self) -> Vec<OutputChunk> {
        let mut chunks = Vec::new();
        let mut steps: Vec<&mut Step> = self.steps.values_mut().collect();
        steps.sort_by_key(|step| step.number);
        for step in steps {
            step.flush(&mut chunks);
        }
        chunks
    }

    /// How many of the Dockerfile's steps came from the cache.
    pub(super) fn cached(&self) -> usize {
        self.cached.len() + self.classic_cached
    }

    /// How many steps of the Dockerfile there were.
    pub(super) fn steps(&self) -> usize {
        let visible = self
            .steps
            .values()
            .filter(|step| !is_internal(&step.name))
            .count();
        visible + self.classic_steps
    }

    /// The name of the step that failed: of BuildKit's, otherwise the classic builder's last.
    pub(super) fn failed_step(&self) -> Option<&str> {
        match &self.failed {
            Some(digest) => self.steps.get(digest).map(|step| step.name.as_str()),
            None => self.last_classic_step.as_deref(),
        }
    }

    /// What BuildKit says of the step that failed.
    pub(super) fn failed_error(&self) -> Option<&str> {
        let step = self.steps.get(self.failed.as_ref()?)?;
        Some(step.error.as_str())
    }

    /// The last lines of the step that failed.
    pub(super) fn failed_output(&self) -> &[String] {
        let step = self
            .failed
            .as_ref()
            .and_then(|digest| self.steps.get(digest));
        step.map_or(&[], |step| &step.tail)
    }

    fn vertex(&mut self, vertex: &Vertex, chunks: &mut Vec<OutputChunk>) {
        let number = self.steps.len() + 1;
        let known = self.steps.contains_key(&vertex.digest);
        if !known && vertex.started.is_none() && !vertex.cached {
            return;
        }
        let step = self
            .steps
            .entry(vertex.digest.clone())
            .or_insert_with(|| Step {
                number,
                name: vertex.name.clone(),
                ended: false,
                error: String::new(),
                partial: Vec::new(),
                partial_stream: OutputStream::Out,
                tail: Vec::new(),
            });
        if !known {
            chunks.push(OutputChunk::out(format!(
                "#{} {}\n",
                step.number, step.name
            )));
        }
        if !vertex.error.is_empty() && step.error.is_empty() {
            step.error.clone_from(&vertex.error);
            step.flush(chunks);
            chunks.push(OutputChunk::err(format!(
                "#{} ERROR: {}\n",
                step.number, vertex.error
            )));
            // Others are cancelled because of the first.
            if self.failed.is_none() && !vertex.error.contains("context canceled") {
                self.failed = Some(vertex.digest.clone());
            }
        } else if vertex.completed.is_some() && !step.ended {
            step.ended = true;
            step.flush(chunks);
            let end = if vertex.cached {
                "CACHED".to_owned()
            } else {
                format!("DONE {}", seconds(vertex))
            };
            chunks.push(OutputChunk::out(format!("#{} {end}\n", step.number)));
            if vertex.cached && !is_internal(&vertex.name) {
                self.cached.insert(vertex.digest.clone());
            }
        }
    }
}

impl Step {
    fn log(&mut self, stream: OutputStream, bytes: &[u8], chunks: &mut Vec<OutputChunk>) {
        if stream != self.partial_stream {
            self.flush(chunks);
            self.partial_stream = stream;
        }
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.partial.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.partial.len() >= LINE_BYTES {
                self.flush(chunks);
            }
        }
    }

    fn flush(&mut self, chunks: &mut Vec<OutputChunk>) {
        if self.partial.is_empty() {
            return;
        }
        if self.tail.len() == KEPT_LINES {
            self.tail.remove(0);
        }
        let kept = &self.partial[..self.partial.len().min(1000)];
        self.tail
            .push(String::from_utf8_lossy(kept).trim_end().to_owned());
        let mut line = format!("#{} ", self.number).into_bytes();
        line.append(&mut self.partial);
        if !line.ends_with(b"\n") {
            line.push(b'\n');
        }
        chunks.push(OutputChunk {
            stream: self.partial_stream,
            bytes: line.into(),
        });
    }
}

/// BuildKit's own housekeeping.
fn is_internal(name: &str) -> bool {
    [
        "[internal]",
        "copy /context",
        "exporting",
        "resolve image config",
        "docker-image://",
    ]
    .iter()
    .any(|prefix| name.starts_with(prefix))
}

fn seconds(vertex: &Vertex) -> String {
    let (Some(started), Some(completed)) = (&vertex.started, &vertex.completed) else {
        return String::new();
    };
    let nanos = i64::from(completed.nanos) - i64::from(started.nanos);
    let seconds = (completed.seconds - started.seconds) as f64 + nanos as f64 / 1e9;
    format!("{:.1}s", seconds.max(0.0))
}
