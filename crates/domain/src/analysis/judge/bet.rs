//! A bet on what the rates are, against everything that a null hypothesis allows.

use super::Counts;

/// The shares of failed requests of the two versions.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Rates {
    pub(super) canary: f64,
    pub(super) stable: f64,
}

/// What the two versions were asked in the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Block {
    pub(super) canary: Counts,
    pub(super) stable: Counts,
}

/// What is held true until the evidence against it suffices.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Null {
    /// The canary's rate is at most so much above the stable one's.
    AtMost(f64),
    /// The canary's rate is at least so much above the stable one's.
    AtLeast(f64),
}

impl Null {
    fn allows(self, rates: Rates) -> bool {
        match self {
            Self::AtMost(limit) => rates.canary - rates.stable <= limit,
            Self::AtLeast(limit) => rates.canary - rates.stable >= limit,
        }
    }

    fn limit(self) -> f64 {
        match self {
            Self::AtMost(limit) | Self::AtLeast(limit) => limit,
        }
    }
}

/// The logarithm of the e-value of a block: how much likelier it is under the bet than under those rates that `null`
/// allows which are nearest to the bet. `bet` must be made before the block is seen, and be inside of 0 and 1.
///
/// With `n` requests and rates `p` of the canary, `m` and `q` of the stable version, a star for the bet and a circle for
/// the nearest rates, its mean is `(1 + x)^n (1 + y)^m` with `x = (p − p°)(p* − p°) / (p°(1 − p°))`, and `y` likewise. The
/// nearest rates minimise a convex function on a convex set, so `n x + m y ≤ 0` for all rates of the set, and by
/// `1 + z ≤ e^z` the mean is at most 1. The same holds when `p` and `q` are the means of rates that differ from request
/// to request.
pub(super) fn ln_e_value(bet: Rates, null: Null, block: &Block) -> f64 {
    if null.allows(bet) {
        return 0.0;
    }
    let nearest = nearest(bet, null.limit(), block);
    ln_ratio(block.canary, bet.canary, nearest.canary)
        + ln_ratio(block.stable, bet.stable, nearest.stable)
}

/// The rates with just that difference which a block of this size tells least well from the bet: those with the least
/// Kullback-Leibler divergence.
fn nearest(bet: Rates, difference: f64, block: &Block) -> Rates {
    let (n, m) = (block.canary.requests as f64, block.stable.requests as f64);
    let (one, other) = (bet.stable, bet.canary - difference);
    let mut low = one.min(other).max(-difference).max(0.0);
    let mut high = one.max(other).min(1.0 - difference).min(1.0);
    let slope = |stable: f64| {
        let canary = stable + difference;
        m * (stable - bet.stable) / (stable * (1.0 - stable))
            + n * (canary - bet.canary) / (canary * (1.0 - canary))
    };
    for _ in 0..64 {
        let middle = f64::midpoint(low, high);
        if slope(middle) < 0.0 {
            low = middle;
        } else {
            high = middle;
        }
    }
    let stable = f64::midpoint(low, high);
    Rates {
        canary: stable + difference,
        stable,
    }
}

fn ln_ratio(counts: Counts, bet: f64, null: f64) -> f64 {
    let failed = counts.failures as f64;
    let answered = counts.requests as f64 - failed;
    let part = |count: f64, bet: f64, null: f64| {
        if count > 0.0 {
            count * (bet / null).ln()
        } else {
            0.0
        }
    };
    part(failed, bet, null) + part(answered, 1.0 - bet, 1.0 - null)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn block(n: u64, f: u64, m: u64, g: u64) -> Block {
        Block {
            canary: Counts::new(n, f),
            stable: Counts::new(m, g),
        }
    }

    /// The probability of so many failures.
    fn probability(requests: u64, failures: u64, rate: f64) -> f64 {
        let ways: f64 = (0..failures)
            .map(|i| (requests - i) as f64 / (failures - i) as f64)
            .product();
        ways * rate.powi(failures as i32) * (1.0 - rate).powi((requests - failures) as i32)
    }

    /// The mean e-value of all blocks of that size, for given true rates.
    fn mean(bet: Rates, null: Null, (n, m): (u64, u64), truth: Rates) -> f64 {
        let mut mean = 0.0;
        for f in 0..=n {
            for g in 0..=m {
                let value = ln_e_value(bet, null, &block(n, f, m, g)).exp();
                mean += value * probability(n, f, truth.canary) * probability(m, g, truth.stable);
            }
        }
        mean
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 128, ..ProptestConfig::default() })]

        /// What makes the bound on false aborts hold.
        #[test]
        fn under_the_null_hypothesis_the_mean_is_at_most_one(
            (n, m) in (1..12_u64, 1..12_u64),
            (canary, stable) in (0.0001..0.9999_f64, 0.0001..0.9999_f64),
            limit in -0.5..0.5_f64,
            (p, q) in (0.0..=1.0_f64, 0.0..=1.0_f64),
        ) {
            let (bet, truth) = (Rates { canary, stable }, Rates { canary: p, stable: q });
            for null in [Null::AtMost(limit), Null::AtLeast(limit)] {
                if null.allows(truth) {
                    let mean = mean(bet, null, (n, m), truth);
                    prop_assert!(mean <= 1.0 + 1e-9, "{mean}");
                }
            }
        }

        #[test]
        fn a_bet_that_is_right_gains_on_average(
            (n, m) in (1..12_u64, 1..12_u64),
            (stable, more) in (0.01..0.4_f64, 0.1..0.5_f64),
        ) {
            let truth = Rates { canary: stable + more, stable };
            prop_assert!(mean(truth, Null::AtMost(0.05), (n, m), truth) > 1.0);
        }
    }

    #[test]
    fn a_bet_within_the_null_hypothesis_neither_wins_nor_loses() {
        let bet = Rates {
            canary: 0.02,
            stable: 0.01,
        };
        assert_eq!(
            ln_e_value(bet, Null::AtMost(0.01), &block(10, 9, 10, 0)),
            0.0
        );
        assert!(ln_e_value(bet, Null::AtMost(0.0), &block(10, 9, 10, 0)) > 0.0);
    }

    #[test]
    fn large_blocks_stay_finite() {
        let bet = Rates {
            canary: 1e-6,
            stable: 1.0 - 1e-6,
        };
        let block = block(1_000_000_000, 1_000_000_000, 1_000_000_000, 0);
        assert!(ln_e_value(bet, Null::AtLeast(0.5), &block).is_finite());
    }
}
