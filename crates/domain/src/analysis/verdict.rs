//! What a measurement, a metric, or a whole analysis comes to.

use std::fmt;

/// What it comes to; the worse, the greater.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// Good: the rollout goes on.
    Pass,
    /// Nothing was measured. Never a pass: a person decides.
    NoData,
    /// Neither good nor bad: a person decides.
    Inconclusive,
    /// It could not be measured: the rollout is aborted.
    Error,
    /// Bad: the rollout is aborted.
    Fail,
}

impl Verdict {
    /// Whether the rollout is aborted because of it.
    #[must_use]
    pub fn aborts(self) -> bool {
        matches!(self, Self::Error | Self::Fail)
    }

    /// As people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::NoData => "no data",
            Self::Inconclusive => "inconclusive",
            Self::Error => "error",
            Self::Fail => "fail",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A verdict and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Conclusion {
    /// What it comes to.
    pub verdict: Verdict,
    /// Why, in one line for people.
    pub reason: String,
}

impl Conclusion {
    pub(super) fn new(verdict: Verdict, reason: impl Into<String>) -> Self {
        Self {
            verdict,
            reason: reason.into(),
        }
    }

    /// The worse of two.
    #[must_use]
    pub fn or_worse(self, other: Self) -> Self {
        if other.verdict > self.verdict {
            other
        } else {
            self
        }
    }
}
