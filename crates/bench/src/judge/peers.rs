//! The ways to judge that are compared.

use anyhow::Result;
use domain::analysis::judge::{Counts, Judge, Look, Patience, Traffic};
use domain::analysis::verdict::Verdict;
use domain::spec::{Analysis, ErrorAnalysis};

use super::Block;
use super::mann_whitney::is_higher;

/// One rollout's judge.
pub(super) trait Judging {
    /// Whether the canary is aborted after this block.
    fn aborts(&mut self, block: Block) -> bool;
}

/// Slipway's default judge, with its default bound on false aborts: 1 %.
pub(super) struct Sequential {
    judge: Judge,
    canary: Counts,
    stable: Counts,
}

impl Sequential {
    pub(super) fn new(max_increase: &str) -> Result<Self> {
        let analysis = Analysis {
            errors: Some(ErrorAnalysis {
                max_increase: max_increase.parse()?,
            }),
            ..Analysis::default()
        };
        Ok(Self {
            judge: Judge::without_interval(&analysis),
            canary: Counts::default(),
            stable: Counts::default(),
        })
    }
}

impl Judging for Sequential {
    fn aborts(&mut self, block: Block) -> bool {
        self.canary += Counts::new(block.canary.0, block.canary.1);
        self.stable += Counts::new(block.stable.0, block.stable.1);
        let traffic = |counts| Traffic {
            counts,
            ..Traffic::default()
        };
        self.judge.look(&Look {
            canary: traffic(self.canary),
            stable: traffic(self.stable),
        });
        let conclusion = self.judge.conclusion(Patience::StepGoesOn);
        conclusion.is_some_and(|conclusion| conclusion.verdict == Verdict::Fail)
    }
}

/// A metric of Argo Rollouts: the canary's error rate of each minute, with a condition and a failure limit.
pub(super) struct Threshold {
    limit: f64,
    failure_limit: u32,
    failed: u32,
    minute: (u64, u64),
    looks: usize,
}

/// Looks in a minute.
const MINUTE: usize = 12;

impl Threshold {
    pub(super) fn new(limit: f64, failure_limit: u32) -> Self {
        Self {
            limit,
            failure_limit,
            failed: 0,
            minute: (0, 0),
            looks: 0,
        }
    }
}

impl Judging for Threshold {
    fn aborts(&mut self, block: Block) -> bool {
        self.looks += 1;
        self.minute.0 += block.canary.0;
        self.minute.1 += block.canary.1;
        if self.looks.is_multiple_of(MINUTE) {
            let rate = self.minute.1 as f64 / self.minute.0 as f64;
            self.failed += u32::from(rate > self.limit);
            self.minute = (0, 0);
        }
        self.failed > self.failure_limit
    }
}

/// As Kayenta judges: Mann-Whitney U on the error rates of both at each look, from 50 on.
pub(super) struct MannWhitney {
    canary: Vec<f64>,
    stable: Vec<f64>,
    every: usize,
}

/// "At least 50 pieces of time series data per metric", say Kayenta's best practices.
const LEAST_POINTS: usize = 50;

impl MannWhitney {
    /// Judges after every so many looks.
    pub(super) fn new(every: usize) -> Self {
        Self {
            canary: Vec::new(),
            stable: Vec::new(),
            every,
        }
    }
}

impl Judging for MannWhitney {
    fn aborts(&mut self, block: Block) -> bool {
        let rate = |(requests, failures): (u64, u64)| failures as f64 / requests as f64;
        self.canary.push(rate(block.canary));
        self.stable.push(rate(block.stable));
        let looks = self.canary.len();
        looks >= LEAST_POINTS
            && looks.is_multiple_of(self.every)
            && is_higher(&self.canary, &self.stable)
    }
}
