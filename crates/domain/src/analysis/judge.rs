//! The default judge: the new version's requests against those of the version that runs beside it, by a sequential test
//! that may be looked at as often as one likes.
//!
//! After Turner, Ly and Grünwald, *Generic E-variables for exact sequential k-sample tests that allow for optional
//! stopping*, Journal of Statistical Planning and Inference 230 (2024), <https://arxiv.org/abs/2106.02693>, theorem 1, and
//! Turner and Grünwald, *Exact anytime-valid confidence intervals for contingency tables and beyond*, Statistics &
//! Probability Letters 198 (2023), <https://arxiv.org/abs/2203.09785>, for the interval of the difference:
//!
//! * What came between two looks is a block. Before it, a bet is made on the two rates; the block's e-value is how much
//!   likelier it is under the bet than under the nearest rates that the null hypothesis allows, such as "the canary fails
//!   at most 1 % more". Its mean is at most 1 if that is true, whatever the rates are in this block: so neither an outage
//!   that hits both versions nor another weight of the canary makes good versions look bad. Only what was measured at the
//!   same time is compared.
//! * The product of e-values is the wealth of somebody who bets against the null hypothesis. That it ever exceeds
//!   `1 / α` has a probability of at most `α` (Ville 1939), so the canary is called worse at that moment, and good
//!   versions are aborted at most so often, for any number of looks. The wealth is spread over bets of several sizes and
//!   several beginnings, after Herbster and Warmuth, *Tracking the best expert*, Machine Learning 32 (1998): a version
//!   that goes bad late is found as well.
//! * Latencies are made failures: with `t` the stable version's quantile until before the block, a request to it is slow
//!   above `t`, one to the canary above `t` and the allowed increase. If the canary is not slower than allowed, its share
//!   of slow requests is not larger.
//!
//! It takes requests to fail independently, given the two rates of their time. Nothing here draws random numbers.

mod bet;
mod comparison;
mod evidence;
mod histogram;
mod latency;
mod wealth;

use std::ops::AddAssign;

pub use evidence::{Evidence, Interval, Latencies, Measure};
pub use histogram::{Bucket, Histogram};

use super::verdict::{Conclusion, Verdict};
use crate::spec::Analysis;
use bet::Block;
use comparison::Comparison;
use latency::LatencyComparison;

/// Requests to a version, since it began to take traffic.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// All of them.
    pub requests: u64,
    /// Those that failed.
    pub failures: u64,
}

/// What a version was asked, since it began to take traffic.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Traffic {
    /// How many requests there were, and how many failed.
    pub counts: Counts,
    /// How long they took; empty where nobody measures it.
    pub latencies: Histogram,
}

/// Both versions at one moment.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Look {
    /// The new version.
    pub canary: Traffic,
    /// The one that runs beside it.
    pub stable: Traffic,
}

/// How much longer one would wait for an answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Patience {
    /// The step lasts longer anyway: an answer is given only when there is no doubt.
    StepGoesOn,
    /// The step's time is over: with enough requests, and unless the canary looks worse, it passes.
    StepIsOver,
    /// `wait_for_samples` is over too: there is an answer in any case.
    Exhausted,
}

/// What the test says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// The canary is worse than allowed: the difference's lower bound is above the limit.
    Worse,
    /// The canary is not worse than allowed: the difference's upper bound is at most the limit.
    NotWorse,
    /// Neither is certain enough.
    Open,
}

/// Compares a new version with the one that runs beside it. One judge lasts for a whole rollout, over all its steps: it
/// is brought up to date after a restart by giving it all looks again, in their order.
#[derive(Debug, Clone, PartialEq)]
pub struct Judge {
    errors: Option<ErrorComparison>,
    latency: Option<LatencyComparison>,
    min_samples: u64,
}

impl Judge {
    /// Nothing was looked at yet.
    #[must_use]
    pub fn new(analysis: &Analysis) -> Self {
        Self::with(analysis, Comparison::new)
    }

    /// The one that watches a rollout as the so-manieth, counted from 1: another took over from a deployer that stopped,
    /// and begins anew. What was seen before is lost to it, so all of them together share the bound on false aborts.
    #[must_use]
    pub fn of_attempt(analysis: &Analysis, attempt: u32) -> Self {
        let share = share_of(attempt);
        Self::with(analysis, |limit, error| {
            Comparison::new(limit, error * share)
        })
    }

    /// One that gives the same verdicts, but no interval in its evidence: it takes a small part of the time.
    #[must_use]
    pub fn without_interval(analysis: &Analysis) -> Self {
        Self::with(analysis, Comparison::without_interval)
    }

    fn with(analysis: &Analysis, comparison: impl Fn(f64, f64) -> Comparison) -> Self {
        let error = analysis.false_aborts_each();
        let errors = analysis.errors.as_ref().map(|errors| ErrorComparison {
            comparison: comparison(errors.max_increase.fraction(), error),
            seen: (Counts::default(), Counts::default()),
        });
        let latency = analysis.latency.as_ref();
        Self {
            errors,
            latency: latency.map(|l| LatencyComparison::new(l, comparison(0.0, error))),
            min_samples: u64::from(analysis.min_samples),
        }
    }

    /// Takes in what both versions were asked until now. The counts are those since the versions began; where they are
    /// smaller than before, the router has begun anew.
    pub fn look(&mut self, look: &Look) {
        if let Some(errors) = &mut self.errors {
            errors.look(look.canary.counts, look.stable.counts);
        }
        if let Some(latency) = &mut self.latency {
            latency.look(&look.canary.latencies, &look.stable.latencies);
        }
    }

    /// What it comes to; none as long as it is worth waiting.
    #[must_use]
    pub fn conclusion(&self, patience: Patience) -> Option<Conclusion> {
        let mut worst = Conclusion::new(Verdict::Pass, "nothing is compared");
        let mut is_open = false;
        for (index, evidence) in self.evidence().iter().enumerate() {
            match evidence.conclusion(patience, self.min_samples) {
                Some(found) if found.verdict == Verdict::Fail => return Some(found),
                Some(first) if index == 0 => worst = first,
                Some(other) => worst = worst.or_worse(other),
                None => is_open = true,
            }
        }
        (!is_open).then_some(worst)
    }

    /// What the conclusion rests on: errors first, then latencies, as far as they are compared.
    #[must_use]
    pub fn evidence(&self) -> Vec<Evidence> {
        let errors = self.errors.as_ref().map(ErrorComparison::evidence);
        let latency = self.latency.as_ref().map(LatencyComparison::evidence);
        errors.into_iter().chain(latency).collect()
    }
}

/// The share of the bound on false aborts that an attempt has: most of it the first, and half of what is left each after
/// it. They sum up to 1, and by the union bound no number of take-overs aborts more good versions than was said, however
/// the attempts depend on each other.
fn share_of(attempt: u32) -> f64 {
    match attempt {
        0 | 1 => FIRST_ATTEMPT,
        // From the fiftieth on, the rest is as good as nothing, but more than nothing.
        more => (1.0 - FIRST_ATTEMPT) * 0.5_f64.powi(more.min(50) as i32 - 1),
    }
}

/// Costs the first attempt a fiftieth of its requests.
const FIRST_ATTEMPT: f64 = 0.9;

/// Failed requests, look by look.
#[derive(Debug, Clone, PartialEq)]
struct ErrorComparison {
    comparison: Comparison,
    /// Canary and stable, up to where they were compared.
    seen: (Counts, Counts),
}

impl ErrorComparison {
    fn look(&mut self, canary: Counts, stable: Counts) {
        let block = Block {
            canary: canary.since(self.seen.0),
            stable: stable.since(self.seen.1),
        };
        // Where one had no requests there is nothing to compare with yet.
        if block.canary.requests > 0 && block.stable.requests > 0 {
            self.comparison.play(&block);
            self.seen = (canary, stable);
        }
    }

    fn evidence(&self) -> Evidence {
        Evidence::of(&self.comparison, Measure::Errors)
    }
}

impl Counts {
    /// So many requests, of which so many failed.
    #[must_use]
    pub fn new(requests: u64, failures: u64) -> Self {
        Self { requests, failures }
    }

    /// The share that failed; 0 of none.
    #[must_use]
    pub fn rate(self) -> f64 {
        self.failures as f64 / self.requests.max(1) as f64
    }

    /// What was added since an earlier count; all of it where counting began anew in between.
    fn since(self, earlier: Self) -> Self {
        let requests = self.requests.checked_sub(earlier.requests);
        let failures = self.failures.checked_sub(earlier.failures);
        let added = match (requests, failures) {
            (Some(requests), Some(failures)) => Self { requests, failures },
            _ => self,
        };
        Self {
            failures: added.failures.min(added.requests),
            ..added
        }
    }
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.requests += other.requests;
        self.failures += other.failures;
    }
}

#[cfg(test)]
mod tests;
