//! The version that stays for a while beside the one that serves, after a blue-green switch: without traffic, ready to
//! be switched back to, and removed when its time is over.

use std::time::Duration;

use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::{Decision, Next, Rollouts, Sizes};
use domain::spec::Percent;
use jiff::Timestamp;

use crate::converge::LOOK;
use crate::docker::Docker;
use crate::docker::sets::Sets;
use crate::error::TargetError;
use crate::origin::{wanted_by, wanted_of};
use crate::service::Deployer;
use crate::steps::{SideBySide, Way};
use crate::voice::Voice;
use crate::wanted::Wanted;

/// How long to wait in one go for requests that are still under way. The next look goes on.
const PATIENCE: Duration = Duration::from_secs(30);

/// Why nothing was done about it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum KeptError {
    #[error(transparent)]
    Bus(#[from] bus::Error),
    #[error(transparent)]
    Target(#[from] TargetError),
}

/// The version that serves and the one that is kept, as far as they are known.
async fn both(
    deployer: &Deployer,
    environment: &EnvironmentName,
    rollouts: &Rollouts,
) -> Result<Option<(Wanted, Wanted)>, bus::Error> {
    let (Some(current), Some(kept)) = (rollouts.current(), &rollouts.kept) else {
        return Ok(None);
    };
    let current = wanted_of(deployer, current, environment).await?;
    let kept = wanted_by(deployer, &kept.placement, environment).await?;
    Ok(current
        .zip(kept)
        .filter(|(current, kept)| current.key() != kept.key()))
}

/// Removes the version that was kept, unless something else begins meanwhile.
pub(crate) async fn remove(
    deployer: &Deployer,
    docker: &Docker,
    key: &(EnvironmentName, ServiceName),
    rollouts: &Rollouts,
) -> Result<(), KeptError> {
    let Some((current, kept)) = both(deployer, &key.0, rollouts).await? else {
        return Ok(());
    };
    tracing::info!(
        "{} {} in {} is not kept any longer",
        key.1,
        kept.version,
        key.0
    );
    let voice = Voice::Own;
    let mut sets = Sets::new(docker, &current, &kept, Timestamp::now(), &voice).without_clearing();
    let deadline = tokio::time::Instant::now() + PATIENCE;
    while tokio::time::Instant::now() < deadline {
        let now = deployer.rollouts.get(key).await?;
        if now.is_none_or(|now| now.last_sequence != rollouts.last_sequence) {
            return Ok(());
        }
        let look = sets.look(Way::Back).await?;
        let sizes = Sizes {
            stable: look.observed.stable.total,
            candidate: 0,
        };
        sets.bring_about(&without_traffic(sizes)).await?;
        if look.observed.candidate.total == 0 && sets.is_settled() {
            return Ok(());
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

/// The same on a cluster.
pub(crate) async fn remove_from_cluster(
    deployer: &Deployer,
    key: &(EnvironmentName, ServiceName),
    rollouts: &Rollouts,
) -> Result<(), KeptError> {
    let Some(current) = rollouts.current() else {
        return Ok(());
    };
    let Some(current) = wanted_of(deployer, current, &key.0).await? else {
        return Ok(());
    };
    tracing::info!("what was kept of {} in {} is not any longer", key.1, key.0);
    let kubernetes = &deployer.targets.kubernetes;
    let removed = kubernetes.remove_kept(&current, &deployer.rollouts, rollouts);
    Ok(removed.await.map_err(TargetError::from)?)
}

/// Gives an edge that was made anew its table; starts and removes no replica. Says whether a version is kept: otherwise
/// there is nothing special about the table.
pub(crate) async fn route_beside(
    deployer: &Deployer,
    docker: &Docker,
    key: &(EnvironmentName, ServiceName),
    rollouts: &Rollouts,
) -> Result<bool, KeptError> {
    let Some((current, kept)) = both(deployer, &key.0, rollouts).await? else {
        return Ok(false);
    };
    let voice = Voice::Own;
    let mut sets = Sets::new(docker, &current, &kept, Timestamp::now(), &voice).without_clearing();
    let observed = sets.look(Way::Back).await?.observed;
    let sizes = Sizes {
        stable: observed.stable.total,
        candidate: observed.candidate.total,
    };
    sets.bring_about(&without_traffic(sizes)).await?;
    Ok(true)
}

fn without_traffic(sizes: Sizes) -> Decision {
    Decision {
        sizes,
        weight: Percent::ZERO,
        preview: false,
        next: Next::Stay {
            why: String::new(),
            wake_after: None,
        },
    }
}
