//! Appending to the rollouts of a service in an environment.

use bus::AppendError;
use bus::aggregates::{Log, UpdateError};
use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::{Event, Rollouts};

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
