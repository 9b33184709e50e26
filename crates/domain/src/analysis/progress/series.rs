//! One metric, measured again and again.

use std::collections::VecDeque;
use std::time::Duration;

use jiff::Timestamp;

use crate::analysis::measurement::Measurement;
use crate::analysis::verdict::{Conclusion, Verdict};
use crate::spec::{Limit, Metric, TimeSpan};

/// Measurements that are kept; all are counted.
const KEPT: usize = 10;

/// After a measurement that was impossible, or found no data, and without a shorter interval.
const RETRY: Duration = Duration::from_secs(10);

/// One metric with what was measured.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    metric: Metric,
    wait_for_data: Duration,
    begun: Option<Timestamp>,
    measurements: VecDeque<Measurement>,
    counts: Counts,
    /// Since when there is no data.
    dry_since: Option<Timestamp>,
    conclusion: Option<Conclusion>,
}

/// How many measurements came to what.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counts {
    /// Passed.
    pub passed: u32,
    /// Failed.
    pub failed: u32,
    /// Neither.
    pub inconclusive: u32,
    /// No data.
    pub no_data: u32,
    /// Impossible.
    pub errors: u32,
    /// Impossible, in a row up to the last one.
    pub errors_in_a_row: u32,
    /// Passed, in a row up to the last one.
    pub passed_in_a_row: u32,
}

impl Counts {
    /// Those that there was a number for.
    #[must_use]
    pub fn measured(&self) -> u32 {
        self.passed + self.failed + self.inconclusive
    }

    fn add(&mut self, verdict: Verdict) {
        let (passed, errors) = (self.passed_in_a_row, self.errors_in_a_row);
        (self.passed_in_a_row, self.errors_in_a_row) = (0, 0);
        match verdict {
            Verdict::Pass => {
                self.passed += 1;
                self.passed_in_a_row = passed + 1;
            }
            Verdict::Fail => self.failed += 1,
            Verdict::Inconclusive => self.inconclusive += 1,
            Verdict::NoData => self.no_data += 1,
            Verdict::Error => {
                self.errors += 1;
                self.errors_in_a_row = errors + 1;
            }
        }
    }
}

impl Series {
    pub(super) fn new(metric: Metric, wait_for_data: TimeSpan) -> Self {
        Self {
            metric,
            wait_for_data: wait_for_data.get(),
            begun: None,
            measurements: VecDeque::with_capacity(KEPT),
            counts: Counts::default(),
            dry_since: None,
            conclusion: None,
        }
    }

    /// The metric.
    #[must_use]
    pub fn metric(&self) -> &Metric {
        &self.metric
    }

    /// The last ten measurements, the newest last.
    pub fn measurements(&self) -> impl Iterator<Item = &Measurement> {
        self.measurements.iter()
    }

    /// How many measurements there were, of each kind.
    #[must_use]
    pub fn counts(&self) -> Counts {
        self.counts
    }

    /// What it came to, if it has ended.
    #[must_use]
    pub fn conclusion(&self) -> Option<&Conclusion> {
        self.conclusion.as_ref()
    }

    pub(super) fn begin(&mut self, now: Timestamp) {
        self.begun.get_or_insert(now);
    }

    /// When it is measured next, if it is.
    pub(super) fn next_at(&self) -> Option<Timestamp> {
        if self.conclusion.is_some() {
            return None;
        }
        let Some(last) = self.measurements.back() else {
            let delay = self
                .metric
                .initial_delay
                .map_or(Duration::ZERO, TimeSpan::get);
            return Some(later(self.begun?, delay));
        };
        let interval = self.metric.interval.map(TimeSpan::get);
        let pause = match last.verdict {
            Verdict::Error | Verdict::NoData => interval.unwrap_or(RETRY).min(RETRY),
            Verdict::Pass | Verdict::Fail | Verdict::Inconclusive => interval.unwrap_or(RETRY),
        };
        Some(later(last.at, pause))
    }

    pub(super) fn record(&mut self, measurement: Measurement) {
        let is_old = |last: &Measurement| measurement.at <= last.at;
        if self.conclusion.is_some() || self.measurements.back().is_some_and(is_old) {
            return;
        }
        self.counts.add(measurement.verdict);
        match measurement.verdict {
            Verdict::NoData => drop(self.dry_since.get_or_insert(measurement.at)),
            Verdict::Error => {}
            Verdict::Pass | Verdict::Fail | Verdict::Inconclusive => self.dry_since = None,
        }
        self.begun.get_or_insert(measurement.at);
        self.conclusion = self.assess(&measurement);
        self.measurements.push_back(measurement);
        while self.measurements.len() > KEPT {
            self.measurements.pop_front();
        }
    }

    /// What the last measurement made of it.
    fn assess(&self, last: &Measurement) -> Option<Conclusion> {
        let Counts {
            failed,
            inconclusive,
            errors_in_a_row,
            passed_in_a_row,
            ..
        } = self.counts;
        let end = |verdict, why: String| {
            let reason = format!("metric `{}`: {why}; last: {last}", self.metric.name);
            Some(Conclusion::new(verdict, reason))
        };
        let limited = |count: u32, limit: Limit, what: &str| {
            let Limit::AtMost(most) = limit else {
                return None;
            };
            let why = format!("{} {what}, and the limit is {most}", measurements(count));
            (count > most).then_some(why)
        };
        if let Some(why) = limited(failed, self.metric.failure_limit, "failed") {
            return end(Verdict::Fail, why);
        }
        let limit = self.metric.inconclusive_limit;
        if let Some(why) = limited(inconclusive, limit, "inconclusive") {
            return end(Verdict::Inconclusive, why);
        }
        let limit = self.metric.consecutive_error_limit;
        if let Some(why) = limited(errors_in_a_row, limit, "in a row impossible") {
            return end(Verdict::Error, why);
        }
        if let Some(since) = self
            .dry_since
            .filter(|s| later(*s, self.wait_for_data) <= last.at)
        {
            return end(Verdict::NoData, format!("there is no data since {since}"));
        }
        let wanted = self.metric.consecutive_success_limit;
        if wanted.is_some_and(|wanted| passed_in_a_row >= wanted) {
            let why = format!("{} in a row passed", measurements(passed_in_a_row));
            return end(Verdict::Pass, why);
        }
        let measured = self.counts.measured();
        if self
            .metric
            .effective_count()
            .is_none_or(|count| measured < count)
        {
            return None;
        }
        let taken = measurements(measured);
        match (wanted, self.metric.failure_limit) {
            (None, _) => end(Verdict::Pass, format!("{taken} taken, {failed} failed")),
            (Some(wanted), limit) => {
                let why = format!("{taken} taken, and never {wanted} in a row passed");
                match limit {
                    Limit::AtMost(_) => end(Verdict::Inconclusive, why),
                    Limit::Unlimited(_) => end(Verdict::Fail, why),
                }
            }
        }
    }

    /// It ends with what there is. What was not to be measured yet does not count.
    pub(super) fn stop(&mut self, now: Timestamp) {
        if self.conclusion.is_some() {
            return;
        }
        let was_due = !self.measurements.is_empty() || self.next_at().is_some_and(|at| at <= now);
        let taken = measurements(self.counts.measured());
        let (verdict, why) = match (self.counts.measured(), was_due) {
            (0, true) => (
                Verdict::NoData,
                "nothing was measured until its end".to_owned(),
            ),
            (0, false) => (Verdict::Pass, "it was not to begin yet".to_owned()),
            _ => (
                Verdict::Pass,
                format!("{taken} until its end, {} failed", self.counts.failed),
            ),
        };
        let reason = format!("metric `{}`: {why}", self.metric.name);
        self.conclusion = Some(Conclusion::new(verdict, reason));
    }
}

fn measurements(count: u32) -> String {
    match count {
        1 => "1 measurement".to_owned(),
        count => format!("{count} measurements"),
    }
}

fn later(at: Timestamp, by: Duration) -> Timestamp {
    at.checked_add(by).unwrap_or(Timestamp::MAX)
}
