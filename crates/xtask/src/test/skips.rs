//! Why tests left themselves out: each adds a line to a file.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use tempfile::NamedTempFile;

/// Tells tests the file.
pub(super) const VARIABLE: &str = "SLIPWAY_TEST_SKIPS";

pub(super) struct Skips(NamedTempFile);

impl Skips {
    pub(super) fn new() -> Result<Self> {
        let file = tempfile::Builder::new()
            .prefix("slipway-skips-")
            .tempfile()
            .context("could not make a temporary file")?;
        Ok(Self(file))
    }

    pub(super) fn path(&self) -> &Path {
        self.0.path()
    }

    /// What was wanted, and by how many tests.
    pub(super) fn read(&self) -> Result<Vec<(String, usize)>> {
        let text = std::fs::read_to_string(self.path())
            .context("could not read why tests left themselves out")?;
        Ok(count(&text))
    }
}

fn count(lines: &str) -> Vec<(String, usize)> {
    let mut counted = BTreeMap::<&str, usize>::new();
    for line in lines.lines() {
        *counted.entry(line).or_default() += 1;
    }
    counted
        .into_iter()
        .map(|(want, count)| (want.to_owned(), count))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_want_is_told_once_with_its_number_of_tests() {
        let counted = count("no image redis:7\nno Docker engine answers\nno image redis:7\n");
        let expected = [("no Docker engine answers", 1), ("no image redis:7", 2)]
            .map(|(want, n)| (want.to_owned(), n));
        assert_eq!(counted, expected);
    }
}
