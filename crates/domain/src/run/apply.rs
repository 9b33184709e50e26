//! One step of the fold: what an event makes of a run.

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};

use super::event::{Change, Created, Event};
use super::state::{Attempt, Review, Run, Stage, StageState};
use crate::ids::RunId;
use crate::stage::{Failure, Outcome, StageName};

/// Attempts at a stage before an infrastructure error is final.
pub const MAX_ATTEMPTS: u32 = 6;

/// An event that the state does not allow: a duplicate, a late one, or one that another writer made void.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{event} is not possible here: {why}")]
pub struct IllegalTransition {
    /// What was to be applied.
    pub event: &'static str,
    /// Why the state refuses it.
    pub why: String,
}

fn illegal(event: &'static str, why: impl Into<String>) -> IllegalTransition {
    IllegalTransition {
        event,
        why: why.into(),
    }
}

/// How long to wait before `attempt` begins, after the one before it broke: 2, 5, 10, 20, 40 seconds.
#[must_use]
pub fn back_off(attempt: u32) -> SignedDuration {
    SignedDuration::from_secs(match attempt {
        0 | 1 => 0,
        2 => 2,
        3 => 5,
        4 => 10,
        5 => 20,
        _ => 40,
    })
}

impl Run {
    /// Folds events, given with their sequence on the bus. Events that the state refuses are passed over: they
    /// could not have been appended by a writer that had read what came before them.
    ///
    /// Returns `None` while there is no first event.
    pub fn fold(id: &RunId, events: impl IntoIterator<Item = (u64, Event)>) -> Option<Self> {
        let mut run = None;
        for (sequence, event) in events {
            run = match run {
                None => Self::first(id, sequence, event).ok(),
                Some(run) => Some(Self::apply(run, sequence, event)),
            };
        }
        run
    }

    /// The run that its first event makes.
    ///
    /// # Errors
    /// When the event is not one that begins a run.
    pub fn first(id: &RunId, sequence: u64, event: Event) -> Result<Self, IllegalTransition> {
        match event {
            Event::Created(created) if created.run == *id => Ok(Self::created(sequence, created)),
            Event::Refused { change, reason, at } => {
                Ok(Self::refused(id, sequence, *change, reason, at))
            }
            _ => Err(illegal(
                "first event",
                "a run begins with Created or Refused",
            )),
        }
    }

    fn created(sequence: u64, created: Box<Created>) -> Self {
        let at = created.at;
        let stages = created.plan.stages.iter().map(|planned| Stage {
            name: planned.name.clone(),
            needs: planned.needs.clone(),
            state: reused(&created, &planned.name).unwrap_or(StageState::Pending),
            attempts: Vec::new(),
            forgiven: 0,
        });
        let mut run = Self {
            id: created.run.clone(),
            change: created.change.clone(),
            refused: None,
            stages: stages.collect(),
            reviews: Vec::new(),
            cancelled: None,
            order: sequence,
            last_sequence: sequence,
            created_at: at,
            updated_at: at,
            created: Some(Arc::from(created)),
        };
        run.settle(at);
        run
    }

    fn refused(id: &RunId, sequence: u64, change: Change, reason: String, at: Timestamp) -> Self {
        Self {
            id: id.clone(),
            change,
            created: None,
            refused: Some(reason),
            stages: Vec::new(),
            reviews: Vec::new(),
            cancelled: None,
            order: sequence,
            last_sequence: sequence,
            created_at: at,
            updated_at: at,
        }
    }

    /// Applies an event that follows; one that is not possible changes nothing but the sequence.
    #[must_use]
    pub fn apply(mut self, sequence: u64, event: Event) -> Self {
        if sequence <= self.last_sequence {
            return self;
        }
        if let Ok(next) = self.clone().try_apply(event) {
            self = next;
        }
        self.last_sequence = sequence;
        self
    }

    /// Applies an event that follows.
    ///
    /// # Errors
    /// When the state does not allow it.
    pub fn try_apply(mut self, event: Event) -> Result<Self, IllegalTransition> {
        let at = match event {
            Event::Created(_) | Event::Refused { .. } => {
                return Err(illegal("a first event", "the run exists"));
            }
            Event::StageStarted {
                stage,
                attempt,
                worker,
                at,
            } => {
                let stage = self.stage_mut(&stage, "StageStarted")?;
                match &stage.state {
                    StageState::Ready { attempt: ready, .. } if *ready == attempt => {}
                    other => {
                        return Err(illegal(
                            "StageStarted",
                            format!("{} is {}", stage.name, other.name()),
                        ));
                    }
                }
                stage.attempts.push(Attempt {
                    number: attempt,
                    worker: worker.clone(),
                    started_at: at,
                    ended: None,
                });
                stage.state = StageState::Running {
                    attempt,
                    worker,
                    since: at,
                };
                at
            }
            Event::StageEnded {
                stage,
                attempt,
                outcome,
                at,
            } => {
                self.end_stage(&stage, attempt, outcome, at)?;
                at
            }
            Event::Approved {
                environment,
                by,
                reason,
                at,
            } => {
                self.review(Review {
                    environment,
                    by,
                    approved: true,
                    reason,
                    at,
                })?;
                at
            }
            Event::Rejected {
                environment,
                by,
                reason,
                at,
            } => {
                self.review(Review {
                    environment,
                    by,
                    approved: false,
                    reason,
                    at,
                })?;
                at
            }
            Event::CancelRequested { by, reason, at } => {
                if self.state().is_ended() {
                    return Err(illegal("CancelRequested", "the run has ended"));
                }
                if self.cancelled.is_some() {
                    return Err(illegal("CancelRequested", "the run is being cancelled"));
                }
                self.cancelled = Some((by, reason));
                at
            }
            Event::Retried { at, .. } => {
                self.retry()?;
                at
            }
        };
        self.updated_at = self.updated_at.max(at);
        self.settle(at);
        Ok(self)
    }

    fn stage_mut(
        &mut self,
        name: &StageName,
        event: &'static str,
    ) -> Result<&mut Stage, IllegalTransition> {
        self.stages
            .iter_mut()
            .find(|s| s.name == *name)
            .ok_or_else(|| illegal(event, format!("the run has no stage {name}")))
    }

    fn end_stage(
        &mut self,
        name: &StageName,
        attempt: u32,
        outcome: Outcome,
        at: Timestamp,
    ) -> Result<(), IllegalTransition> {
        let cancelled = self.stop_reason(name).is_some();
        let stage = self.stage_mut(name, "StageEnded")?;
        match &stage.state {
            StageState::Running {
                attempt: running, ..
            } if *running == attempt => {}
            other => {
                return Err(illegal(
                    "StageEnded",
                    format!("{} is {}", stage.name, other.name()),
                ));
            }
        }
        if let Some(last) = stage.attempts.last_mut() {
            last.ended = Some((outcome.clone(), at));
        }
        stage.state = match outcome {
            Outcome::Errored {
                retryable: true, ..
            } if !cancelled && attempt - stage.forgiven < MAX_ATTEMPTS => {
                let next = attempt + 1;
                StageState::Ready {
                    attempt: next,
                    not_before: at + back_off(next - stage.forgiven),
                }
            }
            Outcome::Errored { failure, .. } if !cancelled => {
                let tried = attempt - stage.forgiven;
                let reason = if tried > 1 {
                    format!("{} (after {tried} attempts)", failure.reason)
                } else {
                    failure.reason.clone()
                };
                let failure = Box::new(Failure { reason, ..*failure });
                StageState::Ended {
                    outcome: Outcome::Errored {
                        failure,
                        retryable: false,
                    },
                    at,
                }
            }
            outcome => StageState::Ended { outcome, at },
        };
        Ok(())
    }

    fn review(&mut self, review: Review) -> Result<(), IllegalTransition> {
        let needed = self.approvals_needed(&review.environment);
        let name = StageName::Approve(review.environment.clone());
        let already = self
            .reviews
            .iter()
            .any(|r| r.approved && r.environment == review.environment && r.by == review.by);
        let given = self
            .reviews
            .iter()
            .filter(|r| r.approved && r.environment == review.environment)
            .count();
        let stage = self.stage_mut(&name, "a review")?;
        if !matches!(stage.state, StageState::WaitingForApproval { .. }) {
            return Err(illegal(
                "a review",
                format!("{name} is {}", stage.state.name()),
            ));
        }
        if review.approved && already {
            return Err(illegal(
                "Approved",
                format!("{} has approved already", review.by.0),
            ));
        }
        if !review.approved {
            let reason = if review.reason.is_empty() {
                format!("rejected by {}", review.by.0)
            } else {
                format!("rejected by {}: {}", review.by.0, review.reason)
            };
            let outcome = Outcome::Failed(Box::new(Failure::because(reason)));
            stage.state = StageState::Ended {
                outcome,
                at: review.at,
            };
        } else if given + 1 >= needed {
            let summary = if review.reason.is_empty() {
                format!("approved by {}", review.by.0)
            } else {
                format!("approved by {}: {}", review.by.0, review.reason)
            };
            let result = crate::stage::StageResult {
                summary,
                ..Default::default()
            };
            stage.state = StageState::Ended {
                outcome: Outcome::Succeeded(Box::new(result)),
                at: review.at,
            };
        }
        self.reviews.push(review);
        Ok(())
    }

    /// How many people must agree before `environment` is deployed to; at least one where the plan has the stage.
    fn approvals_needed(&self, environment: &crate::ids::EnvironmentName) -> usize {
        self.created
            .as_ref()
            .and_then(|c| c.plan.environment(environment))
            .map_or(1, |e| {
                usize::try_from(e.approvals).unwrap_or(usize::MAX).max(1)
            })
    }

    /// Begins every stopped stage anew, and what was done in an environment that was put back since. An approval that
    /// stands is not asked for again; one that was refused, or not come to, is.
    fn retry(&mut self) -> Result<(), IllegalTransition> {
        let stopped = |s: &Stage| s.state.is_stopped();
        if !self.state().is_ended() || !self.stages.iter().any(stopped) {
            return Err(illegal(
                "Retried",
                "only a failed or cancelled run can be retried",
            ));
        }
        self.cancelled = None;
        let undone = self.undone();
        let again = |s: &Stage| stopped(s) || undone.contains(&s.name);
        for stage in self.stages.iter_mut().filter(|s| again(s)) {
            stage.forgiven = stage.attempts.last().map_or(0, |a| a.number);
            stage.state = StageState::Pending;
        }
        let asked_again: Vec<_> = self
            .stages
            .iter()
            .filter(|s| matches!(s.state, StageState::Pending))
            .filter_map(|s| match &s.name {
                StageName::Approve(environment) => Some(environment.clone()),
                _ => None,
            })
            .collect();
        self.reviews
            .retain(|r| !asked_again.contains(&r.environment));
        Ok(())
    }

    /// Moves every stage that waits for others on to where the others now let it be.
    fn settle(&mut self, at: Timestamp) {
        loop {
            let moved: Vec<(usize, StageState)> = self
                .stages
                .iter()
                .enumerate()
                .filter_map(|(index, stage)| self.settled(stage, at).map(|state| (index, state)))
                .collect();
            if moved.is_empty() {
                return;
            }
            for (index, state) in moved {
                self.stages[index].state = state;
            }
        }
    }

    fn settled(&self, stage: &Stage, at: Timestamp) -> Option<StageState> {
        let cancel = |reason: String| {
            Some(StageState::Ended {
                outcome: Outcome::Cancelled { reason },
                at,
            })
        };
        let begun = matches!(
            stage.state,
            StageState::Running { .. } | StageState::Ended { .. }
        );
        if begun {
            return None;
        }
        if let StageName::Restore(environment) = &stage.name {
            return self.settled_restore(stage, environment, at);
        }
        if let Some(reason) = self.cancelled_by() {
            return cancel(reason);
        }
        if !matches!(stage.state, StageState::Pending) {
            return None;
        }
        let needs = || stage.needs.iter().filter_map(|n| self.stage(n));
        if let Some(stopped) = needs().find(|n| n.state.is_stopped()) {
            return cancel(format!(
                "not reached: {} {}",
                stopped.name,
                stopped.state.name()
            ));
        }
        if !needs().all(|n| n.state.is_passed()) {
            return None;
        }
        Some(match stage.name {
            StageName::Approve(_) => StageState::WaitingForApproval { since: at },
            _ => ready(stage, at),
        })
    }
}

/// The next attempt, as soon as somebody claims it.
pub(super) fn ready(stage: &Stage, at: Timestamp) -> StageState {
    StageState::Ready {
        attempt: stage.attempts.last().map_or(0, |a| a.number) + 1,
        not_before: at,
    }
}

/// The end that a stage has from the beginning, where an earlier run of the same commit did it. No event can let a run
/// leave out an approval, a deployment or a promotion.
fn reused(created: &Created, stage: &StageName) -> Option<StageState> {
    let reused = created
        .reused
        .iter()
        .find(|reused| reused.stage == *stage)?;
    let summary = &reused.result.summary;
    let separator = if summary.is_empty() { "" } else { ": " };
    let outcome = Outcome::Skipped {
        reason: format!("the same as in run {}{separator}{summary}", reused.from),
        result: Box::new(reused.result.clone()),
    };
    stage.follows_from_commit().then_some(StageState::Ended {
        outcome,
        at: created.at,
    })
}
