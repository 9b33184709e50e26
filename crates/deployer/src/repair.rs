//! The timer that mends environments: an edge that is gone, a rollout that nobody ends, a version that was kept for long
//! enough.
//!
//! Replicas are left to the engine, which starts them again, and to the next deployment.

use std::collections::HashSet;
use std::time::Duration;

use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::Rollouts;
use jiff::Timestamp;

use crate::converge::scale;
use crate::docker::{Deployed, Docker, status_of};
use crate::error::TargetError;
use crate::kept;
use crate::kubernetes;
use crate::rolling::{Step, next};
use crate::service::Deployer;
use crate::take_back::Abandoned;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// How often to look.
const EVERY: Duration = Duration::from_secs(10);
/// Changes of the table that a repair may need: one, and one more if a replica ended meanwhile.
const STEPS: usize = 3;

/// An edge that was well: its container and when that was started.
type Well = (engine::ContainerId, Option<Timestamp>);

/// Looks for ever. A cluster that is slow to answer keeps nobody from looking at this machine.
pub(crate) async fn for_ever(deployer: &Deployer) {
    tokio::join!(machine(deployer), clusters(deployer));
}

async fn machine(deployer: &Deployer) {
    let Some(docker) = &deployer.targets.docker else {
        return std::future::pending().await;
    };
    let mut well: HashSet<Well> = HashSet::new();
    let mut timer = timer();
    loop {
        timer.tick().await;
        match docker.deployed().await {
            Ok(deployed) => well = look_at_all(deployer, docker, &deployed, &well).await,
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no look at the environments"
            ),
        }
    }
}

async fn clusters(deployer: &Deployer) {
    let mut timer = timer();
    loop {
        timer.tick().await;
        for deployed in deployer.targets.kubernetes.deployed().await {
            look_at_cluster(deployer, &deployed).await;
        }
    }
}

fn timer() -> tokio::time::Interval {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    timer
}

/// Returns the edges that are well.
async fn look_at_all(
    deployer: &Deployer,
    docker: &Docker,
    all: &[Deployed],
    well: &HashSet<Well>,
) -> HashSet<Well> {
    let mut still_well = HashSet::new();
    for deployed in all {
        let rollouts = match deployer.rollouts.get(&deployed.key).await {
            Ok(Some(rollouts)) => rollouts,
            // Another installation's, on the same engine.
            Ok(None) => continue,
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "no look at {:?}",
                    deployed.key
                );
                continue;
            }
        };
        let (environment, service) = &deployed.key;
        let is_free = rollouts.active.is_none() && rollouts.restoring.is_none();
        let now = Timestamp::now();
        if is_free
            && deployed.sets.len() > 1
            && rollouts.kept.as_ref().is_some_and(|kept| kept.is_over(now))
            && let Err(error) = kept::remove(deployer, docker, &deployed.key, &rollouts).await
        {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "the earlier version of {service} in {environment} stays"
            );
        }
        if rollouts.active.is_some() || rollouts.restoring.is_some() {
            if let Err(error) = end_abandoned(deployer, &deployed.key, &rollouts).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(
                    error,
                    "an abandoned rollout of {service} in {environment} stays"
                );
            }
        } else if is_well(docker, deployed, well).await {
            still_well.extend(
                deployed
                    .edge
                    .as_ref()
                    .map(|edge| (edge.id.clone(), edge.started_at)),
            );
        } else if let Err(error) = mend(deployer, docker, &deployed.key, &rollouts).await {
            let error = &*error;
            tracing::warn!(
                error,
                "the edge of {service} in {environment} can't be mended"
            );
        }
    }
    still_well
}

/// Ends an abandoned rollout, and removes what was kept for long enough. Everything else is mended by the cluster
/// itself.
async fn look_at_cluster(deployer: &Deployer, deployed: &kubernetes::Deployed) {
    let (key, now) = (&deployed.key, Timestamp::now());
    let Ok(Some(rollouts)) = deployer.rollouts.get(key).await else {
        return;
    };
    if rollouts.active.is_some() || rollouts.restoring.is_some() {
        if let Err(error) = end_abandoned(deployer, key, &rollouts).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "an abandoned rollout of {} in {} stays",
                key.1,
                key.0
            );
        }
    } else if deployed.keeps_old
        && rollouts.kept.as_ref().is_none_or(|kept| kept.is_over(now))
        && let Err(error) = kept::remove_from_cluster(deployer, key, &rollouts).await
    {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "the earlier version of {} in {} stays", key.1, key.0);
    }
}

/// Whether a service needs no edge, or has one with a table. What was well is well until it is started again: then it
/// has its table still, as long as its file system is the same.
async fn is_well(docker: &Docker, deployed: &Deployed, well: &HashSet<Well>) -> bool {
    let Some(edge) = &deployed.edge else {
        return deployed.replicas == 0;
    };
    if deployed.replicas == 0
        || well.contains(&(edge.id.clone(), edge.started_at)) && edge.is_running()
    {
        return true;
    }
    let status = status_of(&docker.engine, &edge.id).await;
    edge.is_running() && status.is_ok_and(|status| status.generation.is_some())
}

async fn end_abandoned(
    deployer: &Deployer,
    key: &(EnvironmentName, ServiceName),
    rollouts: &Rollouts,
) -> Result<(), bus::Error> {
    match Abandoned::of(deployer, key, rollouts).await? {
        Some(abandoned) => abandoned.take_back(rollouts).await,
        None => Ok(()),
    }
}

/// Makes the edge anew and gives it its table; starts and removes no replica.
async fn mend(
    deployer: &Deployer,
    docker: &Docker,
    key: &(EnvironmentName, ServiceName),
    rollouts: &Rollouts,
) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let Some(current) = rollouts.current() else {
        return Ok(());
    };
    let origin = deployer.runs.get(&current.placement.origin).await?;
    let Some(created) = origin.and_then(|run| run.created) else {
        return Ok(());
    };
    let wanted = Wanted::of(&created.spec, &current.placement, &key.0).at(Some(&current.address));
    tracing::info!(
        "the edge of {} in {} is gone or has no table; it is mended",
        key.1,
        key.0
    );
    if kept::route_beside(deployer, docker, key, rollouts).await? {
        return Ok(());
    }
    Ok(route_again(docker, &wanted).await?)
}

async fn route_again(docker: &Docker, wanted: &Wanted) -> Result<(), TargetError> {
    let target = docker.prepare(wanted).await?;
    for _ in 0..STEPS {
        let seen = target.look().await?;
        let step = next(scale(wanted), &seen.replicas, |_| false);
        if !matches!(step, Step::Route(_)) {
            break;
        }
        target.act(&step, &seen, &Voice::Own).await?;
    }
    Ok(())
}
