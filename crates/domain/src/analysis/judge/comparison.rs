//! Two versions that run beside each other, compared look by look.

use super::bet::{Block, Null};
use super::wealth::Wealth;
use super::{Counts, Interval, Standing};

/// How far from the limit the interval's bounds can lie.
const OFFSETS: [f64; 14] = [
    -0.5, -0.2, -0.1, -0.05, -0.02, -0.01, -0.005, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5,
];

/// What the stable version's rate is taken for before it is known, and how many requests that counts for.
const PRIOR_RATE: f64 = 0.01;
const PRIOR_REQUESTS: f64 = 50.0;

/// The difference of two rates against a limit.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Comparison {
    /// How much higher the canary's rate may be.
    pub(super) limit: f64,
    /// The bound on the probability of a wrong answer.
    pub(super) error: f64,
    /// Everything that was compared.
    pub(super) canary: Counts,
    pub(super) stable: Counts,
    /// Failures that the canary would have had with the stable version's rate of the same time.
    expected: f64,
    pub(super) looks: u32,
    steps: Vec<Step>,
}

/// The two hypotheses about one difference.
#[derive(Debug, Clone, PartialEq)]
struct Step {
    difference: f64,
    at_most: Wealth,
    at_least: Wealth,
}

impl Comparison {
    pub(super) fn new(limit: f64, error: f64) -> Self {
        let mut differences: Vec<f64> = OFFSETS.iter().map(|offset| limit + offset).collect();
        differences.push(limit);
        differences.retain(|difference| difference.abs() < 1.0);
        differences.sort_by(f64::total_cmp);
        Self::at(limit, error, &differences)
    }

    fn at(limit: f64, error: f64, differences: &[f64]) -> Self {
        let step = |difference: &f64| Step {
            difference: *difference,
            at_most: Wealth::new(Null::AtMost(*difference)),
            at_least: Wealth::new(Null::AtLeast(*difference)),
        };
        Self {
            limit,
            error,
            canary: Counts::default(),
            stable: Counts::default(),
            expected: 0.0,
            looks: 0,
            steps: differences.iter().map(step).collect(),
        }
    }

    /// The same without an interval, which takes a thirtieth of the time.
    pub(super) fn without_interval(limit: f64, error: f64) -> Self {
        Self::at(limit, error, &[limit])
    }

    /// Compares what came since the last look. Both must have had requests.
    pub(super) fn play(&mut self, block: &Block) {
        let known = self.stable.requests as f64 + PRIOR_REQUESTS;
        let rate = (self.stable.failures as f64 + PRIOR_RATE * PRIOR_REQUESTS) / known;
        for step in &mut self.steps {
            step.at_most.play(rate, block);
            step.at_least.play(rate, block);
        }
        self.expected += block.canary.requests as f64 * block.stable.rate();
        self.canary += block.canary;
        self.stable += block.stable;
        self.looks += 1;
    }

    pub(super) fn standing(&self) -> Standing {
        let limit = self.steps.iter().find(|step| step.difference == self.limit);
        match limit {
            Some(step) if step.at_most.refutes(self.error) => Standing::Worse,
            Some(step) if step.at_least.refutes(self.error) => Standing::NotWorse,
            _ => Standing::Open,
        }
    }

    /// The stable version's rate at the times of the canary's requests; none without requests.
    pub(super) fn stable_rate(&self) -> f64 {
        self.expected / (self.canary.requests.max(1) as f64)
    }

    /// Where the difference is: below and above is what is refuted.
    pub(super) fn interval(&self) -> Interval {
        let below = self
            .steps
            .iter()
            .take_while(|step| step.at_most.refutes(self.error));
        let above = self
            .steps
            .iter()
            .rev()
            .take_while(|step| step.at_least.refutes(self.error));
        Interval {
            lower: below.last().map_or(-1.0, |step| step.difference),
            upper: above.last().map_or(1.0, |step| step.difference),
        }
    }
}
