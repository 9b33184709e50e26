//! What can go wrong on the bus, and whether trying again can help.

use std::time::Duration;

use crate::subjects::{EventSubject, SubjectError};

/// The cause of an error, as the client library gave it.
pub type Cause = Box<dyn std::error::Error + Send + Sync>;

/// An operation on the bus that did not succeed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// No server answered in time.
    #[error(
        "no NATS server answered at {url} within {waited:?}; is it running, and is the address right?"
    )]
    Connect {
        /// The address that was tried, without credentials.
        url: String,
        /// How long was tried.
        waited: Duration,
        /// What the last attempt said.
        source: Cause,
    },
    /// The server does not let us in.
    #[error(
        "the NATS server at {url} refused the connection; check its address, credentials and TLS settings"
    )]
    Refused {
        /// The address that was tried, without credentials.
        url: String,
        /// What the server said.
        source: Cause,
    },
    /// The credentials file cannot be read.
    #[error("cannot read the NATS credentials file {path}")]
    Credentials {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// The server is too old.
    #[error(
        "the NATS server at {url} is version {found}, Slipway needs 2.10 or later; install a newer nats-server"
    )]
    TooOld {
        /// The server's address, without credentials.
        url: String,
        /// The server's version.
        found: String,
    },
    /// A stream cannot be made or changed.
    #[error(
        "cannot set up the stream {stream}; is JetStream on, with enough storage and servers for the replicas?"
    )]
    Stream {
        /// The stream's name.
        stream: &'static str,
        /// What the server said.
        source: Cause,
    },
    /// An id or name cannot be put on the bus.
    #[error(transparent)]
    Subject(#[from] SubjectError),
    /// The server did not answer, or not now. Whether it did what was asked is unknown.
    #[error("the bus did not {doing}")]
    Unavailable {
        /// What was being tried.
        doing: &'static str,
        /// What went wrong.
        source: Cause,
    },
    /// The server answered that it will not do this.
    #[error("the bus refused to {doing}")]
    Denied {
        /// What was being tried.
        doing: &'static str,
        /// What the server said.
        source: Cause,
    },
    /// The message is larger than the server takes.
    #[error("cannot {doing}: the message is {bytes} bytes, the server takes at most {limit}")]
    TooLarge {
        /// What was being tried.
        doing: &'static str,
        /// The size of the payload.
        bytes: usize,
        /// The server's limit.
        limit: usize,
    },
    /// Something that this process has already seen is not on the server.
    #[error(
        "event {after} was seen before, but the event stream ends at {last}: the server lost its data"
    )]
    Behind {
        /// The last event seen here.
        after: u64,
        /// The last event on the server.
        last: u64,
    },
    /// Other writers kept being first.
    #[error("others kept appending to the {subject}, last after event {expected}")]
    Contended {
        /// The list of events.
        subject: EventSubject,
        /// The sequence after which someone else appended.
        expected: u64,
    },
    /// The queue no longer knows this delivery: the server that remembered it was restarted.
    #[error("the queue no longer knows this delivery; whoever needs the job enqueues it again")]
    DeliveryGone,
    /// Part of a log could not be stored.
    #[error("the log of stage {stage} of run {run} could not be stored")]
    LogLost {
        /// The run.
        run: String,
        /// The stage.
        stage: String,
        /// Why, at the first chunk that failed.
        reason: String,
    },
}

impl From<AppendError> for Error {
    fn from(error: AppendError) -> Self {
        match error {
            AppendError::Conflict { subject, expected } => Self::Contended { subject, expected },
            AppendError::Bus(error) => error,
        }
    }
}

/// Why an event was not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Someone else appended first: load, decide again.
    #[error("the {subject} has another last event than {expected}")]
    Conflict {
        /// The list.
        subject: EventSubject,
        /// The sequence that the caller took for the last.
        expected: u64,
    },
    /// The bus could not do it. After a retryable error the event may be stored nevertheless: append it again with
    /// the same id and the same expectation, which stores it at most once.
    #[error(transparent)]
    Bus(#[from] Error),
}

/// Whether trying again can help.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The bus is unavailable now: try again, with back-off.
    Retryable,
    /// The same attempt will fail again.
    Permanent,
}

impl Error {
    /// Whether trying again can help.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Connect { .. }
            | Self::Unavailable { .. }
            | Self::Contended { .. }
            | Self::LogLost { .. } => ErrorClass::Retryable,
            Self::Refused { .. }
            | Self::Credentials { .. }
            | Self::TooOld { .. }
            | Self::Stream { .. }
            | Self::Subject(_)
            | Self::Denied { .. }
            | Self::TooLarge { .. }
            | Self::Behind { .. }
            | Self::DeliveryGone => ErrorClass::Permanent,
        }
    }

    /// Whether trying again can help.
    pub fn is_retryable(&self) -> bool {
        self.class() == ErrorClass::Retryable
    }

    pub(crate) fn unavailable(doing: &'static str, source: impl Into<Cause>) -> Self {
        Self::Unavailable {
            doing,
            source: source.into(),
        }
    }
}

/// The result of an operation on the bus.
pub type Result<T, E = Error> = std::result::Result<T, E>;
