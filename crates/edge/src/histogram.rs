//! Latencies in logarithmic buckets: four per doubling, so a bucket is at most a quarter wider than its lower end.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use serde::{Deserialize, Serialize};

const BUCKETS: usize = 128;

/// Counts that many threads add to.
#[derive(Debug)]
pub(crate) struct LiveHistogram {
    counts: [AtomicU64; BUCKETS],
    sum_us: AtomicU64,
}

impl Default for LiveHistogram {
    fn default() -> Self {
        Self {
            counts: [const { AtomicU64::new(0) }; BUCKETS],
            sum_us: AtomicU64::new(0),
        }
    }
}

impl LiveHistogram {
    pub(crate) fn record(&self, latency: std::time::Duration) {
        let us = u64::try_from(latency.as_micros()).unwrap_or(u64::MAX);
        self.counts[bucket_of(us)].fetch_add(1, Relaxed);
        self.sum_us.fetch_add(us, Relaxed);
    }

    pub(crate) fn snapshot(&self) -> Histogram {
        let buckets = self
            .counts
            .iter()
            .enumerate()
            .map(|(index, count)| Bucket {
                up_to_us: upper_end(index),
                count: count.load(Relaxed),
            })
            .filter(|bucket| bucket.count > 0)
            .collect();
        Histogram {
            buckets,
            sum_us: self.sum_us.load(Relaxed),
        }
    }
}

/// A latency distribution at one moment; only buckets that hold something are listed, in ascending order.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Histogram {
    /// The buckets, not cumulative.
    pub buckets: Vec<Bucket>,
    /// Sum of all latencies in microseconds.
    pub sum_us: u64,
}

/// One bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bucket {
    /// Largest latency in the bucket, in microseconds.
    pub up_to_us: u64,
    /// How many requests fell in it.
    pub count: u64,
}

impl Bucket {
    /// The largest latency that is in the bucket before this one, whether that holds something or not, in microseconds;
    /// 0 before the first.
    #[must_use]
    pub fn above_us(&self) -> u64 {
        bucket_of(self.up_to_us).checked_sub(1).map_or(0, upper_end)
    }
}

impl Histogram {
    /// How many requests were measured.
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }

    /// The upper end, in microseconds, of the bucket that holds the quantile `q` (0 to 1); none when empty.
    pub fn quantile_us(&self, q: f64) -> Option<u64> {
        let rank = (q.clamp(0.0, 1.0) * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reaches = |bucket: &&Bucket| {
            seen += bucket.count;
            seen >= rank
        };
        self.buckets
            .iter()
            .find(reaches)
            .map(|bucket| bucket.up_to_us)
    }

    /// What was added since an earlier snapshot of the same counts.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        let before = |up_to_us| {
            let found = earlier
                .buckets
                .iter()
                .find(|bucket| bucket.up_to_us == up_to_us);
            found.map_or(0, |bucket| bucket.count)
        };
        let added = |bucket: &Bucket| Bucket {
            count: bucket.count.saturating_sub(before(bucket.up_to_us)),
            ..*bucket
        };
        let buckets = self
            .buckets
            .iter()
            .map(added)
            .filter(|bucket| bucket.count > 0)
            .collect();
        Self {
            buckets,
            sum_us: self.sum_us.saturating_sub(earlier.sum_us),
        }
    }
}

/// Values below four have a bucket each; above, the two bits after the leading one choose among four.
fn bucket_of(us: u64) -> usize {
    if us < 4 {
        return us as usize;
    }
    let exponent = us.ilog2() as usize;
    let quarter = (us >> (exponent - 2)) as usize & 3;
    ((exponent - 1) * 4 + quarter).min(BUCKETS - 1)
}

fn upper_end(bucket: usize) -> u64 {
    if bucket < 4 {
        return bucket as u64;
    }
    let (exponent, quarter) = (bucket / 4 + 1, bucket as u64 % 4);
    ((5 + quarter) << (exponent - 2)) - 1
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_latency_lies_in_its_bucket_and_the_bucket_is_narrow(us in 0u64..3_600_000_000) {
            let bucket = bucket_of(us);
            prop_assert!(us <= upper_end(bucket));
            prop_assert!(bucket == 0 || us > upper_end(bucket - 1));
            prop_assert!(upper_end(bucket) as f64 <= 1.25 * us.max(1) as f64);
            let listed = Bucket { up_to_us: upper_end(bucket), count: 1 };
            prop_assert!(bucket == 0 || us > listed.above_us());
            prop_assert_eq!(listed.above_us(), bucket.checked_sub(1).map_or(0, upper_end));
        }
    }

    #[test]
    fn quantiles_and_differences_come_from_snapshots() {
        let live = LiveHistogram::default();
        for ms in 1..=100 {
            live.record(Duration::from_millis(ms));
        }
        let first = live.snapshot();
        assert_eq!(first.count(), 100);
        let p99 = first.quantile_us(0.99).unwrap();
        assert!((99_000..=124_000).contains(&p99), "{p99}");
        live.record(Duration::from_millis(7));
        let added = live.snapshot().since(&first);
        assert_eq!((added.count(), added.sum_us), (1, 7_000));
        assert_eq!(Histogram::default().quantile_us(0.5), None);
    }
}
