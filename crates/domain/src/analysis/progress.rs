//! The metrics of an analysis while they are measured: what is due, and what it comes to so far.
//!
//! The limits mean what they mean in Argo Rollouts (`docs/features/analysis.md`), with one difference: what was not
//! measured is *no data*, which is never a pass.

mod series;

use jiff::Timestamp;

pub use series::{Counts, Series};

use super::measurement::Measurement;
use super::verdict::{Conclusion, Verdict};
use crate::spec::{Analysis, Metric};

/// The measured metrics of one rollout.
#[derive(Debug, Clone, PartialEq)]
pub struct Progress {
    series: Vec<Series>,
}

/// A metric of that name is not measured here.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the analysis has no metric {name:?}")]
pub struct UnknownMetric {
    /// The name.
    pub name: String,
}

impl Progress {
    /// Nothing is measured yet. [`Self::reach_step`] begins what begins with a step.
    #[must_use]
    pub fn new(analysis: &Analysis) -> Self {
        let series = |metric: &Metric| Series::new(metric.clone(), analysis.wait_for_samples);
        Self {
            series: analysis.metrics.iter().map(series).collect(),
        }
    }

    /// The rollout is at a step, counted from 1: the metrics that begin with it, or with one before it, begin.
    pub fn reach_step(&mut self, step: u32, now: Timestamp) {
        for series in &mut self.series {
            if step >= series.metric().starting_step.unwrap_or(1) {
                series.begin(now);
            }
        }
    }

    /// What is to be measured now.
    pub fn due(&self, now: Timestamp) -> impl Iterator<Item = &Metric> {
        let due = move |series: &&Series| series.next_at().is_some_and(|at| at <= now);
        let goes_on = self.goes_on();
        let series = self.series.iter().filter(move |_| goes_on);
        series.filter(due).map(Series::metric)
    }

    /// When something is to be measured next, if anything is.
    #[must_use]
    pub fn next_due(&self) -> Option<Timestamp> {
        let next = self.series.iter().filter_map(Series::next_at).min();
        next.filter(|_| self.goes_on())
    }

    /// One that ends badly ends the others. Those with `dry_run` go on where the others have passed.
    fn goes_on(&self) -> bool {
        let conclusion = self.conclusion();
        conclusion.is_none_or(|conclusion| conclusion.verdict == Verdict::Pass)
    }

    /// A metric was measured. One that came before, or comes after the metric's end, changes nothing.
    ///
    /// # Errors
    /// There is no such metric.
    pub fn record(&mut self, metric: &str, measurement: Measurement) -> Result<(), UnknownMetric> {
        let found = self.series.iter_mut().find(|s| s.metric().name == metric);
        let series = found.ok_or_else(|| UnknownMetric {
            name: metric.to_owned(),
        })?;
        series.record(measurement);
        Ok(())
    }

    /// Nothing more is measured: what did not fail has passed, if it was measured at all.
    pub fn stop(&mut self, now: Timestamp) {
        for series in &mut self.series {
            series.stop(now);
        }
    }

    /// What all of it comes to: the worst of the metrics as soon as one is not good, and a pass when all are. Metrics
    /// with `dry_run` have no say.
    #[must_use]
    pub fn conclusion(&self) -> Option<Conclusion> {
        let counted = || self.series.iter().filter(|s| !s.metric().dry_run);
        let ended = counted().filter_map(Series::conclusion).cloned();
        let worst = ended.reduce(Conclusion::or_worse);
        match worst {
            Some(worst) if worst.verdict != Verdict::Pass => Some(worst),
            _ if counted().any(|s| s.conclusion().is_none()) => None,
            Some(pass) => Some(pass),
            None => Some(Conclusion::new(
                Verdict::Pass,
                "there is nothing to measure",
            )),
        }
    }

    /// Each metric with what was measured.
    #[must_use]
    pub fn series(&self) -> &[Series] {
        &self.series
    }
}

#[cfg(test)]
mod tests;
