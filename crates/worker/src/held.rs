//! The stages that this worker is doing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use domain::ids::RunId;
use domain::run::Run;
use domain::stage::StageName;

use crate::work::Stop;

/// Stages by their identity, each with the way to stop it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    stages: Arc<Mutex<Stages>>,
}

#[derive(Debug, Default)]
struct Stages {
    held: HashMap<String, Holding>,
    /// The worker ends: nothing is taken any more.
    closed: bool,
}

#[derive(Debug)]
struct Holding {
    run: RunId,
    stage: StageName,
    attempt: u32,
    /// Sequence of the run's last event when the attempt was taken: what happened before is no reason to stop it.
    since: u64,
    stop: Stop,
}

/// Keeps a stage held until dropped.
pub(crate) struct Hold {
    held: Held,
    key: String,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().held.remove(&self.key);
    }
}

/// What came of asking for a stage.
pub(crate) enum Taken {
    /// It is held.
    Hold(Hold),
    /// This worker is doing it already.
    Already,
    /// This worker begins nothing any more.
    Closed,
}

/// The text that asks another worker whether it is doing an attempt.
pub(crate) fn question(run: &RunId, stage: &StageName, attempt: u32) -> String {
    format!("{run}/{stage}/{attempt}")
}

impl Held {
    fn lock(&self) -> MutexGuard<'_, Stages> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an attempt, before it is claimed. `since` is the sequence of the run's last event.
    pub(crate) fn take(
        &self,
        run: &RunId,
        stage: &StageName,
        attempt: u32,
        since: u64,
        stop: Stop,
    ) -> Taken {
        let key = question(run, stage, attempt);
        let mut stages = self.lock();
        if stages.closed {
            return Taken::Closed;
        }
        if stages.held.contains_key(&key) {
            return Taken::Already;
        }
        let holding = Holding {
            run: run.clone(),
            stage: stage.clone(),
            attempt,
            since,
            stop,
        };
        stages.held.insert(key.clone(), holding);
        Taken::Hold(Hold {
            held: self.clone(),
            key,
        })
    }

    /// Whether this worker is doing what `question` names.
    pub(crate) fn answers(&self, question: &[u8]) -> bool {
        std::str::from_utf8(question).is_ok_and(|key| self.lock().held.contains_key(key))
    }

    /// Stops what `run` says should stop: when it is cancelled, all but what puts an environment back; and an attempt
    /// that another worker ended because it took this one for gone.
    pub(crate) fn heed(&self, run: &Run) {
        let stages = self.lock();
        let news = |holding: &&Holding| holding.run == run.id && holding.since < run.last_sequence;
        for holding in stages.held.values().filter(news) {
            if let Some(reason) = run.stop_reason(&holding.stage) {
                holding.stop.cancel(&reason);
            } else if is_over(run, &holding.stage, holding.attempt) {
                holding.stop.shut_down("another worker ended this attempt");
            }
        }
    }

    /// Stops everything because the worker ends, and lets nothing begin any more.
    pub(crate) fn close(&self, reason: &str) {
        let mut stages = self.lock();
        stages.closed = true;
        for holding in stages.held.values() {
            holding.stop.shut_down(reason);
        }
    }

    /// How many stages this worker is doing.
    pub(crate) fn len(&self) -> usize {
        self.lock().held.len()
    }
}

/// Whether an attempt has an end. One that has not begun, as far as `run` knows, has none.
fn is_over(run: &Run, stage: &StageName, attempt: u32) -> bool {
    let attempts = run
        .stage(stage)
        .map(|s| s.attempts.as_slice())
        .unwrap_or_default();
    attempts
        .iter()
        .any(|a| a.number == attempt && a.ended.is_some())
}
