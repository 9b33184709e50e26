//! Stage `promote`: the candidate's digest goes to the production registry, under the release's tag.

use std::convert::Infallible;

use bus::aggregates::UpdateError;
use domain::ids::Digest as ImageDigest;
use domain::release::{Event, Releases};
use domain::run::{Actor, Kind, Run, RunState};
use domain::stage::{Artifact, Outcome, StageResult};
use jiff::Timestamp;
use registry::{CopyOptions, Digest, Tag, TagOutcome, copy, tag_release};
use semver::Version;
use worker::Work;

use crate::service::{Promoter, parsed};
use crate::stage_end::Stopped;

/// Blobs and manifests copied at a time.
const CONCURRENCY: usize = 4;

pub(crate) async fn on_promote(promoter: &Promoter, work: &Work) -> Outcome {
    match promote(promoter, work).await {
        Ok(result) => Outcome::Succeeded(Box::new(result)),
        Err(stopped) => stopped.outcome(),
    }
}

async fn promote(promoter: &Promoter, work: &Work) -> Result<StageResult, Stopped> {
    let created = work.created();
    let service = &created.change.service;
    let (Some(planned), Some((from, digest))) = (&created.version, candidate(work)) else {
        return Err(Stopped::Red(
            "the run has no candidate to promote".to_owned(),
        ));
    };
    let to = &created.plan.production_repository;
    let known = promoter.releases.get(service).await?.unwrap_or_default();
    refuse_another(&known, &planned.version, &digest)?;
    let not_ours = |repository: &str| {
        Stopped::Red(format!(
            "{repository} is in neither registry of the platform file"
        ))
    };
    let (source, source_name) = promoter
        .registries
        .find(&from)
        .ok_or_else(|| not_ours(&from))?;
    let (target, target_name) = promoter.registries.find(to).ok_or_else(|| not_ours(to))?;
    let content: Digest = parsed(digest.as_str())?;
    let tag: Tag = parsed(&planned.version.to_string())?;
    let options = CopyOptions {
        include_referrers: true,
        concurrency: CONCURRENCY,
    };
    let report = copy(
        source,
        &source_name,
        &content,
        target,
        &target_name,
        options,
    )
    .await?;
    promoter
        .say(
            work,
            &format!(
                "copied {digest} to {to}: {} blobs ({} bytes), {} manifests, {} there already",
                report.blobs, report.bytes, report.manifests, report.skipped
            ),
        )
        .await;
    let tagged = tag_release(target, &target_name, &tag, &content).await?;
    let was_there = tagged == TagOutcome::AlreadyThere;
    let outcome = match was_there {
        true => "is there already",
        false => "is released",
    };
    promoter.say(work, &format!("{to}:{tag} {outcome}")).await;
    let released = Event::Released {
        run: work.run.id.clone(),
        version: planned.version.clone(),
        repository: to.clone(),
        digest: digest.clone(),
        commit: created.change.commit.clone(),
        at: Timestamp::now(),
    };
    record(promoter, work, &planned.version, released).await?;
    supersede(promoter, work, &planned.version).await;
    Ok(StageResult {
        summary: match was_there {
            true => format!("{to}:{tag} {outcome}"),
            false => format!("{to}:{tag}"),
        },
        artifact: Some(Artifact::Release {
            repository: to.clone(),
            tag: tag.to_string(),
            digest,
        }),
        tests: None,
    })
}

/// What is to be promoted: the run's own candidate, or the one that a `deploy` run is about.
fn candidate(work: &Work) -> Option<(String, ImageDigest)> {
    match &work.run.change.kind {
        Kind::Deploy(target) | Kind::Rollback(target) => {
            Some((target.repository.clone(), target.digest.clone()))
        }
        Kind::Change | Kind::Proposal { .. } => {
            let digest = work.run.artifact(|artifact| match artifact {
                Artifact::Candidate { digest, .. } => Some(digest.clone()),
                _ => None,
            })?;
            Some((work.created().plan.development_repository.clone(), digest))
        }
    }
}

/// A version is released once.
fn refuse_another(
    known: &Releases,
    version: &Version,
    digest: &ImageDigest,
) -> Result<(), Stopped> {
    match known.release(version) {
        Some(release) if release.digest != *digest => Err(Stopped::Red(format!(
            "{version} was released already, from another candidate ({}, run {}); a release never changes: start a \
             new run for this commit, it gets the next version",
            release.digest, release.run
        ))),
        _ => Ok(()),
    }
}

/// Ends the runs that wait for approval of the same version: they can't release it any more, and nobody should be
/// asked about them. What fails here is caught later, when such a run is promoted.
async fn supersede(promoter: &Promoter, work: &Work, version: &Version) {
    let by = Actor::slipway();
    let reason = |other: &Run| {
        let released = format!("{version} was released from run {}", work.run.id);
        match other.change.commit == work.run.change.commit {
            true => format!("{released}, of the same commit"),
            false => {
                format!("{released}; start a new run for this commit, it gets the next version")
            }
        }
    };
    let same = |run: &Run| {
        let planned = run.created.as_ref().and_then(|c| c.version.as_ref());
        let waits = run.state() == RunState::WaitingForApproval;
        waits && run.id != work.run.id && planned.is_some_and(|p| p.version == *version)
    };
    let others = promoter.active.of(&work.run.change.service);
    for other in others.iter().filter(|run| same(run)) {
        let decide = |run: Option<&Run>| {
            let run = run.filter(|run| same(run));
            Ok::<_, Infallible>(
                run.and_then(|run| run.cancel(&by, &reason(run), Timestamp::now()).ok()),
            )
        };
        if let Err(error) = promoter.runs.update(&other.id, decide).await {
            tracing::warn!(%error, run.id = %other.id, "a run that was superseded still waits");
        }
    }
}

async fn record(
    promoter: &Promoter,
    work: &Work,
    version: &Version,
    event: Event,
) -> Result<(), Stopped> {
    let decide = |releases: Option<&Releases>| {
        let is_known = releases.is_some_and(|r| r.release(version).is_some());
        Ok::<_, Infallible>((!is_known).then(|| event.clone()))
    };
    match promoter
        .releases
        .update(&work.run.change.service, decide)
        .await
    {
        Ok(_) | Err(UpdateError::Absent) => Ok(()),
        Err(UpdateError::Contended) => Err(Stopped::Crowded("released")),
        Err(UpdateError::Bus(error)) => Err(error.into()),
        Err(UpdateError::Refused(never)) => match never {},
    }
}
