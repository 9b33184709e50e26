//! What can go wrong with a registry, and what to do about it.

use std::fmt;
use std::time::Duration;

use crate::{Digest, InvalidDigest, InvalidName, InvalidReference};

/// An operation on a registry that failed.
///
/// Every message can be read alone: what was tried, at which registry, repository and reference, why it failed, and
/// what to do next.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// What was asked for isn't there.
    #[error(
        "{place}: not found ({reason}); check the name, and that it was pushed to this registry"
    )]
    NotFound {
        /// What was tried, and where.
        place: Box<Place>,
        /// The registry's words.
        reason: String,
    },
    /// The registry wants other credentials, or forbids it.
    #[error(
        "{place}: refused ({reason}); check the credentials for this registry and what they may do"
    )]
    Refused {
        /// What was tried, and where.
        place: Box<Place>,
        /// The registry's words.
        reason: String,
    },
    /// A tag that must not move points to something else.
    #[error(
        "{place}: the tag already names {existing}, and a release tag never moves; \
         release {wanted} under a new version"
    )]
    TagMoved {
        /// What was tried, and where.
        place: Box<Place>,
        /// What the tag names.
        existing: Digest,
        /// What it was to name.
        wanted: Digest,
    },
    /// The registry's state and the request exclude each other.
    #[error("{place}: conflict ({reason})")]
    Conflict {
        /// What was tried, and where.
        place: Box<Place>,
        /// What is in the way, and what to do.
        reason: String,
    },
    /// The bytes aren't those that the digest promises.
    #[error(
        "{place}: the content is corrupt: {reason}; nothing of it was kept, push the image again from where it was built"
    )]
    Corrupt {
        /// What was tried, and where.
        place: Box<Place>,
        /// What was expected, and what came.
        reason: String,
    },
    /// The registry can't be reached, is overloaded, or broke off. Was already retried.
    #[error("{place}: the registry is unavailable: {reason}; {advice}")]
    Unavailable {
        /// What was tried, and where.
        place: Box<Place>,
        /// What happened.
        reason: String,
        /// What to do next.
        advice: &'static str,
        /// How long the registry asked to be left alone.
        retry_after: Option<Duration>,
    },
    /// What answered doesn't behave as a registry.
    #[error("{place}: {reason}")]
    Protocol {
        /// What was tried, and where.
        place: Box<Place>,
        /// What it did, and what to do.
        reason: String,
    },
    /// The configuration of a registry is wrong.
    #[error("registry `{registry}`: {reason}")]
    Configuration {
        /// The configured address.
        registry: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A repository name or a tag is malformed.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A reference is malformed.
    #[error(transparent)]
    Reference(#[from] InvalidReference),
    /// A digest is malformed.
    #[error(transparent)]
    Digest(#[from] InvalidDigest),
}

/// What a failure means for whoever asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// It isn't there.
    NotFound,
    /// Not with these credentials.
    Refused,
    /// Something else has its place.
    Conflict,
    /// The bytes are wrong.
    Corrupt,
    /// Not now: worth trying again later.
    Unavailable,
    /// Not this registry, not this request: trying again won't help.
    Protocol,
}

/// What was tried, and where: `reading the manifest of registry.example.org/team/app:1.0.0`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// What was tried, as in `reading the manifest of`.
    pub doing: &'static str,
    /// The address of the registry.
    pub registry: String,
    /// The repository, where one is concerned.
    pub repository: Option<String>,
    /// The tag or digest, where one is concerned.
    pub reference: Option<String>,
}

impl Error {
    /// What the failure means for whoever asked.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        match self {
            Self::NotFound { .. } => ErrorClass::NotFound,
            Self::Refused { .. } => ErrorClass::Refused,
            Self::TagMoved { .. } | Self::Conflict { .. } => ErrorClass::Conflict,
            Self::Corrupt { .. } => ErrorClass::Corrupt,
            Self::Unavailable { .. } => ErrorClass::Unavailable,
            Self::Protocol { .. }
            | Self::Configuration { .. }
            | Self::Name(_)
            | Self::Reference(_)
            | Self::Digest(_) => ErrorClass::Protocol,
        }
    }

    /// Whether trying the same again later may succeed.
    #[must_use]
    pub fn is_retryable(&self) -> bool {
        self.class() == ErrorClass::Unavailable
    }

    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    pub(crate) fn protocol(place: &Place, reason: impl Into<String>) -> Self {
        Self::Protocol {
            place: Box::new(place.clone()),
            reason: reason.into(),
        }
    }

    pub(crate) fn corrupt(place: &Place, reason: impl Into<String>) -> Self {
        Self::Corrupt {
            place: Box::new(place.clone()),
            reason: reason.into(),
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.doing, self.registry)?;
        if let Some(repository) = &self.repository {
            write!(f, "/{repository}")?;
        }
        match &self.reference {
            Some(reference) if reference.contains(':') => write!(f, "@{reference}"),
            Some(reference) => write!(f, ":{reference}"),
            None => Ok(()),
        }
    }
}
