//! A rollout on its way forward.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use super::decide::{Decision, Next, Observed, Sizes, Split, Terms, share};
use super::progress::Progress;
use super::replicas::{Leeway, carried, exact, split, still_needed, toward};
use super::steps::{OnFailure, Step};
use crate::analysis::verdict::Verdict;
use crate::spec::{Batch, Percent, TimeSpan};

/// How many more replicas there may be while a canary shifts traffic by the numbers of replicas.
const SURGE: Batch = Batch::Share(Percent::of(25));
/// How far a weight that was read back may be from the one that was set: routers measure in whole percent.
const COARSE: u32 = 10_000;

pub(super) fn decide(
    progress: &Progress,
    observed: &Observed,
    terms: &Terms,
    now: Timestamp,
) -> Decision {
    let forward = Forward {
        progress,
        observed,
        terms,
        split: Split::of(progress, terms),
        now,
    };
    let weight = forward.weight();
    Decision {
        sizes: forward.sizes(),
        weight,
        preview: forward.has_preview(),
        next: forward.next(),
    }
}

struct Forward<'a> {
    progress: &'a Progress,
    observed: &'a Observed,
    terms: &'a Terms,
    split: Split,
    now: Timestamp,
}

/// The weight.
impl Forward<'_> {
    /// The share that this step is about. While somebody lets it wait, none that was not there before.
    fn goal(&self) -> Percent {
        let (plan, index) = (&self.progress.plan, self.progress.index);
        let goal = plan.weight_at(index);
        if self.progress.paused.is_none() {
            return goal;
        }
        goal.min(plan.weight_before(index).max(self.observed.weight))
    }

    /// A share is raised only when the ready replicas carry it.
    fn weight(&self) -> Percent {
        let (goal, seen) = (self.goal(), self.observed.weight);
        let ready = self.observed.candidate.ready;
        let carries = carried(ready, self.terms.whole());
        if ready == 0 {
            return Percent::ZERO;
        }
        let stays = seen == Percent::ALL && goal == Percent::ALL;
        match self.split {
            Split::Replicas => share(self.observed.candidate, self.observed.stable),
            _ if carries >= goal => goal,
            // Some of the new set serve on while others come back: the traffic of two versions is never mixed, and none
            // goes to a set that is being removed.
            Split::AllAtOnce if stays => seen,
            Split::AllAtOnce => Percent::ZERO,
            Split::Weights if stays && self.progress.step() == Some(Step::Retire) => seen,
            Split::Weights => goal.min(seen).min(carries),
        }
    }

    /// Whether the traffic and the replicas are what this step, or the one before that moved them, is about.
    fn is_there(&self) -> bool {
        let goal = self.progress.plan.weight_at(self.progress.index);
        let (candidate, stable) = (self.observed.candidate, self.observed.stable);
        let wanted = self.goal_sizes(goal);
        let is_seen = match self.split {
            Split::Replicas => {
                let is_all = goal != Percent::ALL || self.observed.weight == Percent::ALL;
                stable.total <= wanted.stable && is_all
            }
            Split::Weights | Split::AllAtOnce => is_weight(goal, self.observed.weight),
        };
        candidate.ready >= wanted.candidate && is_seen
    }
}

/// The replicas.
impl Forward<'_> {
    /// The replicas that a share asks for in the end.
    fn goal_sizes(&self, weight: Percent) -> Sizes {
        let (whole, stable) = (self.terms.whole(), self.terms.stable_replicas);
        let has_begun = self.progress.plan.mover(self.progress.index).is_some();
        let candidate = match self.split {
            Split::AllAtOnce => whole,
            _ if !has_begun => 0,
            Split::Weights => exact(whole, weight),
            Split::Replicas if weight == Percent::ALL => {
                return Sizes {
                    stable: 0,
                    candidate: whole,
                };
            }
            // The larger of two sizes, so that neither version has to do with less than it asks for.
            Split::Replicas => return split(whole.max(stable), weight, true),
        };
        Sizes { stable, candidate }
    }

    fn sizes(&self) -> Sizes {
        let (progress, seen) = (self.progress, self.observed);
        let goal = self.goal_sizes(progress.plan.weight_at(progress.index));
        let sizes = match self.split {
            Split::Replicas => match progress.plan.mover(progress.index) {
                Some(mover) => return self.sizes_by_replicas(goal, mover),
                None => goal,
            },
            _ if progress.step() == Some(Step::Retire) => Sizes {
                stable: self.retiring(),
                ..goal
            },
            _ => goal,
        };
        // Back at an earlier step there may be more of the candidate than it asks for: those that carry traffic, or might
        // have to, stay.
        let carrying = match seen.weight {
            Percent::ZERO => 0,
            weight => exact(self.terms.whole(), weight),
        };
        let is_stable_whole = seen.stable.ready >= self.terms.stable_replicas;
        let spare = if is_stable_whole {
            0
        } else {
            seen.candidate.total
        };
        Sizes {
            candidate: sizes.candidate.max(carrying).max(spare),
            ..sizes
        }
    }

    fn sizes_by_replicas(&self, goal: Sizes, mover: usize) -> Sizes {
        let (whole, seen) = (self.terms.whole(), self.observed);
        let (surge, unavailable) = match self.progress.plan.steps[mover] {
            Step::Roll {
                max_surge,
                max_unavailable,
            } => (max_surge.of(whole), max_unavailable.of(whole)),
            _ => (SURGE.of(whole), 0),
        };
        let base = whole.max(self.terms.stable_replicas);
        let (stable, candidate) = (seen.stable.ready, seen.candidate.ready);
        let keep = if goal.stable == 0 {
            Sizes {
                stable: still_needed(self.terms.stable_replicas, candidate, whole, unavailable),
                candidate: whole,
            }
        } else {
            Sizes {
                stable: still_needed(base, candidate, base, unavailable),
                candidate: still_needed(base, stable, base, unavailable),
            }
        };
        // Neither more nor fewer would never end.
        let surge = if unavailable == 0 {
            surge.max(1)
        } else {
            surge
        };
        let most = base.saturating_add(surge);
        if self.progress.paused.is_some() && mover == self.progress.index {
            // As it is; but replicas that vanished come back.
            let room = most.saturating_sub(seen.candidate.total);
            return Sizes {
                stable: seen.stable.total.max(keep.stable.min(room)),
                candidate: seen.candidate.total,
            };
        }
        toward(goal, seen.stable, seen.candidate, Leeway { most, keep })
    }

    /// How much of the old set stays while it is to go: nothing, once all the traffic is known to be with a new set that
    /// is ready to the last replica, and no request is under way at the old one.
    fn retiring(&self) -> u32 {
        let seen = self.observed;
        if seen.weight != Percent::ALL || seen.candidate.ready == 0 {
            return self.terms.stable_replicas;
        }
        let is_overdue = self.left(self.terms.drain).is_zero();
        let is_ready = seen.candidate.ready >= self.terms.whole();
        if is_ready && (seen.stable.is_idle || is_overdue) {
            0
        } else {
            seen.stable.total
        }
    }

    fn has_preview(&self) -> bool {
        let steps = &self.progress.plan.steps;
        let switch = steps.iter().position(|s| *s == Step::Switch);
        steps.contains(&Step::Preview) && switch.is_some_and(|s| self.progress.index <= s)
    }
}

/// What follows.
impl Forward<'_> {
    fn next(&self) -> Next {
        if let Some(reason) = self.failure() {
            return self.fail(reason);
        }
        if let Some(paused) = &self.progress.paused {
            return stay(format!("paused: {}", paused.reason), None);
        }
        match self.at_step() {
            Next::Stay { why, .. } if self.until_deadline().is_zero() => {
                self.fail(format!("no progress within {}: {why}", self.terms.deadline))
            }
            next => next,
        }
    }

    fn fail(&self, reason: String) -> Next {
        match (self.progress.plan.on_failure, &self.progress.paused) {
            (OnFailure::Rollback, _) => Next::Abort { reason },
            (OnFailure::Hold, None) => Next::Pause { reason },
            (OnFailure::Hold, Some(_)) => stay(format!("held: {reason}"), None),
        }
    }

    /// What follows if nothing is wrong.
    fn at_step(&self) -> Next {
        let (index, plan) = (self.progress.index, &self.progress.plan);
        if self.progress.is_hurried && index < plan.last_mover() {
            return Next::Enter(plan.last_mover());
        }
        let Some(step) = self.progress.step() else {
            return Next::Complete;
        };
        // A share that did not stay is brought back first; the time in which it is watched begins anew. What a person
        // has let go on does not wait for that.
        let is_watched = step.waits() && !self.progress.is_released();
        let needs_it = is_watched || step == Step::Retire;
        if let Some(mover) = plan
            .mover(index)
            .filter(|_| needs_it && !self.has_kept_its_weight())
        {
            return Next::Enter(mover);
        }
        match step {
            Step::BringUp | Step::Roll { .. } | Step::Weight(_) | Step::Preview | Step::Switch => {
                self.after(self.is_there(), || self.about_replicas())
            }
            Step::Bake(time) | Step::Monitor(time) => self.watched(time, plan.is_analysed),
            Step::Analyse | Step::Validate => self.watched(TimeSpan::from_secs(0), true),
            Step::Pause if self.progress.is_released() => self.advance(),
            Step::Pause => Next::Pause {
                reason: format!("{} waits for a person", plan.name_of(index)),
            },
            Step::Retire => {
                let is_gone = self.observed.stable.total == 0;
                self.after(is_gone && self.is_there(), || self.about_the_old())
            }
            Step::KeepOld(_) => Next::Complete,
        }
    }

    /// Why the rollout should not go on.
    fn failure(&self) -> Option<String> {
        if let Some(reason) = &self.observed.failed {
            return Some(reason.clone());
        }
        let verdict = self.progress.verdict.as_ref();
        if let Some(bad) = verdict.filter(|j| j.verdict.aborts() && !self.progress.is_hurried) {
            let about = self.progress.plan.name_of(bad.index);
            return Some(match bad.verdict {
                Verdict::Error => {
                    format!("the analysis of {about} could not be done: {}", bad.words())
                }
                _ => format!("the analysis of {about} failed: {}", bad.words()),
            });
        }
        None
    }

    fn until_deadline(&self) -> Duration {
        let since = self.progress.advanced_at.max(self.observed.advanced_at);
        let patience = self.terms.patience.get();
        // A time to watch may begin anew once.
        let waits = match self.progress.plan.steps.get(self.progress.furthest) {
            Some(Step::Bake(time) | Step::Monitor(time)) => time.get() * 2 + patience,
            Some(Step::Analyse | Step::Validate) => patience,
            _ => Duration::ZERO,
        };
        remaining(since, self.terms.deadline.get() + waits, self.now)
    }

    fn has_kept_its_weight(&self) -> bool {
        match self.split {
            Split::Replicas => self.is_there(),
            Split::AllAtOnce | Split::Weights => {
                let goal = self.progress.plan.weight_at(self.progress.index);
                is_weight(goal, self.observed.weight)
            }
        }
    }

    /// What follows a time in which the new version is watched, and a verdict if one is asked for.
    fn watched(&self, time: TimeSpan, is_judged: bool) -> Next {
        let (plan, index) = (&self.progress.plan, self.progress.index);
        let name = || plan.name_of(index);
        if self.progress.is_released() {
            return self.after(self.is_there(), || self.about_replicas());
        }
        let verdict = self.progress.verdict.as_ref().filter(|_| is_judged);
        if let Some(unclear) = verdict.filter(|j| j.verdict == Verdict::Inconclusive) {
            return Next::Pause {
                reason: format!("the analysis of {} is unclear: {}", name(), unclear.words()),
            };
        }
        let left = self.left(time);
        if !left.is_zero() {
            return stay(
                format!("{} is under way", name()),
                Some(left.min(self.until_deadline())),
            );
        }
        if !is_judged || verdict.is_some_and(|j| j.verdict == Verdict::Pass) {
            return self.after(self.is_there(), || self.about_replicas());
        }
        let since = self.progress.advanced_at.max(self.progress.entered_at);
        let left = remaining(since, time.get() + self.terms.patience.get(), self.now);
        let words = verdict.map_or_else(|| "no verdict yet".to_owned(), |j| j.words());
        // There was waited for data as long as the analysis says before that was the verdict.
        let is_in_vain = verdict.is_some_and(|j| j.verdict == Verdict::NoData);
        if left.is_zero() || is_in_vain {
            return Next::Pause {
                reason: format!("the analysis of {} came to no result: {words}", name()),
            };
        }
        stay(
            format!("{} waits for its analysis: {words}", name()),
            Some(left),
        )
    }

    fn after(&self, is_done: bool, why: impl FnOnce() -> String) -> Next {
        if is_done {
            self.advance()
        } else {
            stay(why(), Some(self.until_deadline()))
        }
    }

    fn advance(&self) -> Next {
        let next = self.progress.index + 1;
        match self.progress.plan.steps.get(next) {
            None | Some(Step::KeepOld(_)) => Next::Complete,
            Some(_) => Next::Enter(next),
        }
    }

    /// How much of a time is left since this step began.
    fn left(&self, time: TimeSpan) -> Duration {
        remaining(self.progress.entered_at, time.get(), self.now)
    }

    fn about_replicas(&self) -> String {
        let plan = &self.progress.plan;
        let goal = plan.weight_at(self.progress.index);
        let (ready, wanted) = (
            self.observed.candidate.ready,
            self.goal_sizes(goal).candidate,
        );
        let name = plan.name_of(self.progress.index);
        if ready < wanted {
            format!("{name} waits for replicas: {ready} of {wanted} are ready")
        } else if self.split == Split::Replicas {
            let old = self.observed.stable.total;
            format!("{name} waits for replicas of the version before to go: {old} are left")
        } else {
            let weight = self.observed.weight;
            format!("{name} waits for the traffic: {weight} of it goes to the new version")
        }
    }

    fn about_the_old(&self) -> String {
        match self.observed.stable.total {
            0 => self.about_replicas(),
            left => format!("{left} replicas of the version before are still to go"),
        }
    }
}

fn stay(why: String, wake_after: Option<Duration>) -> Next {
    Next::Stay { why, wake_after }
}

/// Whether what was read back is what was set.
fn is_weight(set: Percent, seen: Percent) -> bool {
    let is_extreme = |p: Percent| p == Percent::ZERO || p == Percent::ALL;
    if is_extreme(set) || is_extreme(seen) {
        return set == seen;
    }
    set.parts_per_million().abs_diff(seen.parts_per_million()) <= COARSE
}

/// What is left of a time that began once.
pub(super) fn remaining(since: Timestamp, time: Duration, now: Timestamp) -> Duration {
    let time = SignedDuration::try_from(time).unwrap_or(SignedDuration::MAX);
    let left = time.saturating_sub(now.duration_since(since));
    Duration::try_from(left).unwrap_or(Duration::ZERO)
}
