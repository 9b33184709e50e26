//! Why a stage did not succeed, and the outcome that it has then.

use container_stage::edge_image::EdgeImageError;
use container_stage::outcome;
use domain::stage::{Failure, Outcome};
use worker::Work;

/// Why a stage stopped short.
#[derive(Debug)]
pub(crate) enum Stopped {
    /// The engine refused or broke.
    Engine(engine::Error),
    /// The commit can't be had.
    Source(source::Error),
    /// The edge, which probes and puts load on services, can't be had.
    Edge(EdgeImageError),
    /// The team's code, tests or files are red.
    Red(Box<Failure>),
    /// We can't do it; another test-runner, or another time, may.
    Broken(String),
    /// We were told to stop.
    Asked,
}

impl Stopped {
    /// Red for a reason that says it all.
    pub(crate) fn red(reason: impl Into<String>) -> Self {
        Self::Red(Box::new(Failure::because(reason)))
    }

    /// Red, with the lines that show it.
    pub(crate) fn red_with(reason: impl Into<String>, lines: &[String]) -> Self {
        Self::Red(Box::new(
            Failure::because(reason).with_last_lines(lines.iter().map(String::as_str)),
        ))
    }

    /// The outcome of the attempt.
    pub(crate) fn outcome(self, work: &Work) -> Outcome {
        match self {
            Self::Engine(error) => outcome::of_engine(&error, &[]),
            Self::Source(error) => outcome::of_source(&error),
            Self::Edge(EdgeImageError::Engine(error)) => outcome::of_engine(&error, &[]),
            Self::Edge(error) => outcome::broken(outcome::chain(&error)),
            Self::Red(failure) => Outcome::Failed(failure),
            Self::Broken(reason) => outcome::broken(reason),
            Self::Asked => {
                let unasked = || Outcome::Cancelled {
                    reason: "it was told to stop".to_owned(),
                };
                work.stop.outcome().unwrap_or_else(unasked)
            }
        }
    }
}

impl From<engine::Error> for Stopped {
    fn from(error: engine::Error) -> Self {
        Self::Engine(error)
    }
}

impl From<source::Error> for Stopped {
    fn from(error: source::Error) -> Self {
        Self::Source(error)
    }
}

impl From<EdgeImageError> for Stopped {
    fn from(error: EdgeImageError) -> Self {
        Self::Edge(error)
    }
}
