//! What an analysis found, as far as the steps of a rollout are concerned.

use std::fmt;

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// The new version is good enough: the step may end.
    Pass,
    /// It is not: the rollout is taken back.
    Fail,
    /// Nobody can tell, and waiting longer would not help: a person decides.
    Inconclusive,
    /// There is nothing to judge by yet. Never a pass.
    NoData,
    /// Nothing could be measured, more often than the limits of the analysis allow: nobody watches, so the rollout is
    /// taken back.
    Error,
}

impl Verdict {
    /// Whether the rollout ends because of it.
    #[must_use]
    pub fn is_bad(self) -> bool {
        matches!(self, Self::Fail | Self::Error)
    }

    /// As people read it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Pass => "pass",
            Self::Fail => "fail",
            Self::Inconclusive => "inconclusive",
            Self::NoData => "no data",
            Self::Error => "error",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One thing that a verdict is based on, as text for people.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Evidence {
    /// What was asked: a query, a check.
    pub query: String,
    /// What came back.
    pub values: String,
    /// What it was held against.
    pub threshold: String,
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.query)?;
        for (sign, text) in [(": ", &self.values), ("; limit: ", &self.threshold)] {
            if !text.is_empty() {
                write!(f, "{sign}{text}")?;
            }
        }
        Ok(())
    }
}
