//! What a run brings to an environment, and whether it may.

use domain::ids::{Digest, EnvironmentName};
use domain::release::Releases;
use domain::rollout::Placement;
use domain::run::{Created, Kind, Run};
use domain::stage::{Artifact, StageName};
use jiff::Timestamp;

/// What `run` brings to `environment`, or why it may not.
pub(crate) fn placement(
    run: &Run,
    created: &Created,
    environment: &EnvironmentName,
    releases: &Releases,
) -> Result<Placement, String> {
    let planned = created.plan.environment(environment);
    let production = planned.is_some_and(|e| e.production);
    let (origin, repository, digest) = match &run.change.kind {
        Kind::Deploy(target) | Kind::Rollback(target) => {
            let repository = promoted(run).map(|(repository, _)| repository);
            let repository = repository.unwrap_or_else(|| target.repository.clone());
            (target.origin.clone(), repository, target.digest.clone())
        }
        Kind::Change | Kind::Proposal { .. } => {
            let built = if production {
                promoted(run)
            } else {
                let development = &created.plan.development_repository;
                run.image_digest()
                    .map(|digest| (development.clone(), digest.clone()))
            };
            let (repository, digest) = built.ok_or("the run has no image to deploy here")?;
            (run.id.clone(), repository, digest)
        }
    };
    if production && !is_released(releases, &digest) {
        return Err(format!(
            "{environment} takes only releases, and {digest} is not one: it was never promoted to the production \
             registry"
        ));
    }
    let version = created.version.as_ref().map(|v| v.version.to_string());
    Ok(Placement {
        run: run.id.clone(),
        origin,
        order: run.order,
        version: version.unwrap_or_default(),
        repository,
        digest,
        is_rollback: matches!(run.change.kind, Kind::Rollback(_)),
        at: Timestamp::now(),
    })
}

/// Whether a person asked for exactly this version here.
pub(crate) fn is_asked_for(run: &Run) -> bool {
    matches!(run.change.kind, Kind::Deploy(_) | Kind::Rollback(_))
}

/// Whether a person wants what others changed to be overwritten.
pub(crate) fn overwrites(run: &Run) -> bool {
    match &run.change.kind {
        Kind::Deploy(target) | Kind::Rollback(target) => target.overwrites_changes,
        Kind::Change | Kind::Proposal { .. } => false,
    }
}

fn promoted(run: &Run) -> Option<(String, Digest)> {
    match run.stage(&StageName::Promote)?.artifact()? {
        Artifact::Release {
            repository, digest, ..
        } => Some((repository.clone(), digest.clone())),
        _ => None,
    }
}

fn is_released(releases: &Releases, digest: &Digest) -> bool {
    let mut released = releases
        .versions
        .values()
        .filter_map(|record| record.release.as_ref());
    released.any(|release| release.digest == *digest)
}
