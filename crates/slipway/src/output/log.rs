//! Log lines for scripts: `run logs --output json` prints one of these a line.

use proto::gateway::v1;
use serde::Serialize;

use super::time::rfc3339;

/// One line of a stage's output.
#[derive(Debug, Serialize)]
pub struct LogLine {
    /// The stage that printed it.
    pub stage: String,
    /// `stdout` or `stderr`.
    pub stream: &'static str,
    /// When.
    pub at: Option<String>,
    /// Bytes that are not UTF-8 are replaced by U+FFFD.
    pub text: String,
    /// The line was too long for one message: it goes on in the next of the same stage and stream.
    pub continued: bool,
}

impl LogLine {
    /// One line.
    #[must_use]
    pub fn of(line: &v1::LogLine) -> Self {
        Self {
            stage: line.stage.clone(),
            stream: if line.is_error_stream {
                "stderr"
            } else {
                "stdout"
            },
            at: rfc3339(line.at.as_ref()),
            text: String::from_utf8_lossy(&line.text).into_owned(),
            continued: line.continued,
        }
    }
}
