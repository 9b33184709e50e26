//! What a version that was deployed once wants, by the run that built it.

use domain::ids::EnvironmentName;
use domain::rollout::{Placed, Placement};

use crate::service::Deployer;
use crate::wanted::Wanted;

/// What was brought in, at the address where it answered; `None` if its configuration is not known any more.
pub(crate) async fn wanted_of(
    deployer: &Deployer,
    placed: &Placed,
    environment: &EnvironmentName,
) -> Result<Option<Wanted>, bus::Error> {
    let wanted = wanted_by(deployer, &placed.placement, environment).await?;
    Ok(wanted.map(|wanted| wanted.at(Some(&placed.address))))
}

/// The same, without an address.
pub(crate) async fn wanted_by(
    deployer: &Deployer,
    placement: &Placement,
    environment: &EnvironmentName,
) -> Result<Option<Wanted>, bus::Error> {
    let origin = deployer.runs.get(&placement.origin).await?;
    let created = origin.and_then(|run| run.created);
    Ok(created.map(|created| Wanted::of(&created.spec, placement, environment)))
}
