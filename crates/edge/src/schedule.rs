//! Which backend gets the n-th request: exact weights without a lock.

/// Weighted choices, prepared when weights or readiness change and only read per request.
///
/// Weights divide a circle of `total` slots; request `n` takes slot `n × stride mod total`. As the stride shares no
/// divisor with the total, each run of `total` requests visits every slot once, so the shares are exact; as it is close
/// to the total divided by the golden ratio, the visits are spread evenly (Knuth, The Art of Computer Programming,
/// volume 3, section 6.4).
#[derive(Debug)]
pub(crate) struct Schedule<T> {
    /// Ascending: each entry owns the slots from the previous entry's end to its own.
    ends: Vec<(u64, T)>,
    total: u64,
    stride: u64,
}

impl<T> Schedule<T> {
    pub(crate) fn new(weighted: impl IntoIterator<Item = (T, u32)>) -> Self {
        let weighted: Vec<_> = weighted
            .into_iter()
            .filter(|(_, weight)| *weight > 0)
            .collect();
        let divisor = weighted
            .iter()
            .fold(0, |acc, (_, weight)| gcd(acc, u64::from(*weight)));
        let mut total = 0;
        let ends = weighted
            .into_iter()
            .map(|(item, weight)| {
                total += u64::from(weight) / divisor;
                (total, item)
            })
            .collect();
        Self {
            ends,
            total,
            stride: stride(total),
        }
    }

    /// The choice for the `n`-th request, or, where `passes` refuses it, the next one that passes.
    pub(crate) fn pick(&self, n: u64, passes: impl Fn(&T) -> bool) -> Option<&T> {
        if self.total == 0 {
            return None;
        }
        let total = u128::from(self.total);
        let slot = (u128::from(n) % total * u128::from(self.stride) % total) as u64;
        let first = self.ends.partition_point(|(end, _)| *end <= slot);
        let (before, from) = self.ends.split_at(first);
        from.iter()
            .chain(before)
            .map(|(_, item)| item)
            .find(|item| passes(item))
    }
}

fn stride(total: u64) -> u64 {
    let golden = (total as f64 * 0.618_033_988_749_895) as u64;
    (golden.max(1)..=total.max(1))
        .find(|stride| gcd(*stride, total) == 1)
        .unwrap_or(1)
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn each_full_turn_gives_exact_shares(weights in prop::collection::vec(0u32..200, 1..6), start in any::<u32>()) {
            let schedule = Schedule::new(weights.iter().copied().enumerate());
            let mut seen = vec![0u64; weights.len()];
            for n in 0..schedule.total {
                seen[*schedule.pick(u64::from(start) + n, |_| true).unwrap()] += 1;
            }
            let sum: u64 = weights.iter().map(|w| u64::from(*w)).sum();
            for (count, weight) in seen.iter().zip(&weights) {
                prop_assert_eq!(count * sum, u64::from(*weight) * schedule.total);
            }
        }

        #[test]
        fn large_weights_do_not_overflow(weights in prop::collection::vec(any::<u32>(), 1..50), n in any::<u64>()) {
            let schedule = Schedule::new(weights.iter().copied().enumerate());
            let picked = schedule.pick(n, |_| true);
            prop_assert_eq!(picked.is_some(), weights.iter().any(|w| *w > 0));
            prop_assert!(picked.is_none_or(|i| weights[*i] > 0));
        }
    }

    #[test]
    fn a_small_share_comes_at_even_distances() {
        let schedule = Schedule::new([("old", 90), ("new", 10)]);
        let hits: Vec<u64> = (0..1000)
            .filter(|n| *schedule.pick(*n, |_| true).unwrap() == "new")
            .collect();
        assert_eq!(hits.len(), 100);
        assert!(
            hits.windows(2).all(|pair| pair[1] - pair[0] <= 20),
            "{hits:?}"
        );
    }

    #[test]
    fn a_refused_choice_moves_on_to_the_next() {
        let schedule = Schedule::new([("a", 1), ("b", 1)]);
        assert!((0..10).all(|n| schedule.pick(n, |b| *b != "a") == Some(&"b")));
        assert_eq!(schedule.pick(0, |_| false), None);
        assert_eq!(Schedule::<&str>::new([("a", 0)]).pick(0, |_| true), None);
    }
}
