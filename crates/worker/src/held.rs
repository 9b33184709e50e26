//! The stages that this worker is doing.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use domain::ids::RunId;
use domain::stage::StageName;

use crate::work::Stop;

/// Stages by their identity, each with the way to stop it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Held {
    stages: Arc<Mutex<HashMap<String, (RunId, Stop)>>>,
}

/// Keeps a stage held until dropped.
pub(crate) struct Hold {
    held: Held,
    key: String,
}

impl Drop for Hold {
    fn drop(&mut self) {
        self.held.lock().remove(&self.key);
    }
}

/// The text that asks another worker whether it is doing an attempt.
pub(crate) fn question(run: &RunId, stage: &StageName, attempt: u32) -> String {
    format!("{run}/{stage}/{attempt}")
}

impl Held {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, (RunId, Stop)>> {
        self.stages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes an attempt; `None` if this worker is doing it already.
    pub(crate) fn take(&self, run: &RunId, stage: &StageName, attempt: u32, stop: Stop) -> Option<Hold> {
        let key = question(run, stage, attempt);
        let mut stages = self.lock();
        if stages.contains_key(&key) {
            return None;
        }
        stages.insert(key.clone(), (run.clone(), stop));
        Some(Hold { held: self.clone(), key })
    }

    /// Whether this worker is doing what `question` names.
    pub(crate) fn answers(&self, question: &[u8]) -> bool {
        std::str::from_utf8(question).is_ok_and(|key| self.lock().contains_key(key))
    }

    /// Whether this worker is doing a stage of `run`.
    pub(crate) fn has(&self, run: &RunId) -> bool {
        self.lock().values().any(|(held, _)| held == run)
    }

    /// Stops the stages of a run.
    pub(crate) fn stop(&self, run: &RunId, reason: &str) {
        for (_, stop) in self.lock().values().filter(|(held, _)| held == run) {
            stop.cancel(reason);
        }
    }

    /// Stops everything because the worker ends.
    pub(crate) fn stop_all(&self, reason: &str) {
        for (_, stop) in self.lock().values() {
            stop.shut_down(reason);
        }
    }

    /// How many stages this worker is doing.
    pub(crate) fn len(&self) -> usize {
        self.lock().len()
    }
}
