//! Latencies as failures: too slow, or not.

use super::Counts;
use super::bet::Block;
use super::comparison::Comparison;
use super::evidence::{Evidence, Latencies, Measure};
use super::histogram::Histogram;
use crate::spec::{LatencyAnalysis, Quantile};

/// Slow requests, look by look.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct LatencyComparison {
    quantile: Quantile,
    /// 1.2 where 20 % more is allowed.
    factor: f64,
    comparison: Comparison,
    /// Up to where both were compared.
    seen: (Histogram, Histogram),
    /// Everything that was taken in.
    canary: Histogram,
    stable: Histogram,
}

impl LatencyComparison {
    pub(super) fn new(analysis: &LatencyAnalysis, comparison: Comparison) -> Self {
        Self {
            quantile: analysis.quantile,
            factor: 1.0 + analysis.max_increase.fraction(),
            comparison,
            seen: Default::default(),
            canary: Histogram::default(),
            stable: Histogram::default(),
        }
    }

    pub(super) fn look(&mut self, canary: &Histogram, stable: &Histogram) {
        let added = (canary.since(&self.seen.0), stable.since(&self.seen.1));
        if added.0.count() == 0 || added.1.count() == 0 {
            return;
        }
        // The first block only tells what slow is: that must be known before the requests that are judged by it.
        if let Some(slow) = self.slow_us() {
            self.comparison.play(&Block {
                canary: Counts::new(added.0.count(), added.0.slower_than(self.allowed_us(slow))),
                stable: Counts::new(added.1.count(), added.1.maybe_slower_than(slow)),
            });
        }
        self.canary.add(&added.0);
        self.stable.add(&added.1);
        self.seen = (canary.clone(), stable.clone());
    }

    fn slow_us(&self) -> Option<u64> {
        self.stable.quantile_us(self.quantile.fraction())
    }

    fn allowed_us(&self, slow_us: u64) -> u64 {
        (slow_us as f64 * self.factor).ceil() as u64
    }

    pub(super) fn evidence(&self) -> Evidence {
        let stable_us = self.slow_us();
        let latencies = Latencies {
            quantile: self.quantile,
            canary_us: self.canary.quantile_us(self.quantile.fraction()),
            stable_us,
            allowed_us: stable_us.map(|slow| self.allowed_us(slow)),
        };
        Evidence::of(&self.comparison, Measure::Latency(latencies))
    }
}
