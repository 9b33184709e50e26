//! Latencies, counted in buckets.

/// How many requests took how long, since the version began to take traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Histogram {
    /// In ascending order and without overlap; those that hold nothing may be left out.
    pub buckets: Vec<Bucket>,
}

/// Requests that took longer than `above_us` and at most `up_to_us`, in microseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bucket {
    /// They took longer.
    pub above_us: u64,
    /// They did not take longer.
    pub up_to_us: u64,
    /// How many they are.
    pub count: u64,
}

impl Histogram {
    /// From the ends of the buckets and what is in each, as Prometheus counts (though not cumulative).
    #[must_use]
    pub fn from_ends(ends: impl IntoIterator<Item = (u64, u64)>) -> Self {
        let mut above_us = 0;
        let bucket = |(up_to_us, count)| {
            let bucket = Bucket {
                above_us,
                up_to_us,
                count,
            };
            above_us = up_to_us;
            bucket
        };
        Self {
            buckets: ends.into_iter().map(bucket).collect(),
        }
    }

    /// How many requests there are.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.buckets.iter().map(|bucket| bucket.count).sum()
    }

    /// The upper end of the bucket that the quantile is in; none when it is empty.
    #[must_use]
    pub fn quantile_us(&self, quantile: f64) -> Option<u64> {
        let rank = (quantile * self.count() as f64).ceil().max(1.0) as u64;
        let mut seen = 0;
        let reaches = |bucket: &&Bucket| {
            seen += bucket.count;
            seen >= rank
        };
        let bucket = self.buckets.iter().find(reaches);
        bucket.map(|bucket| bucket.up_to_us)
    }

    /// How many certainly took longer.
    #[must_use]
    pub fn slower_than(&self, us: u64) -> u64 {
        let slower = self.buckets.iter().filter(|bucket| bucket.above_us >= us);
        slower.map(|bucket| bucket.count).sum()
    }

    /// How many may have taken longer.
    #[must_use]
    pub fn maybe_slower_than(&self, us: u64) -> u64 {
        let slower = self.buckets.iter().filter(|bucket| bucket.up_to_us > us);
        slower.map(|bucket| bucket.count).sum()
    }

    /// What was added since an earlier one; all of it where counting began anew in between.
    pub(super) fn since(&self, earlier: &Self) -> Self {
        let before = |up_to_us| {
            let found = earlier
                .buckets
                .binary_search_by_key(&up_to_us, |b| b.up_to_us);
            found.map_or(0, |index| earlier.buckets[index].count)
        };
        let added: Option<Vec<Bucket>> = self
            .buckets
            .iter()
            .map(|bucket| {
                let count = bucket.count.checked_sub(before(bucket.up_to_us))?;
                Some(Bucket { count, ..*bucket })
            })
            .collect();
        match added {
            Some(buckets) if self.count() >= earlier.count() => Self { buckets },
            _ => self.clone(),
        }
    }

    pub(super) fn add(&mut self, other: &Self) {
        for bucket in &other.buckets {
            match self
                .buckets
                .binary_search_by_key(&bucket.up_to_us, |b| b.up_to_us)
            {
                Ok(index) => self.buckets[index].count += bucket.count,
                Err(index) => self.buckets.insert(index, *bucket),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_ends_of_buckets() {
        let histogram = Histogram::from_ends([(100, 50), (200, 49), (400, 1)]);
        assert_eq!(histogram.quantile_us(0.5), Some(100));
        assert_eq!(histogram.quantile_us(0.99), Some(200));
        assert_eq!(histogram.quantile_us(0.999), Some(400));
        assert_eq!(Histogram::default().quantile_us(0.5), None);
    }

    #[test]
    fn only_what_was_certainly_slower_counts() {
        let histogram = Histogram::from_ends([(100, 50), (200, 49), (400, 1)]);
        assert_eq!(histogram.slower_than(100), 50);
        assert_eq!(
            histogram.slower_than(101),
            1,
            "the second bucket begins at 100"
        );
        assert_eq!(histogram.slower_than(400), 0);
        assert_eq!(histogram.maybe_slower_than(101), 50);
        assert_eq!(histogram.maybe_slower_than(100), 50);
        assert_eq!(histogram.maybe_slower_than(99), 100);
    }

    #[test]
    fn counting_that_began_anew_is_counted_whole() {
        let earlier = Histogram::from_ends([(100, 50), (200, 5)]);
        let later = Histogram::from_ends([(100, 60), (200, 5), (400, 1)]);
        assert_eq!(later.since(&earlier).count(), 11);
        let anew = Histogram::from_ends([(100, 0), (200, 7)]);
        assert_eq!(anew.since(&earlier).count(), 7);
        let mut sum = anew.clone();
        sum.add(&later);
        assert_eq!(sum, Histogram::from_ends([(100, 60), (200, 12), (400, 1)]));
    }
}
