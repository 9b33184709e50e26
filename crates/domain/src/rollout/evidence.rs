//! What a verdict is based on.

use std::fmt;

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
