//! Every run, release and rollout in memory, kept from the events as they come.
//!
//! It answers lists, and what concerns several runs at once. It may be a moment behind: whoever acts on it appends
//! optimistically, and whoever has just appended can wait for it ([`Projection::reaches`]).

mod index;

use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use bus::aggregates::{Aggregate, step};
use bus::{Bus, EventFilter, EventSubject, Followed, From, StoredEvent};
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::release::Releases;
use domain::run::{Change, Run};
use jiff::Timestamp;
use proto::event::WireEvent as _;
use tokio::sync::watch;

use crate::Error;
use crate::rollouts::History;
use index::Index;
pub use index::{Page, RunFilter};

/// How long a question waits until all earlier events have been read.
const CATCH_UP: Duration = Duration::from_secs(5);
/// How long to wait for an event that was just appended.
const REACH: Duration = Duration::from_secs(2);

/// See the module. Cheap to clone.
#[derive(Clone)]
pub struct Projection {
    index: Arc<RwLock<Index>>,
    progress: Arc<watch::Sender<Progress>>,
}

/// How far the projection has come.
#[derive(Debug, Clone, Copy, Default)]
struct Progress {
    sequence: u64,
    caught_up: bool,
}

impl Default for Projection {
    fn default() -> Self {
        Self {
            index: Arc::default(),
            progress: Arc::new(watch::Sender::new(Progress::default())),
        }
    }
}

impl Projection {
    /// Follows all events, from the first one there is, for ever.
    ///
    /// # Errors
    /// When the bus is not usable.
    pub async fn follow(&self, bus: &Bus) -> Result<(), Error> {
        let mut events = bus
            .events()
            .follow(&EventFilter::All, From::Beginning)
            .await?;
        loop {
            match events.next().await {
                Followed::Event(event) => {
                    self.take(&event);
                    self.progress
                        .send_modify(|progress| progress.sequence = event.sequence);
                }
                Followed::CaughtUp => {
                    tracing::info!("all earlier events have been read");
                    self.progress
                        .send_modify(|progress| progress.caught_up = true);
                }
            }
        }
    }

    fn take(&self, event: &StoredEvent) {
        let mut index = self.index.write().unwrap_or_else(PoisonError::into_inner);
        let taken = match &event.subject {
            EventSubject::Run(run) => run.parse().map(|id| {
                if let Some(run) = fold(&id, index.take_run(&id), event) {
                    index.put_run(run);
                }
            }),
            EventSubject::Release(service) => service.parse().map(|service| {
                if let Ok(event) = domain::release::Event::decode(&event.payload) {
                    index.expect_run(&event);
                }
                if let Some(releases) = fold(&service, index.releases.remove(&service), event) {
                    index.releases.insert(service, releases);
                }
            }),
            EventSubject::Rollout {
                environment,
                service,
            } => environment
                .parse()
                .and_then(|e| Ok((e, service.parse()?)))
                .map(|key: (EnvironmentName, ServiceName)| {
                    if let Some(rollouts) = fold(&key, index.rollouts.remove(&key), event) {
                        index.rollouts.insert(key, rollouts);
                    }
                }),
        };
        if let Err(error) = taken {
            tracing::warn!(
                event.sequence = event.sequence,
                "passed over an event with a strange subject: {error}"
            );
        }
    }

    /// Whether everything that had happened before the start has been read.
    #[must_use]
    pub fn is_caught_up(&self) -> bool {
        self.progress.borrow().caught_up
    }

    /// Waits until everything that had happened before the start has been read, however long that takes.
    pub async fn ready(&self) {
        let mut progress = self.progress.subscribe();
        if progress
            .wait_for(|progress| progress.caught_up)
            .await
            .is_err()
        {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until everything that had happened before the start has been read, a few seconds at most.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when it takes longer.
    pub async fn caught_up(&self) -> Result<(), Error> {
        tokio::time::timeout(CATCH_UP, self.ready()).await.map_err(|_| {
            let why = "the gateway has just started and still reads what happened before; try again in a moment";
            Error::Unavailable { why: why.to_owned() }
        })
    }

    /// Waits until the event with that sequence has been read; not long, since nothing depends on it but what people
    /// see next.
    pub async fn reaches(&self, sequence: u64) {
        let mut progress = self.progress.subscribe();
        let reached = progress.wait_for(|progress| progress.sequence >= sequence);
        if tokio::time::timeout(REACH, reached).await.is_err() {
            tracing::debug!(event.sequence = sequence, "the projection is behind");
        }
    }

    /// Tells of changes; what has changed is to be looked up.
    #[must_use]
    pub fn changes(&self) -> Changes {
        Changes {
            progress: self.progress.subscribe(),
        }
    }

    /// A run.
    #[must_use]
    pub fn run(&self, id: &RunId) -> Option<Arc<Run>> {
        self.read(|index| index.run(id))
    }

    /// The newest run, but for `not`, of the same service, repository and commit that goes all the way.
    #[must_use]
    pub fn newest_run_of(&self, change: &Change, not: &RunId) -> Option<Arc<Run>> {
        self.read(|index| index.newest_run_of(change, not))
    }

    /// When a run that has not appeared yet reserved its version.
    #[must_use]
    pub fn expected_since(&self, id: &RunId) -> Option<Timestamp> {
        self.read(|index| index.expected_since(id))
    }

    /// The runs that have not ended, in no order.
    #[must_use]
    pub fn active_runs(&self) -> Vec<Arc<Run>> {
        self.read(|index| index.active_runs())
    }

    /// A page of runs, the newest first.
    ///
    /// # Errors
    /// When the token is none of ours.
    pub fn runs(
        &self,
        filter: &RunFilter,
        page: &Page,
    ) -> Result<(Vec<Arc<Run>>, Option<String>), Error> {
        self.read(|index| index.runs(filter, page))
    }

    /// The releases of all services, or of one, by name.
    #[must_use]
    pub fn releases(&self, service: Option<&ServiceName>) -> Vec<(ServiceName, Arc<Releases>)> {
        let wanted = |name: &ServiceName| service.is_none_or(|service| service == name);
        self.read(|index| {
            let all = index.releases.iter().filter(|(name, _)| wanted(name));
            all.map(|(name, releases)| (name.clone(), Arc::clone(releases)))
                .collect()
        })
    }

    /// The rollouts of every service in every environment, by name.
    #[must_use]
    pub fn rollouts(&self) -> Vec<((EnvironmentName, ServiceName), Arc<History>)> {
        self.read(|index| {
            index
                .rollouts
                .iter()
                .map(|(key, rollouts)| (key.clone(), Arc::clone(rollouts)))
                .collect()
        })
    }

    /// The rollouts of one service in one environment.
    #[must_use]
    pub fn rollouts_of(&self, key: &(EnvironmentName, ServiceName)) -> Option<Arc<History>> {
        self.read(|index| index.rollouts.get(key).cloned())
    }

    fn read<T>(&self, question: impl FnOnce(&Index) -> T) -> T {
        question(&self.index.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// See [`Projection::changes`].
pub struct Changes {
    progress: watch::Receiver<Progress>,
}

impl Changes {
    /// Returns when something has happened since the last call. Dropping the future loses nothing.
    pub async fn next(&mut self) {
        if self.progress.changed().await.is_err() {
            // The projection is gone, and with it everything that could happen.
            std::future::pending::<()>().await;
        }
    }
}

fn fold<A: Aggregate>(key: &A::Key, state: Option<Arc<A>>, event: &StoredEvent) -> Option<Arc<A>> {
    step(
        key,
        state.map(Arc::unwrap_or_clone),
        event.sequence,
        &event.payload,
    )
    .map(Arc::new)
}
