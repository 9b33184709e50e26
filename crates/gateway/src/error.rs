//! What keeps the gateway from doing what it was asked, and the one table from that to gRPC.

use std::fmt;

use bus::aggregates::UpdateError;
use domain::ids::InvalidId;
use domain::run::Refusal;
pub(crate) use service_kit::cause::chain;
use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

/// Why a question was not answered or a wish not granted. The text is for the person who asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A field of the request can't mean anything.
    #[error("{field}: {why}")]
    Field {
        /// The field, as in the request.
        field: &'static str,
        /// What is wrong with it, and what would be right.
        why: String,
    },
    /// There is no such thing.
    #[error("{what}")]
    NotFound {
        /// What there is not, and what there is.
        what: String,
    },
    /// It is not possible now; something else must happen first.
    #[error("{why}")]
    Precondition {
        /// What it is about, such as `run 01k…`.
        subject: String,
        /// Why not, and what would unblock it.
        why: String,
    },
    /// Another moment may be better.
    #[error("{why}")]
    Unavailable {
        /// What is not there yet.
        why: String,
    },
    /// The repository can't be read now.
    #[error(transparent)]
    Source(#[from] source::Error),
    /// The bus didn't do it.
    #[error("the event store could not be used")]
    Bus(#[from] bus::Error),
    /// The gateway can't begin or go on.
    #[error("{0}")]
    Startup(String),
}

impl Error {
    pub(crate) fn field(field: &'static str, why: impl fmt::Display) -> Self {
        Self::Field {
            field,
            why: why.to_string(),
        }
    }

    pub(crate) fn not_found(what: impl Into<String>) -> Self {
        Self::NotFound { what: what.into() }
    }

    pub(crate) fn precondition(subject: impl fmt::Display, why: impl Into<String>) -> Self {
        Self::Precondition {
            subject: subject.to_string(),
            why: why.into(),
        }
    }

    /// Whether the same request may succeed later without anybody changing anything.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::Source(error) => error.is_retryable(),
            Self::Bus(error) => error.is_retryable(),
            Self::Field { .. }
            | Self::NotFound { .. }
            | Self::Precondition { .. }
            | Self::Startup(_) => false,
        }
    }

    fn code(&self) -> Code {
        match self {
            Self::Field { .. } => Code::InvalidArgument,
            Self::NotFound { .. } => Code::NotFound,
            Self::Precondition { .. } | Self::Source(_) => Code::FailedPrecondition,
            Self::Unavailable { .. } => Code::Unavailable,
            Self::Bus(error) if error.is_retryable() => Code::Unavailable,
            Self::Bus(_) | Self::Startup(_) => Code::Internal,
        }
    }

    fn details(&self) -> ErrorDetails {
        match self {
            Self::Field { field, why } => ErrorDetails::with_bad_request_violation(*field, why),
            Self::Precondition { subject, why } => {
                ErrorDetails::with_precondition_failure_violation("STATE", subject, why)
            }
            _ => ErrorDetails::new(),
        }
    }
}

impl From<Error> for Status {
    fn from(error: Error) -> Self {
        let code = error.code();
        if code == Code::Internal {
            tracing::error!(
                error = &error as &dyn std::error::Error,
                "could not answer a call"
            );
        }
        Self::with_error_details(code, chain(&error), error.details())
    }
}

impl From<InvalidId> for Error {
    fn from(error: InvalidId) -> Self {
        let field = match error.kind {
            "run id" => "run_id",
            "service name" => "service",
            "environment name" => "environment",
            _ => "name",
        };
        Self::field(field, error)
    }
}

impl From<bus::AppendError> for Error {
    fn from(error: bus::AppendError) -> Self {
        Self::Bus(error.into())
    }
}

/// What an update of `subject` that did not happen means.
pub(crate) fn not_updated(subject: String, error: UpdateError<Refusal>) -> Error {
    match error {
        UpdateError::Absent => Error::not_found(format!("there is no {subject}")),
        UpdateError::Refused(refusal) => Error::Precondition {
            subject,
            why: refusal.why,
        },
        UpdateError::Contended => Error::Unavailable {
            why: format!("too many others change {subject}; try again"),
        },
        UpdateError::Bus(error) => Error::Bus(error),
    }
}
