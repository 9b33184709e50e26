//! JUnit reports: found in the container that the tests ran in, and read into counts and failing tests.

pub(crate) mod find;
pub(crate) mod junit;
pub(crate) mod pattern;

use domain::stage::{FailedTest, TestCounts};

/// What all reports of a stage say together.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Report {
    pub(crate) counts: TestCounts,
    /// The failing tests, in the order of the reports; not more than are ever shown.
    pub(crate) failed: Vec<FailedTest>,
}

impl Report {
    /// Adds what another report says.
    pub(crate) fn add(&mut self, other: Self) {
        let (ours, theirs) = (&mut self.counts, other.counts);
        ours.passed = ours.passed.saturating_add(theirs.passed);
        ours.failed = ours.failed.saturating_add(theirs.failed);
        ours.skipped = ours.skipped.saturating_add(theirs.skipped);
        self.failed.extend(other.failed);
        self.failed.truncate(domain::stage::Failure::MAX_TESTS);
    }

    /// How many tests there are, those that were left out included.
    pub(crate) fn total(&self) -> u32 {
        self.counts
            .passed
            .saturating_add(self.counts.failed)
            .saturating_add(self.counts.skipped)
    }
}
