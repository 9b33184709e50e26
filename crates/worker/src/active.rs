//! The runs that have not ended, kept from the events as they come.

use std::collections::{HashMap, HashSet};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::Bus;
use bus::aggregates::{Aggregate as _, Log, step};
use bus::{EventFilter, EventSubject, Followed, From, StoredEvent};
use domain::ids::{RunId, ServiceName};
use domain::run::Run;

use crate::Error;
use crate::held::Held;

/// When to try again to read a run that could not be read.
const READ_AGAIN: Duration = Duration::from_secs(1);

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
        self.lock()
            .values()
            .filter(|run| run.change.service == *service)
            .cloned()
            .collect()
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

/// Follows the events of all runs for ever: keeps `active`, and stops what this worker should not do any more.
pub(crate) async fn follow(
    bus: &Bus,
    runs: &Log<Run>,
    active: &ActiveRuns,
    held: &Held,
) -> Result<(), Error> {
    let mut events = bus
        .events()
        .follow(&EventFilter::Runs, From::Beginning)
        .await?;
    let mut is_history = true;
    // Runs that go on though they had ended: they have to be read anew.
    let mut unread = HashSet::new();
    loop {
        let next = tokio::select! {
            next = events.next() => Some(next),
            () = tokio::time::sleep(READ_AGAIN), if !is_history && !unread.is_empty() => None,
        };
        match next {
            Some(Followed::Event(event)) => match changed(active, &event) {
                Change::Run(run) => {
                    runs.learn(&run.id, &run);
                    keep(active, held, *run);
                }
                Change::Unknown(id) => drop(unread.insert(id)),
                Change::Nothing => {}
            },
            Some(Followed::CaughtUp) => is_history = false,
            None => {}
        }
        if !is_history {
            read(runs, active, held, &mut unread).await;
            if unread.is_empty() {
                active.caught_up.store(true, Ordering::Release);
            }
        }
    }
}

fn keep(active: &ActiveRuns, held: &Held, run: Run) {
    held.heed(&run);
    active.keep(run);
}

/// What an event means for the view.
enum Change {
    /// The run as it is after the event.
    Run(Box<Run>),
    /// A run goes on that is not in the view.
    Unknown(RunId),
    /// Nothing.
    Nothing,
}

fn changed(active: &ActiveRuns, event: &StoredEvent) -> Change {
    let EventSubject::Run(id) = &event.subject else {
        return Change::Nothing;
    };
    let Ok(id) = id.parse::<RunId>() else {
        return Change::Nothing;
    };
    let known = active.known(&id);
    if known
        .as_ref()
        .is_some_and(|run| run.sequence() >= event.sequence)
    {
        return Change::Nothing;
    }
    match step(&id, known, event.sequence, &event.payload) {
        Some(run) => Change::Run(Box::new(run)),
        None => Change::Unknown(id),
    }
}

/// Reads runs; those that can't be read now stay in `unread`.
async fn read(runs: &Log<Run>, active: &ActiveRuns, held: &Held, unread: &mut HashSet<RunId>) {
    for id in std::mem::take(unread) {
        match runs.get(&id).await {
            Ok(Some(run)) => keep(active, held, run),
            Ok(None) => {}
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::debug!(error, run.id = %id, "a run is read later");
                unread.insert(id);
            }
        }
    }
}
