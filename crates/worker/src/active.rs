//! The runs that have not ended, kept from the events as they come.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bus::Bus;
use bus::aggregates::{Aggregate as _, Log, step};
use bus::{EventFilter, EventSubject, Followed, From, StoredEvent};
use domain::ids::{RunId, ServiceName};
use domain::run::Run;

use crate::Error;
use crate::held::Held;

/// A view of the runs that have not ended. It may be a moment behind; whoever acts on it appends optimistically.
#[derive(Clone, Default)]
pub struct ActiveRuns {
    runs: Arc<Mutex<HashMap<RunId, Arc<Run>>>>,
    caught_up: Arc<AtomicBool>,
}

impl ActiveRuns {
    /// All of them.
    #[must_use]
    pub fn all(&self) -> Vec<Arc<Run>> {
        self.lock().values().cloned().collect()
    }

    /// Those of one service.
    #[must_use]
    pub fn of(&self, service: &ServiceName) -> Vec<Arc<Run>> {
        self.lock().values().filter(|run| run.change.service == *service).cloned().collect()
    }

    /// Whether everything that had happened before the start has been seen.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.caught_up.load(Ordering::Acquire)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<RunId, Arc<Run>>> {
        self.runs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn known(&self, run: &RunId) -> Option<Run> {
        self.lock().get(run).map(|run| Run::clone(run))
    }

    fn keep(&self, run: Run) {
        let mut runs = self.lock();
        if run.state().is_ended() {
            runs.remove(&run.id);
        } else {
            runs.insert(run.id.clone(), Arc::new(run));
        }
    }
}

/// Follows the events of all runs for ever: keeps `active`, and stops what this worker holds of a cancelled run.
pub(crate) async fn follow(bus: &Bus, runs: &Log<Run>, active: &ActiveRuns, held: &Held) -> Result<(), Error> {
    let mut events = bus.events().follow(&EventFilter::Runs, From::Beginning).await?;
    loop {
        let event = match events.next().await {
            Followed::Event(event) => event,
            Followed::CaughtUp => {
                active.caught_up.store(true, Ordering::Release);
                continue;
            }
        };
        if let Some(run) = changed(runs, active, &event).await? {
            if let Some(reason) = run.stop_reason().filter(|_| held.has(&run.id)) {
                held.stop(&run.id, &reason);
            }
            active.keep(run);
        }
    }
}

/// The run after an event. A run that had ended and goes on, after a retry, is read anew.
async fn changed(runs: &Log<Run>, active: &ActiveRuns, event: &StoredEvent) -> Result<Option<Run>, Error> {
    let EventSubject::Run(id) = &event.subject else { return Ok(None) };
    let Ok(id) = id.parse::<RunId>() else { return Ok(None) };
    let known = active.known(&id);
    if known.as_ref().is_some_and(|run| run.sequence() >= event.sequence) {
        return Ok(None);
    }
    let run = step(&id, known, event.sequence, &event.payload);
    match run {
        Some(run) => Ok(Some(run)),
        None if active.is_caught_up() => Ok(runs.get(&id).await?),
        None => Ok(None),
    }
}
