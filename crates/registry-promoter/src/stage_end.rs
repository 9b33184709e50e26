//! From an error to how a stage ended.

use domain::stage::{Failure, Outcome};
use registry::ErrorClass;
use service_kit::cause::chain;

/// Why a stage did not succeed.
#[derive(Debug)]
pub(crate) enum Stopped {
    Registry(registry::Error),
    Bus(bus::Error),
    Red(String),
    /// Others of the service are at it all the time.
    Crowded(&'static str),
}

impl From<registry::Error> for Stopped {
    fn from(error: registry::Error) -> Self {
        Self::Registry(error)
    }
}

impl From<bus::Error> for Stopped {
    fn from(error: bus::Error) -> Self {
        Self::Bus(error)
    }
}

impl Stopped {
    /// The outcome: the user's fault, ours for good, or ours and worth another attempt.
    pub(crate) fn outcome(self) -> Outcome {
        let (reason, retryable) = match self {
            Self::Red(reason) => return Outcome::Failed(Box::new(Failure::because(reason))),
            Self::Bus(error) => (chain(&error), true),
            Self::Crowded(done) => (
                format!("too many versions of the service are being {done} at once"),
                true,
            ),
            Self::Registry(error) => {
                let retryable = match error.class() {
                    ErrorClass::Unavailable | ErrorClass::Corrupt => true,
                    ErrorClass::NotFound
                    | ErrorClass::Refused
                    | ErrorClass::Conflict
                    | ErrorClass::Protocol => false,
                };
                (chain(&error), retryable)
            }
        };
        Outcome::Errored {
            failure: Box::new(Failure::because(reason)),
            retryable,
        }
    }
}
