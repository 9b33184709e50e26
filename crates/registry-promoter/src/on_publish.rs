//! Stage `publish`: a tested image becomes a candidate, `X.Y.Z-rc.N`, in the development registry.

use std::convert::Infallible;

use bus::aggregates::UpdateError;
use domain::release::{Candidate, Event, Releases, candidate_tag};
use domain::stage::{Artifact, Outcome, StageName, StageResult};
use jiff::Timestamp;
use registry::{Digest, RepositoryName, Tag, tag_release};
use worker::Work;

use crate::labels;
use crate::service::{Promoter, parsed};
use crate::stage_end::Stopped;

pub(crate) async fn on_publish(promoter: &Promoter, work: &Work) -> Outcome {
    match publish(promoter, work).await {
        Ok(result) => Outcome::Succeeded(Box::new(result)),
        Err(stopped) => stopped.outcome(),
    }
}

async fn publish(promoter: &Promoter, work: &Work) -> Result<StageResult, Stopped> {
    let created = work.created();
    let image = work
        .run
        .stage(&StageName::Image)
        .and_then(|stage| stage.artifact());
    let Some(Artifact::Image {
        repository, digest, ..
    }) = image
    else {
        return Err(Stopped::Red("the run built no image".to_owned()));
    };
    let Some(planned) = &created.version else {
        return Err(Stopped::Red(
            "the run has no version, so it can't be a candidate".to_owned(),
        ));
    };
    let Some((registry, name)) = promoter.registries.find(repository) else {
        return Err(Stopped::Red(format!(
            "{repository} is in neither registry of the platform file"
        )));
    };
    let content: Digest = parsed(digest.as_str())?;
    labels::check(
        created,
        &registry.image_config(&name, content.clone(), None).await?,
    )
    .map_err(Stopped::Red)?;
    let mine = Event::CandidatePublished {
        run: work.run.id.clone(),
        version: planned.version.clone(),
        number: 0,
        repository: repository.clone(),
        digest: digest.clone(),
        at: Timestamp::now(),
    };
    let candidate = numbered(promoter, work, &mine).await?;
    let tag = candidate_tag(&planned.version, candidate.number);
    tag_release(
        registry,
        &name as &RepositoryName,
        &parsed::<Tag>(&tag)?,
        &content,
    )
    .await?;
    promoter
        .say(work, &format!("{repository}:{tag} is {digest}"))
        .await;
    Ok(StageResult {
        summary: format!("candidate {tag}"),
        artifact: Some(Artifact::Candidate {
            tag,
            digest: digest.clone(),
        }),
        tests: None,
    })
}

/// The run's candidate with its number. The number is taken in the events before the tag is written, so that no two
/// runs write the same tag; after a crash the same number is found again.
async fn numbered(promoter: &Promoter, work: &Work, event: &Event) -> Result<Candidate, Stopped> {
    let run = &work.run.id;
    let decide = |releases: Option<&Releases>| {
        let empty = Releases::default();
        let releases = releases.unwrap_or(&empty);
        Ok::<_, Infallible>(match (releases.candidate_of(run), event.clone()) {
            (
                None,
                Event::CandidatePublished {
                    run,
                    version,
                    repository,
                    digest,
                    at,
                    ..
                },
            ) => {
                let number = releases.next_candidate(&version);
                Some(Event::CandidatePublished {
                    run,
                    version,
                    number,
                    repository,
                    digest,
                    at,
                })
            }
            _ => None,
        })
    };
    let releases = match promoter
        .releases
        .update(&work.run.change.service, decide)
        .await
    {
        Ok(updated) => updated.state,
        Err(UpdateError::Bus(error)) => return Err(error.into()),
        Err(UpdateError::Absent | UpdateError::Contended) => Releases::default(),
        Err(UpdateError::Refused(never)) => match never {},
    };
    match releases.candidate_of(run) {
        Some((_, candidate)) => Ok(candidate.clone()),
        None => Err(Stopped::Crowded("published")),
    }
}
