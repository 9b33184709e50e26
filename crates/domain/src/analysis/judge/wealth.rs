//! What somebody would have who bets against a null hypothesis, look by look.

use super::bet::{Block, Null, Rates, ln_e_value};

/// How far beyond the limit the bets put the canary: 0.1 %, and each twice the one before, up to 51.2 %.
const SIZES: usize = 10;
const SMALLEST: f64 = 0.001;

/// A bet is never certain.
const LEAST: f64 = 1e-6;

/// The wealth of a gambler who begins with 1 and bets against a null hypothesis at odds that are fair, or worse, as long
/// as it is true. That it ever exceeds `1 / α` then has a probability of at most `α` (Ville's inequality), however often
/// one looks: the wealth is the evidence.
///
/// Most of it lies by at first, and some more of it is bet at each look: so what was lost while nothing was wrong costs
/// little when something goes wrong later. The bets are of several sizes, as nobody knows how bad it will be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Wealth {
    null: Null,
    /// Logarithms: of what lies by, and of each bet.
    saved: f64,
    bets: [f64; SIZES],
    looks: u32,
    highest: f64,
}

impl Wealth {
    pub(super) fn new(null: Null) -> Self {
        Self {
            null,
            saved: 0.0,
            bets: [f64::NEG_INFINITY; SIZES],
            looks: 0,
            highest: 0.0,
        }
    }

    /// Plays a block. `stable` is what the stable version's rate was until before it.
    pub(super) fn play(&mut self, stable: f64, block: &Block) {
        self.looks += 1;
        let looks = f64::from(self.looks);
        // Sums up to a share that grows only with the logarithm of the number of looks.
        let share = 1.0 / ((looks + 1.0) * (looks + 2.0).ln());
        let each = self.saved + (share / SIZES as f64).ln();
        self.saved += (-share).ln_1p();
        let mut size = SMALLEST;
        for bet in &mut self.bets {
            let rates = self.null.beyond(stable, size);
            *bet = ln_sum(&[*bet, each]) + ln_e_value(rates, self.null, block);
            size *= 2.0;
        }
        let all = ln_sum(&[ln_sum(&self.bets), self.saved]);
        self.highest = self.highest.max(all);
    }

    /// Whether the null hypothesis is wrong, with a probability of at most `error` that this is ever said of a true one.
    pub(super) fn refutes(&self, error: f64) -> bool {
        self.highest >= -error.ln()
    }
}

impl Null {
    /// Rates that it does not allow, by so much.
    fn beyond(self, stable: f64, size: f64) -> Rates {
        let canary = match self {
            Self::AtMost(limit) => stable + limit + size,
            Self::AtLeast(limit) => stable + limit - size,
        };
        Rates {
            canary: canary.clamp(LEAST, 1.0 - LEAST),
            stable: stable.clamp(LEAST, 1.0 - LEAST),
        }
    }
}

/// The logarithm of a sum, of logarithms.
fn ln_sum(terms: &[f64]) -> f64 {
    let most = terms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if most == f64::NEG_INFINITY {
        return most;
    }
    most + terms
        .iter()
        .map(|term| (term - most).exp())
        .sum::<f64>()
        .ln()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::analysis::judge::Counts;

    #[test]
    fn sums_of_logarithms_are_logarithms_of_sums() {
        assert!((ln_sum(&[2.0_f64.ln(), 3.0_f64.ln()]) - 5.0_f64.ln()).abs() < 1e-12);
        assert_eq!(ln_sum(&[f64::NEG_INFINITY]), f64::NEG_INFINITY);
        assert_eq!(ln_sum(&[f64::NEG_INFINITY, 800.0]), 800.0);
    }

    #[test]
    fn wealth_that_no_block_changes_stays_one() {
        let mut wealth = Wealth::new(Null::AtMost(0.01));
        let empty = Block {
            canary: Counts::new(0, 0),
            stable: Counts::new(0, 0),
        };
        for _ in 0..10_000 {
            wealth.play(0.01, &empty);
        }
        assert!(wealth.highest.abs() < 1e-9, "{}", wealth.highest);
        assert!(wealth.saved > -6.0, "enough lies by: {}", wealth.saved);
    }
}
