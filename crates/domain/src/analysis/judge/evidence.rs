//! What a comparison rests on, for people.

use std::fmt;

use super::comparison::Comparison;
use super::{Counts, Patience, Standing};
use crate::analysis::verdict::{Conclusion, Verdict};
use crate::spec::Quantile;

/// Everything that one comparison rests on. Of latencies, a failure is a request that was too slow.
#[derive(Debug, Clone, PartialEq)]
pub struct Evidence {
    /// What was compared.
    pub measure: Measure,
    /// Compared requests to the new version.
    pub canary: Counts,
    /// Compared requests to the version beside it.
    pub stable: Counts,
    /// The new version's share of failures, from 0 to 1.
    pub canary_rate: f64,
    /// The other's share of failures at the times of the new version's requests, from 0 to 1: what the new version's
    /// would be if it were as good.
    pub stable_rate: f64,
    /// Where the difference of the two shares is, with the probability that `false_aborts` leaves.
    pub difference: Interval,
    /// How much larger the new version's share may be.
    pub limit: f64,
    /// The bound on the probability that a good version is called worse.
    pub false_aborts: f64,
    /// How often it was looked at.
    pub looks: u32,
    /// What the test says.
    pub standing: Standing,
}

/// What is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Measure {
    /// Failed requests.
    Errors,
    /// Slow requests.
    Latency(Latencies),
}

/// What counts as slow. All in microseconds; none where there were no requests yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Latencies {
    /// Which latency is compared.
    pub quantile: Quantile,
    /// The new version's.
    pub canary_us: Option<u64>,
    /// The other's: above it, its requests are slow.
    pub stable_us: Option<u64>,
    /// Above it, the new version's requests are slow.
    pub allowed_us: Option<u64>,
}

/// From where to where a difference of shares is.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    /// It is more than this.
    pub lower: f64,
    /// It is less than this.
    pub upper: f64,
}

impl Evidence {
    pub(super) fn of(comparison: &Comparison, measure: Measure) -> Self {
        Self {
            measure,
            canary: comparison.canary,
            stable: comparison.stable,
            canary_rate: comparison.canary.rate(),
            stable_rate: comparison.stable_rate(),
            difference: comparison.interval(),
            limit: comparison.limit,
            false_aborts: comparison.error,
            looks: comparison.looks,
            standing: comparison.standing(),
        }
    }

    /// What it comes to; none as long as it is worth waiting.
    pub(super) fn conclusion(&self, patience: Patience, min_samples: u64) -> Option<Conclusion> {
        let is_enough = self.canary.requests >= min_samples;
        let looks_worse = self.canary_rate - self.stable_rate > self.limit;
        let conclude =
            |verdict, why: String| Some(Conclusion::new(verdict, format!("{self}{why}")));
        match (self.standing, patience) {
            (Standing::Worse, _) => conclude(Verdict::Fail, String::new()),
            (Standing::NotWorse, _) if is_enough => conclude(Verdict::Pass, String::new()),
            (_, Patience::StepGoesOn) => None,
            _ if is_enough && !looks_worse => conclude(Verdict::Pass, String::new()),
            (_, Patience::StepIsOver) => None,
            _ if self.canary.requests == 0 => {
                let why = "the two versions had no requests at the same time";
                let reason = format!("{}: {why}", self.measure);
                Some(Conclusion::new(Verdict::NoData, reason))
            }
            _ if !is_enough => {
                let why = format!("; {min_samples} requests are wanted");
                conclude(Verdict::Inconclusive, why)
            }
            _ => conclude(Verdict::Inconclusive, "; that may be chance".to_owned()),
        }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Errors => f.write_str("errors"),
            Self::Latency(latencies) => write!(f, "latency {}", latencies.quantile),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (happened, unit) = match &self.measure {
            Measure::Errors => ("failed", String::new()),
            Measure::Latency(latencies) => ("were slow", slow(latencies)),
        };
        write!(
            f,
            "{}: {} of {} requests to the new version {happened}{unit}, and {} of {} to the other at the same time; at most \
             {} more is allowed",
            self.measure,
            Share(self.canary_rate),
            self.canary.requests,
            Share(self.stable_rate),
            self.stable.requests,
            Share(self.limit),
        )?;
        match self.standing {
            Standing::Worse => write!(
                f,
                ", and that it is more is certain to {}",
                Share(1.0 - self.false_aborts)
            ),
            Standing::NotWorse => write!(
                f,
                ", and that it is not more is certain to {}",
                Share(1.0 - self.false_aborts)
            ),
            Standing::Open => Ok(()),
        }
    }
}

fn slow(latencies: &Latencies) -> String {
    let ms = |us: Option<u64>| {
        us.map_or_else(
            || "?".to_owned(),
            |us| format!("{:.1} ms", us as f64 / 1000.0),
        )
    };
    format!(
        " ({} is {}, allowed are {})",
        latencies.quantile,
        ms(latencies.canary_us),
        ms(latencies.allowed_us)
    )
}

/// A share in percent, with the digits that matter.
struct Share(f64);

impl fmt::Display for Share {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{:.2}", self.0 * 100.0);
        write!(f, "{} %", text.trim_end_matches('0').trim_end_matches('.'))
    }
}
