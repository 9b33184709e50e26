//! One line per step, and the list of what could not be had.

use std::fmt;
use std::io::Write as _;
use std::time::Instant;

/// Something that a chore needs and this machine hasn't got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// What is missing.
    pub what: String,
    /// Why it could not be provided, and what the reader can do about it.
    pub why: String,
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.why)
    }
}

/// What setting up came to.
#[derive(Debug, Default)]
pub struct Report {
    missing: Vec<Missing>,
}

impl Report {
    /// Everything that could not be provided.
    pub fn missing(&self) -> &[Missing] {
        &self.missing
    }

    /// Whether nothing is missing.
    pub fn complete(&self) -> bool {
        self.missing.is_empty()
    }

    /// Starts a step's line.
    pub(super) fn step(&mut self, what: impl Into<String>) -> Step<'_> {
        let what = what.into();
        print!("  {what} … ");
        // A line that can't be shown is no reason to stop.
        let _ = std::io::stdout().flush();
        Step {
            report: self,
            what,
            began: Instant::now(),
        }
    }
}

/// A step under way, whose line is open.
pub(super) struct Step<'a> {
    report: &'a mut Report,
    what: String,
    began: Instant,
}

impl Step<'_> {
    /// It was there already.
    pub(super) fn found(self, detail: impl fmt::Display) {
        println!("ok {detail}");
    }

    /// It is there now; says what was done and how long that took.
    pub(super) fn made(self, detail: impl fmt::Display) {
        println!("{detail} ({:.0} s)", self.began.elapsed().as_secs_f64());
    }

    /// More about a step that takes long.
    pub(super) fn note(&self, doing: &str) {
        print!("{doing} … ");
        let _ = std::io::stdout().flush();
    }

    /// It is not there.
    pub(super) fn missing(self, why: impl Into<String>) {
        let why = why.into();
        println!("missing: {why}");
        self.report.missing.push(Missing {
            what: self.what,
            why,
        });
    }
}
