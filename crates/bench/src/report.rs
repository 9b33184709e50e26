//! What a part measured, as people read it.

use std::fmt;
use std::time::Duration;

/// A part's lines under its title.
#[derive(Debug)]
pub(crate) struct Report {
    title: String,
    lines: Vec<String>,
}

impl Report {
    pub(crate) fn new(title: &str) -> Self {
        Self {
            title: title.to_owned(),
            lines: Vec::new(),
        }
    }

    /// Something that was measured, without a goal.
    pub(crate) fn fact(&mut self, what: &str, value: impl fmt::Display) {
        self.lines.push(format!("        {what}: {value}"));
    }

    /// What a number means.
    pub(crate) fn note(&mut self, text: &str) {
        self.lines.push(format!("        {text}"));
    }

    /// Many facts, in columns: names to the left, numbers to the right.
    pub(crate) fn table(&mut self, header: &[&str], rows: &[Vec<String>]) {
        let header = header.iter().map(|cell| (*cell).to_owned()).collect();
        let rows: Vec<&Vec<String>> = [&header].into_iter().chain(rows).collect();
        let width = |column: usize| {
            let cells = rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).max().unwrap_or(0)
        };
        for row in &rows {
            let cells = row.iter().enumerate().map(|(column, cell)| {
                let width = width(column);
                if column == 0 {
                    format!("{cell:<width$}")
                } else {
                    format!("{cell:>width$}")
                }
            });
            let line = cells.collect::<Vec<_>>().join("  ");
            self.lines.push(format!("        {}", line.trim_end()));
        }
    }

    /// Something that was measured against its goal.
    pub(crate) fn goal(&mut self, what: &str, value: impl fmt::Display, goal: &str, held: bool) {
        let sign = if held { "held  " } else { "MISSED" };
        self.lines
            .push(format!("{sign}  {what}: {value} (goal: {goal})"));
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.title)?;
        for line in &self.lines {
            write!(f, "\n  {line}")?;
        }
        Ok(())
    }
}

/// Milliseconds with what matters of them.
pub(crate) fn ms(duration: Duration) -> String {
    format!("{:.1} ms", duration.as_secs_f64() * 1000.0)
}

/// How many times `peer` fits into `ours`.
pub(crate) fn ratio(ours: Duration, peer: Duration) -> f64 {
    ours.as_secs_f64() / peer.as_secs_f64().max(f64::EPSILON)
}

/// The value that `share` of the samples do not exceed, by nearest rank; zero of none.
pub(crate) fn quantile(samples: &mut [Duration], share: f64) -> Duration {
    samples.sort_unstable();
    let rank = (share * samples.len() as f64).ceil() as usize;
    samples
        .get(rank.clamp(1, samples.len().max(1)) - 1)
        .copied()
        .unwrap_or_default()
}

/// Half of the samples are at most this.
pub(crate) fn median(samples: &mut [Duration]) -> Duration {
    quantile(samples, 0.5)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_what_is_in_them() {
        let mut report = Report::new("Title");
        let row = |cells: [&str; 2]| cells.map(str::to_owned).to_vec();
        report.table(
            &["", "count"],
            &[row(["a", "1"]), row(["longer", "100000"])],
        );
        let lines: Vec<String> = report.to_string().lines().map(str::to_owned).collect();
        assert_eq!(
            lines[1..],
            [
                "                   count",
                "          a            1",
                "          longer  100000",
            ]
        );
    }

    #[test]
    fn quantiles_are_samples() {
        let mut samples: Vec<_> = (1..=100).rev().map(Duration::from_millis).collect();
        assert_eq!(median(&mut samples), Duration::from_millis(50));
        assert_eq!(quantile(&mut samples, 0.99), Duration::from_millis(99));
        assert_eq!(quantile(&mut [], 0.99), Duration::ZERO);
    }
}
