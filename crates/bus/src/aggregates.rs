//! The three aggregates on the event store: load and fold, decide, append optimistically.

use std::collections::HashMap;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::release::Releases;
use domain::rollout::Rollouts;
use domain::run::Run;
use proto::event::WireEvent;

use crate::error::{AppendError, Error};
use crate::events::{EventStore, Followed, Follower, From};
use crate::subjects::{EventFilter, EventSubject};

/// A state that is the fold of the events under one subject.
pub trait Aggregate: Clone + Send + Sync + 'static {
    /// What tells one from the other.
    type Key: Clone + Eq + Hash + Send + Sync + std::fmt::Debug;
    /// What happens to it.
    type Event: WireEvent + Send + Sync;

    /// Where its events are.
    fn subject(key: &Self::Key) -> EventSubject;
    /// One step of the fold; `None` while there is nothing.
    fn step(
        key: &Self::Key,
        state: Option<Self>,
        sequence: u64,
        event: Self::Event,
    ) -> Option<Self>;
    /// Passes over an event that this version of Slipway doesn't know.
    fn skip(self, sequence: u64) -> Self;
    /// Sequence of the last event in it.
    fn sequence(&self) -> u64;
}

impl Aggregate for Run {
    type Key = RunId;
    type Event = domain::run::Event;

    fn subject(run: &RunId) -> EventSubject {
        EventSubject::Run(run.to_string())
    }

    fn step(run: &RunId, state: Option<Self>, sequence: u64, event: Self::Event) -> Option<Self> {
        match state {
            Some(state) => Some(state.apply(sequence, event)),
            None => Self::first(run, sequence, event).ok(),
        }
    }

    fn skip(mut self, sequence: u64) -> Self {
        self.last_sequence = self.last_sequence.max(sequence);
        self
    }

    fn sequence(&self) -> u64 {
        self.last_sequence
    }
}

impl Aggregate for Releases {
    type Key = ServiceName;
    type Event = domain::release::Event;

    fn subject(service: &ServiceName) -> EventSubject {
        EventSubject::Release(service.to_string())
    }

    fn step(
        _: &ServiceName,
        state: Option<Self>,
        sequence: u64,
        event: Self::Event,
    ) -> Option<Self> {
        Some(state.unwrap_or_default().apply(sequence, event))
    }

    fn skip(mut self, sequence: u64) -> Self {
        self.last_sequence = self.last_sequence.max(sequence);
        self
    }

    fn sequence(&self) -> u64 {
        self.last_sequence
    }
}

impl Aggregate for Rollouts {
    type Key = (EnvironmentName, ServiceName);
    type Event = domain::rollout::Event;

    fn subject((environment, service): &Self::Key) -> EventSubject {
        EventSubject::Rollout {
            environment: environment.to_string(),
            service: service.to_string(),
        }
    }

    fn step(_: &Self::Key, state: Option<Self>, sequence: u64, event: Self::Event) -> Option<Self> {
        Some(state.unwrap_or_default().apply(sequence, event))
    }

    fn skip(mut self, sequence: u64) -> Self {
        self.last_sequence = self.last_sequence.max(sequence);
        self
    }

    fn sequence(&self) -> u64 {
        self.last_sequence
    }
}

/// States kept in memory between reads, so that a read costs one question: what came since.
const CACHED: usize = 2_000;
/// Lost races in a row after which an update gives up.
const RACES: usize = 50;

/// One kind of aggregate on the event store.
pub struct Log<A: Aggregate> {
    store: EventStore,
    cache: Arc<Mutex<HashMap<A::Key, A>>>,
}

impl<A: Aggregate> Clone for Log<A> {
    fn clone(&self) -> Self {
        Self {
            store: self.store.clone(),
            cache: Arc::clone(&self.cache),
        }
    }
}

/// News of one aggregate.
pub struct Changes {
    follower: Follower,
}

impl Changes {
    /// Waits for an event after `sequence`. Dropping the future loses nothing.
    pub async fn after(&mut self, sequence: u64) {
        loop {
            match self.follower.next().await {
                Followed::Event(event) if event.sequence > sequence => return,
                Followed::Event(_) | Followed::CaughtUp => {}
            }
        }
    }
}

/// The state after an update.
#[derive(Debug, Clone)]
pub struct Updated<A> {
    /// The state.
    pub state: A,
    /// Whether the update appended an event.
    pub appended: bool,
}

/// Why an update did not happen.
#[derive(Debug, thiserror::Error)]
pub enum UpdateError<E> {
    /// There are no events under that key.
    #[error("there is no such thing")]
    Absent,
    /// The decision was no.
    #[error(transparent)]
    Refused(E),
    /// Other writers were always faster.
    #[error("too many others change this at the same time; try again")]
    Contended,
    /// The bus did not do it.
    #[error(transparent)]
    Bus(#[from] Error),
}

impl<A: Aggregate> Log<A> {
    /// The aggregates of one kind in a store.
    #[must_use]
    pub fn new(store: EventStore) -> Self {
        Self {
            store,
            cache: Arc::default(),
        }
    }

    /// The state as of now; `None` if nothing has happened.
    ///
    /// # Errors
    /// When the bus can't be read.
    pub async fn get(&self, key: &A::Key) -> Result<Option<A>, Error> {
        let cached = self.cached(key);
        let after = cached.as_ref().map_or(0, A::sequence);
        let news = self.store.load(&A::subject(key), after).await?;
        if news.is_empty() {
            return Ok(cached);
        }
        let state = news.into_iter().fold(cached, |state, stored| {
            step(key, state, stored.sequence, &stored.payload)
        });
        if let Some(state) = &state {
            self.remember(key, state);
        }
        Ok(state)
    }

    /// The events of one aggregate from now on.
    ///
    /// # Errors
    /// When the bus is unavailable.
    pub async fn changes(&self, key: &A::Key) -> Result<Changes, Error> {
        let filter = EventFilter::One(A::subject(key));
        let follower = self.store.follow(&filter, From::Now).await?;
        Ok(Changes { follower })
    }

    /// Appends an event to a state whose last event has the sequence `expected` (0 for the first one).
    ///
    /// # Errors
    /// [`AppendError::Conflict`] when another writer was first.
    pub async fn append(
        &self,
        key: &A::Key,
        expected: u64,
        event: &A::Event,
    ) -> Result<u64, AppendError> {
        let id = uuid::Uuid::now_v7().simple().to_string();
        self.store
            .append(&A::subject(key), expected, &id, Bytes::from(event.encode()))
            .await
    }

    /// Reads, decides and appends until no other writer comes between. `decide` may be called several times, each
    /// time with the newest state; `Ok(None)` means that nothing needs to be appended.
    ///
    /// # Errors
    /// What `decide` returns, or what the bus says.
    pub async fn update<E>(
        &self,
        key: &A::Key,
        mut decide: impl FnMut(Option<&A>) -> Result<Option<A::Event>, E>,
    ) -> Result<Updated<A>, UpdateError<E>> {
        let mut races = 0;
        loop {
            let state = self.get(key).await?;
            let Some(event) = decide(state.as_ref()).map_err(UpdateError::Refused)? else {
                let state = state.ok_or(UpdateError::Absent)?;
                return Ok(Updated {
                    state,
                    appended: false,
                });
            };
            let expected = state.as_ref().map_or(0, A::sequence);
            match self.append(key, expected, &event).await {
                Ok(sequence) => {
                    let state = A::step(key, state, sequence, event).ok_or(UpdateError::Absent)?;
                    self.remember(key, &state);
                    return Ok(Updated {
                        state,
                        appended: true,
                    });
                }
                Err(AppendError::Conflict { .. }) if races < RACES => races += 1,
                Err(AppendError::Conflict { .. }) => return Err(UpdateError::Contended),
                Err(AppendError::Bus(error)) => return Err(UpdateError::Bus(error)),
            }
        }
    }

    fn cached(&self, key: &A::Key) -> Option<A> {
        self.cache
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get(key)
            .cloned()
    }

    /// Takes a state that was folded elsewhere, from a follower's events, so that the next read costs only the question
    /// what came since.
    pub fn learn(&self, key: &A::Key, state: &A) {
        self.remember(key, state);
    }

    fn remember(&self, key: &A::Key, state: &A) {
        let mut cache = self.cache.lock().unwrap_or_else(PoisonError::into_inner);
        if cache.len() >= CACHED {
            cache.clear();
        }
        let newer = cache
            .get(key)
            .is_none_or(|known| known.sequence() < state.sequence());
        if newer {
            cache.insert(key.clone(), state.clone());
        }
    }
}

/// One step of the fold from bytes; bytes that this version doesn't understand are passed over, with a warning.
pub fn step<A: Aggregate>(
    key: &A::Key,
    state: Option<A>,
    sequence: u64,
    payload: &[u8],
) -> Option<A> {
    match A::Event::decode(payload) {
        Ok(event) => A::step(key, state, sequence, event),
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                event.sequence = sequence,
                error,
                "passed over an event of {key:?} that can't be read"
            );
            state.map(|state| state.skip(sequence))
        }
    }
}
