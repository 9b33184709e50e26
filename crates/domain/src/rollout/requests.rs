//! What people may ask of the rollout under way. The answers are events to append, or reasons.

use jiff::Timestamp;

use super::progress::{Act, Progress};
use super::steps::Step;
use super::{Event, Rollouts};
use crate::ids::RunId;
use crate::run::{Actor, Refusal};

fn refuse<T>(why: impl Into<String>) -> Result<T, Refusal> {
    Err(Refusal { why: why.into() })
}

impl Rollouts {
    /// Somebody lets the rollout of `run` wait: its traffic stays as it is.
    ///
    /// # Errors
    /// When it is not under way, is being taken back, or waits already.
    pub fn pause(
        &self,
        run: &RunId,
        by: &Actor,
        reason: &str,
        now: Timestamp,
    ) -> Result<Event, Refusal> {
        let progress = self.goes_forward(run)?;
        match &progress.paused {
            Some(paused) => refuse(format!(
                "the rollout of run {run} is paused already: {}",
                paused.reason
            )),
            None => {
                let (by, reason) = (Some(by.clone()), reason.to_owned());
                Ok(acted(run, Act::Paused { by, reason }, now))
            }
        }
    }

    /// Somebody lets the rollout of `run` go on. Where it waited for a verdict, it looks again.
    ///
    /// # Errors
    /// When it is not under way, is being taken back, or does not wait.
    pub fn resume(&self, run: &RunId, by: &Actor, now: Timestamp) -> Result<Event, Refusal> {
        let progress = self.goes_forward(run)?;
        if progress.paused.is_none() {
            return refuse(format!(
                "the rollout of run {run} is not paused; it is at {}",
                progress.plan.name_of(progress.index)
            ));
        }
        Ok(acted(run, Act::Resumed { by: by.clone() }, now))
    }

    /// Somebody lets the rollout of `run` go on to its next step, whatever this one waits for; with `full`, to the last
    /// one. Replicas are waited for in any case.
    ///
    /// # Errors
    /// When it is not under way, is being taken back, or waits for nothing but replicas.
    pub fn promote(
        &self,
        run: &RunId,
        by: &Actor,
        full: bool,
        now: Timestamp,
    ) -> Result<Event, Refusal> {
        let progress = self.goes_forward(run)?;
        let name = progress.plan.name_of(progress.index);
        if progress.is_hurried && progress.paused.is_none() {
            return refuse(format!(
                "the rollout of run {run} goes to its end already; {name} waits for replicas"
            ));
        }
        let waits = progress.paused.is_some() || progress.step().is_some_and(Step::waits);
        if !full && !waits {
            return refuse(format!(
                "{name} of the rollout of run {run} waits for replicas and traffic, which nobody can do without; \
                 `--full` leaves out the steps after it"
            ));
        }
        let by = by.clone();
        Ok(acted(run, Act::Promoted { by, full }, now))
    }

    /// Somebody lets the rollout of `run` be taken back.
    ///
    /// # Errors
    /// When it is not under way, or is being taken back.
    pub fn abort(
        &self,
        run: &RunId,
        by: &Actor,
        reason: &str,
        now: Timestamp,
    ) -> Result<Event, Refusal> {
        self.goes_forward(run)?;
        let (by, reason) = (Some(by.clone()), reason.to_owned());
        Ok(acted(run, Act::AbortRequested { by, reason }, now))
    }

    /// Somebody lets the rollout of `run`, which has failed and is held or is being taken back, begin again.
    ///
    /// # Errors
    /// When it is not under way, or has not failed.
    pub fn retry(&self, run: &RunId, by: &Actor, now: Timestamp) -> Result<Event, Refusal> {
        let progress = self.under_way(run)?;
        if progress.abort.is_none() && !progress.is_held() {
            return refuse(format!(
                "the rollout of run {run} has not failed; it is at {}",
                progress.plan.name_of(progress.index)
            ));
        }
        Ok(acted(run, Act::Retried { by: by.clone() }, now))
    }

    fn under_way(&self, run: &RunId) -> Result<&Progress, Refusal> {
        match (&self.active, &self.progress) {
            (Some(active), Some(progress)) if active.run == *run => Ok(progress),
            (Some(active), _) if active.run != *run => refuse(format!(
                "the rollout of run {run} is not under way here; that of run {} is",
                active.run
            )),
            _ => refuse(format!(
                "no rollout of run {run} is under way here; `slipway run retry {run}` begins one that failed again"
            )),
        }
    }

    fn goes_forward(&self, run: &RunId) -> Result<&Progress, Refusal> {
        let progress = self.under_way(run)?;
        match &progress.abort {
            Some(abort) => refuse(format!(
                "the rollout of run {run} is being taken back: {}",
                abort.reason
            )),
            None => Ok(progress),
        }
    }
}

fn acted(run: &RunId, act: Act, at: Timestamp) -> Event {
    Event::Acted {
        run: run.clone(),
        act,
        at,
    }
}

#[cfg(test)]
mod tests;
