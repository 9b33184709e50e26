//! What a container or a build prints, as it prints it.

use bollard::container::LogOutput;
use bytes::Bytes;
use tokio::sync::mpsc;

/// Which of the two output streams something was printed on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum OutputStream {
    /// Standard output; also the progress of a build.
    Out,
    /// Standard error.
    Err,
}

/// A piece of output as it arrived: any bytes, not aligned to lines or characters, at most a few dozen KiB.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OutputChunk {
    /// The stream it was printed on.
    pub stream: OutputStream,
    /// The bytes.
    pub bytes: Bytes,
}

/// Where output goes. The channel is bounded: a slow receiver slows the container down, memory does not grow.
/// A receiver that is gone does not stop the work; what it would have got is dropped.
pub type OutputSink = mpsc::Sender<OutputChunk>;

impl OutputChunk {
    pub(crate) fn out(text: impl Into<Bytes>) -> Self {
        Self {
            stream: OutputStream::Out,
            bytes: text.into(),
        }
    }

    pub(crate) fn err(text: impl Into<Bytes>) -> Self {
        Self {
            stream: OutputStream::Err,
            bytes: text.into(),
        }
    }
}

impl From<LogOutput> for OutputChunk {
    fn from(output: LogOutput) -> Self {
        match output {
            LogOutput::StdErr { message } => Self::err(message),
            LogOutput::StdOut { message }
            | LogOutput::StdIn { message }
            | LogOutput::Console { message } => Self::out(message),
        }
    }
}

/// Sends a chunk; a receiver that is gone is no error.
pub(crate) async fn emit(sink: &OutputSink, chunk: OutputChunk) {
    if !chunk.bytes.is_empty() {
        sink.send(chunk).await.ok();
    }
}
