//! Appending to the rollouts of a service in an environment.

use bus::AppendError;
use bus::aggregates::{Log, UpdateError};
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::rollout::{Event, Progress, Rollouts};

/// Appends what `decide` says of the newest state, if anything; returns the state after it.
pub(crate) async fn update(
    log: &Log<Rollouts>,
    key: &(EnvironmentName, ServiceName),
    decide: impl Fn(&Rollouts) -> Option<Event>,
) -> Result<Rollouts, bus::Error> {
    let empty = Rollouts::default();
    let decide = |state: Option<&Rollouts>| {
        Ok::<_, std::convert::Infallible>(decide(state.unwrap_or(&empty)))
    };
    match log.update(key, decide).await {
        Ok(updated) => Ok(updated.state),
        Err(UpdateError::Absent | UpdateError::Contended) => {
            Ok(log.get(key).await?.unwrap_or_default())
        }
        Err(UpdateError::Bus(error)) => Err(error),
        Err(UpdateError::Refused(never)) => match never {},
    }
}

/// Appends an event if nothing was appended after the one with this sequence; says whether it did.
pub(crate) async fn append_after(
    log: &Log<Rollouts>,
    key: &(EnvironmentName, ServiceName),
    sequence: u64,
    event: &Event,
) -> Result<bool, bus::Error> {
    match log.append(key, sequence, event).await {
        Ok(_) => Ok(true),
        Err(AppendError::Conflict { .. }) => Ok(false),
        Err(AppendError::Bus(error)) => Err(error),
    }
}

/// A rollout under way that people may want something of.
pub(crate) struct UnderControl<'a> {
    pub(crate) log: &'a Log<Rollouts>,
    pub(crate) key: &'a (EnvironmentName, ServiceName),
    pub(crate) run: &'a RunId,
}

impl UnderControl<'_> {
    /// Why it is to be taken back, if it is. While nobody can say, it is not.
    pub(crate) async fn abort(&self) -> Option<String> {
        Some(self.progress().await?.abort?.reason)
    }

    /// Why it waits for a person, if it does.
    pub(crate) async fn pause(&self) -> Option<String> {
        Some(self.progress().await?.paused?.reason)
    }

    async fn progress(&self) -> Option<Progress> {
        let rollouts = self.log.get(self.key).await.ok()??;
        let is_ours = rollouts
            .active
            .is_some_and(|active| active.run == *self.run);
        rollouts.progress.filter(|_| is_ours)
    }
}
