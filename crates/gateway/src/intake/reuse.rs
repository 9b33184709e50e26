//! Whether an earlier run of the same commit made already what a new one would make: then that is used again.
//!
//! The version stays the same too, so it has to be the newest one still. What was made has to be there still: the
//! registry-promoter and the builder are asked, and where they don't say so soon, everything is made anew.

use bus::aggregates::UpdateError;
use domain::ids::Digest;
use domain::plan::Plan;
use domain::release::{Event, Releases};
use domain::run::{Change, Kind, ReusedStage, Run};
use domain::spec::ServiceSpec;
use domain::stage::{Artifact, StageName};
use domain::version::PlannedVersion;
use jiff::Timestamp;
use semver::Version;

use super::Intake;
use super::versioning::{Overtaken, Wish, reservation_of};
use crate::Error;

/// What a new run is about.
pub(super) struct Sought<'a> {
    pub(super) change: &'a Change,
    pub(super) spec: &'a ServiceSpec,
    pub(super) plan: &'a Plan,
}

/// What an earlier run made of the same.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Earlier {
    pub(super) version: PlannedVersion,
    pub(super) stages: Vec<ReusedStage>,
    commit: String,
    /// The image: `host/name` in the development registry, and its digest.
    repository: String,
    digest: Digest,
    /// The image that the build left, where tests in an environment run in it.
    workspace: Option<String>,
}

impl Intake {
    /// What an earlier run made, if the new one can use it; its version is then reserved for the new one too.
    pub(super) async fn reuse(
        &self,
        wish: &Wish<'_>,
        sought: &Sought<'_>,
    ) -> Result<Option<Earlier>, Error> {
        // A pushed tag names its version, and a version is released once.
        if wish.tag.is_some() {
            return Ok(None);
        }
        let newest = self.projection.newest_run_of(sought.change, wish.run);
        let Some(earlier) = newest.and_then(|run| earlier(sought, &run)) else {
            return Ok(None);
        };
        let tags = self.tags(wish).await?;
        let releases = self.releases.get(wish.service).await?.unwrap_or_default();
        if !earlier.is_newest(&releases, &tags) {
            return Ok(None);
        }
        if let Err(why) = self.is_still_there(&earlier).await {
            tracing::info!(run.id = %wish.run, commit = %wish.commit.id, "everything is made anew: {why}");
            return Ok(None);
        }
        let event = Event::Reserved {
            run: wish.run.clone(),
            version: earlier.version.version.clone(),
            level: earlier.version.level,
            commit: earlier.commit.clone(),
            at: Timestamp::now(),
        };
        let reserve = |state: Option<&Releases>| {
            let state = state.cloned().unwrap_or_default();
            if !earlier.is_newest(&state, &tags) {
                return Err(Overtaken);
            }
            Ok(reservation_of(&state, wish.run)
                .is_none()
                .then(|| event.clone()))
        };
        match self.releases.update(wish.service, reserve).await {
            Ok(_) => Ok(Some(earlier)),
            Err(UpdateError::Bus(error)) => Err(error.into()),
            Err(UpdateError::Refused(Overtaken) | UpdateError::Absent | UpdateError::Contended) => {
                Ok(None)
            }
        }
    }

    /// Asks those who keep it; an error says what is not there, or who did not answer.
    async fn is_still_there(&self, earlier: &Earlier) -> Result<(), String> {
        let (repository, digest) = (&earlier.repository, earlier.digest.as_str());
        self.parts.registry_holds(repository, digest).await?;
        let Some(image) = &earlier.workspace else {
            return Ok(());
        };
        // Where builder and test-runner have no engine in common, workspaces are in the registry.
        match image.rsplit_once(':') {
            Some((name, tag)) if name == repository => {
                self.parts.registry_holds(repository, tag).await
            }
            _ => self.parts.builder_has(image).await,
        }
    }
}

impl Earlier {
    /// Whether the version is the newest that the service has, and nobody else's.
    fn is_newest(&self, releases: &Releases, tags: &[(Version, String)]) -> bool {
        let version = &self.version.version;
        let Some((newest, record)) = releases.versions.last_key_value() else {
            return false;
        };
        let last = record.reservations.last();
        newest == version
            && tags.iter().all(|(tag, _)| tag <= version)
            && last.is_some_and(|last| last.commit == self.commit)
            && record
                .release
                .as_ref()
                .is_none_or(|release| release.digest == self.digest)
    }
}

/// What a run made, if it is all that the new one would make.
fn earlier(sought: &Sought<'_>, run: &Run) -> Option<Earlier> {
    let created = run.created.as_ref()?;
    let (change, plan) = (sought.change, sought.plan);
    let is_same = change.kind == Kind::Change
        && run.change.kind == Kind::Change
        && run.change.service == change.service
        && run.change.repository == change.repository
        && run.change.commit == change.commit
        && run.change.path == change.path
        && created.spec == *sought.spec
        && created.plan.development_repository == plan.development_repository
        && created.plan.production_repository == plan.production_repository;
    if !is_same {
        return None;
    }
    let wanted = plan.stages.iter().map(|stage| &stage.name);
    let stages: Vec<ReusedStage> = wanted
        .filter(|name| name.follows_from_commit())
        .map(|name| reused(run, name))
        .collect::<Option<_>>()?;
    let digest = run.artifact(|artifact| match artifact {
        Artifact::Candidate { digest, .. } => Some(digest.clone()),
        _ => None,
    })?;
    Some(Earlier {
        version: created.version.clone()?,
        stages,
        commit: change.commit.clone(),
        repository: plan.development_repository.clone(),
        digest,
        workspace: workspace(sought, run),
    })
}

/// A stage of a run, if it passed; named after the run that really did it.
fn reused(run: &Run, name: &StageName) -> Option<ReusedStage> {
    let result = run.stage(name)?.result()?;
    let before = run.created.iter().flat_map(|created| &created.reused);
    let from = before
        .filter(|reused| reused.stage == *name)
        .map(|reused| &reused.from)
        .next_back()
        .unwrap_or(&run.id);
    Some(ReusedStage {
        stage: name.clone(),
        from: from.clone(),
        result: result.clone(),
    })
}

/// The workspace of the run, if a stage that is done anew runs in it.
fn workspace(sought: &Sought<'_>, run: &Run) -> Option<String> {
    let tests = sought.spec.test.integration.as_ref()?;
    let is_done = |name: &StageName| matches!(name, StageName::IntegrationTest(_));
    let is_used = tests.image.is_none() && sought.plan.stages.iter().any(|s| is_done(&s.name));
    match run.stage(&StageName::Build)?.artifact()? {
        Artifact::Workspace { image, .. } if is_used => Some(image.clone()),
        _ => None,
    }
}

#[cfg(test)]
mod tests;
