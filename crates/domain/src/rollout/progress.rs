//! How far the rollout under way has come: the fold of what its deployers and people did with it.

use jiff::{SignedDuration, Timestamp};

use super::evidence::Evidence;
use super::steps::{OnFailure, Plan, Step};
use crate::analysis::verdict::Verdict;
use crate::run::Actor;
use crate::spec::Percent;

/// How many verdicts are kept.
const JUDGEMENTS: usize = 100;

/// What a deployer or a person did with the rollout under way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// A deployer went on to a step, or back to the one that moves the traffic, because it had not stayed.
    StepEntered {
        /// Which, from 0.
        index: u32,
    },
    /// It waits for a person.
    Paused {
        /// Who wants that; nobody: the rollout itself.
        by: Option<Actor>,
        /// Why.
        reason: String,
    },
    /// A person lets it go on.
    Resumed {
        /// Who.
        by: Actor,
    },
    /// A person lets it go on to the next step, or to the last one.
    Promoted {
        /// Who.
        by: Actor,
        /// All steps, pauses and analyses are left out, but no replica is.
        full: bool,
    },
    /// It is to be taken back.
    AbortRequested {
        /// Who wants that; nobody: the rollout itself.
        by: Option<Actor>,
        /// Why.
        reason: String,
    },
    /// A person lets it begin again with its first step.
    Retried {
        /// Who.
        by: Actor,
    },
    /// The analysis came to a verdict.
    Judged {
        /// In which step.
        index: u32,
        /// Which.
        verdict: Verdict,
        /// By what.
        evidence: Vec<Evidence>,
    },
}

/// How far a rollout has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// What is to be done.
    pub plan: Plan,
    /// When it began, or a person last let it begin again.
    pub began_at: Timestamp,
    /// The step that it is at, from 0.
    pub index: usize,
    /// Since when it is at this step; later by as long as it was paused.
    pub entered_at: Timestamp,
    /// When it came further than ever before, or a person let it go on.
    pub advanced_at: Timestamp,
    /// The furthest step that it came to.
    pub furthest: usize,
    /// The most traffic that the new version has had, as far as it is certain.
    pub highest_weight: Percent,
    /// That it waits for a person.
    pub paused: Option<Paused>,
    /// A person let it go on from this step without what it waits for.
    pub released: Option<usize>,
    /// A person let it go on to the last step that moves traffic.
    pub is_hurried: bool,
    /// That it is to be taken back. Nothing but a retry changes that.
    pub abort: Option<Abort>,
    /// The verdict that counts now.
    pub verdict: Option<Judgement>,
    /// The verdicts until now, the newest last; of very many, the newest.
    pub judgements: Vec<Judgement>,
}

/// That a rollout waits for a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Paused {
    /// Who wants that; nobody: the rollout itself.
    pub by: Option<Actor>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

/// That a rollout is to be taken back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Abort {
    /// Who wants that; nobody: the rollout itself.
    pub by: Option<Actor>,
    /// Why.
    pub reason: String,
    /// Since when.
    pub at: Timestamp,
}

impl Abort {
    /// Who wanted it and why, in one line.
    #[must_use]
    pub fn words(&self) -> String {
        match &self.by {
            // Where a person gave no reason, that person is the reason already.
            Some(by) if !self.reason.starts_with("aborted by ") => {
                format!("aborted by {}: {}", by.0, self.reason)
            }
            _ => self.reason.clone(),
        }
    }
}

/// What an analysis found, and by what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judgement {
    /// In which step.
    pub index: usize,
    /// The verdict.
    pub verdict: Verdict,
    /// What it is based on.
    pub evidence: Vec<Evidence>,
    /// When.
    pub at: Timestamp,
}

impl Judgement {
    /// The evidence in one line; of several things, the first.
    #[must_use]
    pub fn words(&self) -> String {
        match self.evidence.as_slice() {
            [] => self.verdict.to_string(),
            [only] => format!("{}: {only}", self.verdict),
            [first, rest @ ..] => format!("{}: {first} (and {} more)", self.verdict, rest.len()),
        }
    }
}

impl Progress {
    /// The beginning.
    #[must_use]
    pub fn new(plan: Plan, at: Timestamp) -> Self {
        Self {
            plan,
            began_at: at,
            index: 0,
            entered_at: at,
            advanced_at: at,
            furthest: 0,
            highest_weight: Percent::ZERO,
            paused: None,
            released: None,
            is_hurried: false,
            abort: None,
            verdict: None,
            judgements: Vec::new(),
        }
    }

    /// Applies what was done; what makes no sense any more, such as a step of a rollout that is being taken back,
    /// changes nothing.
    #[must_use]
    pub fn apply(mut self, act: Act, at: Timestamp) -> Self {
        match act {
            Act::StepEntered { index } => self.enter(index as usize, at),
            Act::Paused { by, reason } => {
                if self.paused.is_none() && self.abort.is_none() {
                    self.paused = Some(Paused { by, reason, at });
                }
            }
            Act::Resumed { .. } => {
                if self.abort.is_none() && self.go_on(at) && self.step() == Some(Step::Pause) {
                    self.released = Some(self.index);
                }
            }
            Act::Promoted { full, .. } => {
                if self.abort.is_none() {
                    self.go_on(at);
                    self.is_hurried |= full;
                    self.released = Some(self.index);
                    self.advanced_at = at;
                    self.verdict = None;
                }
            }
            Act::AbortRequested { by, reason } => {
                if self.abort.is_none() {
                    self.paused = None;
                    self.abort = Some(Abort { by, reason, at });
                }
            }
            Act::Retried { .. } => {
                self = Self {
                    highest_weight: self.highest_weight,
                    judgements: self.judgements,
                    ..Self::new(self.plan, at)
                };
            }
            Act::Judged {
                index,
                verdict,
                evidence,
            } => self.judge(Judgement {
                index: index as usize,
                verdict,
                evidence,
                at,
            }),
        }
        self
    }

    fn enter(&mut self, index: usize, at: Timestamp) {
        if index >= self.plan.steps.len() || self.abort.is_some() {
            return;
        }
        if index > self.furthest {
            (self.furthest, self.advanced_at) = (index, at);
        }
        self.highest_weight = self.highest_weight.max(self.plan.weight_before(index));
        (self.index, self.entered_at) = (index, at);
        (self.released, self.verdict) = (None, None);
    }

    /// Ends a pause; whether there was one. What was found so far is looked at anew.
    fn go_on(&mut self, at: Timestamp) -> bool {
        let Some(paused) = self.paused.take() else {
            return false;
        };
        let lasted = at.duration_since(paused.at).max(SignedDuration::ZERO);
        self.entered_at = self.entered_at.saturating_add(lasted).unwrap_or(at).min(at);
        self.advanced_at = at;
        self.verdict = None;
        true
    }

    /// A bad verdict counts however late it comes: it is about the version, not about the step.
    fn judge(&mut self, judgement: Judgement) {
        if judgement.index == self.index || judgement.verdict.aborts() {
            self.verdict = Some(judgement.clone());
        }
        if self.judgements.len() == JUDGEMENTS {
            self.judgements.remove(0);
        }
        self.judgements.push(judgement);
    }

    /// The step that it is at.
    #[must_use]
    pub fn step(&self) -> Option<Step> {
        self.plan.steps.get(self.index).copied()
    }

    /// Whether it waits for a person because it failed.
    #[must_use]
    pub fn is_held(&self) -> bool {
        let by_itself = self.paused.as_ref().is_some_and(|p| p.by.is_none());
        by_itself && self.plan.on_failure == OnFailure::Hold
    }

    /// Whether a person said that this step need not wait.
    #[must_use]
    pub fn is_released(&self) -> bool {
        self.is_hurried || self.released == Some(self.index)
    }
}
