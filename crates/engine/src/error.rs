//! What can go wrong with an engine, and whose fault it is.

use std::time::Duration;

/// Results of this crate.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Whose fault an error is, and so what to do about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ErrorClass {
    /// The user's input: the stage is red, trying again changes nothing.
    User,
    /// We or the infrastructure broke.
    Infrastructure {
        /// Trying again later may help.
        retryable: bool,
    },
    /// Somebody asked for it to stop.
    Cancelled,
}

/// Everything that this crate reports.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Nothing answers at the engine's address.
    #[error(
        "no Docker engine answers at {host}; start one (on Debian and Ubuntu: apt-get install docker.io) or set DOCKER_HOST"
    )]
    Unreachable {
        /// The address that was tried.
        host: String,
        /// Why it failed.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// `DOCKER_HOST` can't be used.
    #[error(
        "the engine address {host:?} can't be used; DOCKER_HOST takes unix://PATH, tcp://HOST:PORT or https://HOST:PORT"
    )]
    BadHost {
        /// The address.
        host: String,
        /// Why.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// The engine did not answer a call in time.
    #[error(
        "the engine did not {doing} within {limit:?}; it may be overloaded or hung: look at `docker ps` and the engine's log"
    )]
    NoAnswer {
        /// What was being done, as an infinitive.
        doing: String,
        /// How long we waited.
        limit: Duration,
    },
    /// The connection to the engine broke during a call.
    #[error("lost the connection to the engine while trying to {doing}")]
    Connection {
        /// What was being done, as an infinitive.
        doing: String,
        /// The cause.
        #[source]
        source: Box<bollard::errors::Error>,
    },
    /// The engine refused or failed.
    #[error("the engine could not {doing}: {message} (status {status})")]
    Refused {
        /// What was being done, as an infinitive.
        doing: String,
        /// The engine's HTTP status.
        status: u16,
        /// The engine's own words.
        message: String,
    },
    /// There is no such container, image, network or path.
    #[error("could not {doing}: {message}")]
    NotFound {
        /// What was being done, as an infinitive.
        doing: String,
        /// The engine's own words.
        message: String,
    },
    /// A container of that name exists, and was started from another specification.
    #[error(
        "a container named {name:?} exists and differs from what was asked for; replace it, or choose another name"
    )]
    NameTaken {
        /// The name.
        name: String,
    },
    /// What the caller asked for makes no sense.
    #[error("{0}")]
    Invalid(String),
    /// The image has no such program, or it can't be executed.
    #[error("the container of image {image} could not start: {message}")]
    CannotStart {
        /// The image.
        image: String,
        /// The engine's own words.
        message: String,
    },
    /// The image does not exist, or we may not see it.
    #[error(
        "there is no image {image}, here or in its registry: {message}; check its name and tag, and the registry's credentials"
    )]
    ImageNotFound {
        /// The image.
        image: String,
        /// The registry's words.
        message: String,
    },
    /// The image is not here, and its registry can't be reached.
    #[error(
        "could not pull image {image}: {message}; it is not on this engine either: check the network and the registry"
    )]
    PullFailed {
        /// The image.
        image: String,
        /// The cause.
        message: String,
    },
    /// Pushing failed for want of permission.
    #[error(
        "the registry refused the push of {image}: {message}; check the registry's credentials"
    )]
    PushRefused {
        /// The image.
        image: String,
        /// The registry's words.
        message: String,
    },
    /// Pushing failed otherwise.
    #[error("could not push {image}: {message}")]
    PushFailed {
        /// The image.
        image: String,
        /// The cause.
        message: String,
    },
    /// The user's Dockerfile, or what it runs, is wrong.
    #[error("{message}")]
    BuildFailed {
        /// BuildKit's words.
        message: String,
    },
    /// The build broke, not through the user.
    #[error("the image build broke: {message}")]
    BuildBroken {
        /// What the engine said.
        message: String,
    },
    /// The work took longer than it may.
    #[error("{what} took longer than its limit of {limit:?} and was stopped")]
    TimedOut {
        /// What was stopped.
        what: String,
        /// Its limit.
        limit: Duration,
    },
    /// Somebody cancelled it.
    #[error("{what} was cancelled")]
    Cancelled {
        /// What was cancelled.
        what: String,
    },
    /// Reading or writing an archive failed.
    #[error("could not {doing}")]
    Archive {
        /// What was being done, as an infinitive.
        doing: String,
        /// The cause.
        #[source]
        source: std::io::Error,
    },
}

impl Error {
    /// Whose fault it is, and whether trying again makes sense.
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::Unreachable { .. }
            | Self::NoAnswer { .. }
            | Self::Connection { .. }
            | Self::PullFailed { .. }
            | Self::PushFailed { .. }
            | Self::BuildBroken { .. }
            // Somebody removed it meanwhile: another attempt makes it again.
            | Self::NotFound { .. }
            | Self::Archive { .. } => ErrorClass::Infrastructure { retryable: true },
            Self::Refused { status, .. } => ErrorClass::Infrastructure {
                retryable: *status >= 500,
            },
            Self::BadHost { .. }
            | Self::NameTaken { .. }
            | Self::PushRefused { .. } => ErrorClass::Infrastructure { retryable: false },
            Self::Invalid(_)
            | Self::CannotStart { .. }
            | Self::ImageNotFound { .. }
            | Self::BuildFailed { .. }
            | Self::TimedOut { .. } => ErrorClass::User,
            Self::Cancelled { .. } => ErrorClass::Cancelled,
        }
    }

    /// An error of the client library, met while doing something.
    pub(crate) fn of(doing: &str, error: bollard::errors::Error) -> Self {
        use bollard::errors::Error as E;
        let doing = doing.to_owned();
        match error {
            E::DockerResponseServerError {
                status_code: 404,
                message,
            } => Self::NotFound { doing, message },
            E::DockerResponseServerError {
                status_code,
                message,
            } => Self::Refused {
                doing,
                status: status_code,
                message,
            },
            E::DockerStreamError { error } => Self::Refused {
                doing,
                status: 500,
                message: error,
            },
            source => Self::Connection {
                doing,
                source: Box::new(source),
            },
        }
    }

    pub(crate) fn archive(doing: &str, source: std::io::Error) -> Self {
        Self::Archive {
            doing: doing.to_owned(),
            source,
        }
    }

    /// The engine says that what we wanted to remove or stop isn't there any more.
    pub(crate) fn is_gone(&self) -> bool {
        matches!(self, Self::NotFound { .. })
    }
}

/// Whether a message of the engine, a registry or BuildKit speaks of the network or of a broken server, not of a
/// mistake. The engine passes these on as plain text, so the text is all there is.
pub(crate) fn is_network_trouble(message: &str) -> bool {
    const SIGNS: [&str; 20] = [
        "dial tcp",
        "dial unix",
        "no such host",
        "i/o timeout",
        "tls handshake",
        "connection refused",
        "connection reset",
        "context deadline exceeded",
        "client.timeout exceeded",
        "network is unreachable",
        "no route to host",
        "server misbehaving",
        "unexpected eof",
        "x509:",
        "toomanyrequests",
        "502 bad gateway",
        "503 service unavailable",
        "500 internal server error",
        "received unexpected http status: 5",
        "failed to do request",
    ];
    let message = message.to_lowercase();
    SIGNS.iter().any(|sign| message.contains(sign))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_network_is_told_from_a_wrong_name() {
        assert!(is_network_trouble(
            "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host"
        ));
        assert!(!is_network_trouble(
            "pull access denied for nope, repository does not exist or may require 'docker login'"
        ));
    }

    #[test]
    fn only_the_engines_own_failures_are_worth_another_try() {
        let refused = |status| Error::Refused {
            doing: "x".into(),
            status,
            message: String::new(),
        };
        assert_eq!(
            refused(500).class(),
            ErrorClass::Infrastructure { retryable: true }
        );
        assert_eq!(
            refused(409).class(),
            ErrorClass::Infrastructure { retryable: false }
        );
    }
}
