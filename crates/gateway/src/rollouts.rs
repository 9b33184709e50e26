//! Every rollout of one service in one environment, also those that have ended.
//!
//! [`Rollouts`] keeps what decisions need. This is the fold of the same events that keeps what people want to see
//! afterwards, too: steps, requests, verdicts, the end.

use std::sync::Arc;

use bus::EventSubject;
use bus::aggregates::Aggregate;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::rollout::{Act, End, Event, Placement, Progress, Rollouts};
use jiff::Timestamp;

/// How many rollouts of one service in one environment are kept in memory, the newest.
const KEPT: usize = 100;

/// See the module.
#[derive(Debug, Clone, Default)]
pub struct History {
    /// What decisions need.
    pub rollouts: Rollouts,
    /// The rollouts in the order in which they began.
    pub records: Vec<Arc<Record>>,
}

/// One rollout.
#[derive(Debug, Clone)]
pub struct Record {
    /// Sequence of the event that it began with: no other rollout has the same.
    pub sequence: u64,
    /// What it brings in.
    pub placement: Placement,
    /// The version that ran before.
    pub before: Option<String>,
    /// How far it has come, or had come when it ended.
    pub progress: Progress,
    /// The steps on the way to where it is, with when it came to each.
    pub entered: Vec<(usize, Timestamp)>,
    /// What people and the rollout itself asked for.
    pub requests: Vec<(Act, Timestamp)>,
    /// How it ended.
    pub ended: Option<(End, Timestamp)>,
    /// It is complete, and is being taken out again.
    pub is_restoring: bool,
}

impl History {
    /// Applies an event.
    #[must_use]
    pub fn apply(mut self, sequence: u64, event: Event) -> Self {
        if sequence <= self.rollouts.last_sequence {
            return self;
        }
        let was_under_way = self.rollouts.active.is_some();
        let before = self.rollouts.current().map(|p| p.placement.version.clone());
        self.rollouts = self.rollouts.apply(sequence, event.clone());
        match event {
            Event::Started { placement, .. } => {
                self.start(sequence, placement, before, was_under_way);
            }
            Event::Acted { run, act, at } => self.act(&run, act, at),
            Event::RestoreStarted { run, .. } => {
                let began = self
                    .rollouts
                    .restoring
                    .as_ref()
                    .is_some_and(|p| p.run == run);
                if let Some(record) = self.completed_by(&run).filter(|_| began) {
                    record.is_restoring = true;
                }
            }
            Event::Ended { run, end, at } => self.end(&run, end, at),
        }
        self
    }

    fn start(&mut self, sequence: u64, placement: Placement, before: Option<String>, again: bool) {
        let Some(progress) = &self.rollouts.progress else {
            return;
        };
        if self.rollouts.active.as_ref() != Some(&placement) {
            return;
        }
        let record = Record {
            sequence,
            before,
            progress: progress.clone(),
            entered: vec![(0, placement.at)],
            requests: Vec::new(),
            ended: None,
            is_restoring: false,
            placement,
        };
        // A deployer that did not know that it had begun already.
        if again {
            self.records.pop();
        }
        self.records.push(Arc::new(record));
    }

    fn act(&mut self, run: &RunId, act: Act, at: Timestamp) {
        let (Some(progress), Some(record)) = (&self.rollouts.progress, self.records.last_mut())
        else {
            return;
        };
        if record.ended.is_some() || record.placement.run != *run {
            return;
        }
        let record = Arc::make_mut(record);
        record.progress = progress.clone();
        match act {
            // Of one that is being taken back, no step is entered any more.
            Act::StepEntered { .. } if progress.entered_at != at => {}
            Act::StepEntered { .. } => {
                let index = progress.index;
                record.entered.retain(|(step, _)| *step < index);
                record.entered.push((index, at));
            }
            Act::Judged { .. } => {}
            act => {
                if matches!(act, Act::Retried { .. }) {
                    record.entered = vec![(0, at)];
                }
                record.requests.push((act, at));
            }
        }
    }

    fn end(&mut self, run: &RunId, end: End, at: Timestamp) {
        if matches!(end, End::Restored { .. }) {
            if let Some(record) = self.completed_by(run).filter(|record| record.is_restoring) {
                record.is_restoring = false;
                record.ended = Some((end, at));
            }
        } else if let Some(record) = self.records.last_mut()
            && record.ended.is_none()
            && record.placement.run == *run
        {
            Arc::make_mut(record).ended = Some((end, at));
        }
    }

    fn completed_by(&mut self, run: &RunId) -> Option<&mut Record> {
        let is_it = |record: &&mut Arc<Record>| {
            let is_complete = matches!(record.ended, Some((End::Completed { .. }, _)));
            record.placement.run == *run && !record.placement.is_rollback && is_complete
        };
        self.records.iter_mut().rev().find(is_it).map(Arc::make_mut)
    }

    /// The newest rollout; of a run, if one is named.
    #[must_use]
    pub fn newest(&self, run: Option<&RunId>) -> Option<&Arc<Record>> {
        let wanted = |record: &&Arc<Record>| run.is_none_or(|run| record.placement.run == *run);
        self.records.iter().rev().find(wanted)
    }
}

impl Aggregate for History {
    type Key = (EnvironmentName, ServiceName);
    type Event = Event;

    fn subject(key: &Self::Key) -> EventSubject {
        Rollouts::subject(key)
    }

    fn step(_: &Self::Key, state: Option<Self>, sequence: u64, event: Event) -> Option<Self> {
        let mut state = state.unwrap_or_default().apply(sequence, event);
        let old = state.records.len().saturating_sub(KEPT);
        state.records.drain(..old);
        Some(state)
    }

    fn skip(mut self, sequence: u64) -> Self {
        self.rollouts = self.rollouts.skip(sequence);
        self
    }

    fn sequence(&self) -> u64 {
        self.rollouts.sequence()
    }
}

impl Record {
    /// Whether nothing happens to it any more, unless somebody starts something.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended.is_some() && !self.is_restoring
    }
}

#[cfg(test)]
mod tests;
