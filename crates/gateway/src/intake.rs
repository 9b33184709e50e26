//! Makes runs of commits: fetches, reads the service files, decides versions, plans, and appends each run's first
//! event.
//!
//! Whatever is wrong with the commit becomes a run too, a refused one with the whole explanation, so that everybody
//! finds it where they look for runs. The same delivery twice starts nothing twice: the ids of its runs follow from
//! it, and a run that exists is left as it is.

mod discover;
mod naming;
mod proposals;
mod request;
mod reuse;
mod tree;
mod versioning;

use std::sync::Arc;

use bus::aggregates::Log;
use bus::{AppendError, Bus};
use domain::ids::{RunId, ServiceName};
use domain::plan::plan;
use domain::platform::PlatformSpec;
use domain::release::Releases;
use domain::run::{Change, Created, Event, Kind, Run};
use domain::version;
use jiff::Timestamp;
use semver::Version;
use source::{Commit, RefName, Source};

pub(crate) use naming::run_id;
pub(crate) use request::slipway;
pub use request::{CommitRequest, DefaultBranch, Unreachable};

use crate::Error;
use crate::error::chain;
use crate::parts::Parts;
use crate::projection::Projection;
use reuse::Sought;
use tree::Found;
use versioning::{Reserved, Wish};

/// What is kept of the reason of a refusal.
const LONGEST_REASON_BYTES: usize = 20_000;

/// Makes runs of commits. Cheap to clone.
#[derive(Clone)]
pub struct Intake {
    bus: Bus,
    source: Source,
    platform: Arc<PlatformSpec>,
    projection: Projection,
    parts: Arc<Parts>,
    runs: Log<Run>,
    releases: Log<Releases>,
}

impl Intake {
    /// An intake for a platform.
    #[must_use]
    pub(crate) fn new(
        bus: Bus,
        source: Source,
        platform: Arc<PlatformSpec>,
        projection: Projection,
        parts: Arc<Parts>,
        runs: Log<Run>,
        releases: Log<Releases>,
    ) -> Self {
        Self {
            bus,
            source,
            platform,
            projection,
            parts,
            runs,
            releases,
        }
    }

    /// Makes the runs of a commit: none where it concerns no service, refused ones where something is wrong.
    ///
    /// # Errors
    /// When the bus can't be used, or, where the request says so, when the repository can't be read now. The same
    /// request may then be made again.
    pub async fn accept(&self, request: &CommitRequest) -> Result<Vec<Run>, Error> {
        self.projection.caught_up().await?;
        let commit = match self.fetch(request).await {
            Ok(Some(commit)) => commit,
            Ok(None) => return Ok(Vec::new()),
            Err(error) => {
                return self
                    .refuse_all(request, request.change(request.guessed_service()), error)
                    .await;
            }
        };
        let change = change_of(request, &commit, request.guessed_service());
        let found = match self.discover(request, &commit).await {
            Ok(found) => found,
            Err(error) => return self.refuse_all(request, change, error).await,
        };
        let mut runs: Vec<Run> = Vec::new();
        for found in found {
            let change = Change {
                service: found.name.clone(),
                path: found.folder.clone(),
                ..change.clone()
            };
            match self.carry(request, &commit, change.clone(), found).await {
                Ok(None) => {}
                Ok(Some(run)) => runs.push(run),
                Err(error) => runs.extend(self.refuse_all(request, change, error).await?),
            }
        }
        if let Some(last) = runs.iter().map(|run| run.last_sequence).max() {
            self.projection.reaches(last).await;
        }
        for run in &runs {
            self.supersede(run).await?;
        }
        Ok(runs)
    }

    /// The commit; `None` where it is of no interest.
    async fn fetch(&self, request: &CommitRequest) -> Result<Option<Commit>, Error> {
        if !self.is_of_interest(request).await? {
            tracing::info!(repository.url = %request.repository, "{} starts no run", request.reference_text());
            return Ok(None);
        }
        let name = match (&request.commit, &request.reference) {
            (Some(commit), _) => RefName::from(commit),
            (None, Some(reference)) => reference.clone(),
            (None, None) => RefName::parse(&format!(
                "refs/heads/{}",
                self.source.default_branch(&request.repository).await?
            ))?,
        };
        Ok(Some(self.source.fetch(&request.repository, &name).await?))
    }

    async fn is_of_interest(&self, request: &CommitRequest) -> Result<bool, Error> {
        let (Some(default), Some(reference), None) = (
            &request.only_releasable,
            &request.reference,
            &request.proposal,
        ) else {
            return Ok(true);
        };
        if reference.as_str().starts_with("refs/tags/") {
            return Ok(true);
        }
        let branch = reference
            .as_str()
            .strip_prefix("refs/heads/")
            .unwrap_or(reference.as_str());
        Ok(match default {
            DefaultBranch::Named(default) => branch == default,
            DefaultBranch::Unknown => {
                self.source.default_branch(&request.repository).await? == branch
            }
        })
    }

    /// Plans the run of one service, or finds it planned already. `None` where the pushed tag is not about it.
    async fn carry(
        &self,
        request: &CommitRequest,
        commit: &Commit,
        change: Change,
        found: Found,
    ) -> Result<Option<Run>, Error> {
        let id = run_id(&request.trigger.delivery, &change.service);
        if let Some(run) = self.runs.get(&id).await? {
            worker::enqueue_ready(&self.bus, &run).await;
            return Ok(Some(run));
        }
        let tag = pushed_tag(request, commit);
        let tagged = tag
            .as_ref()
            .and_then(|tag| Some((version::of_tag(change.service.as_str(), tag)?, tag.clone())));
        if request.only_releasable.is_some()
            && request.proposal.is_none()
            && tag.is_some()
            && tagged.is_none()
        {
            return Ok(None);
        }
        let spec = match found.spec {
            Ok(spec) => spec,
            Err(reason) => return self.refuse(&id, change, reason).await.map(Some),
        };
        let plan = plan(&spec, &self.platform, &change.kind);
        let (version, reused) = match change.kind {
            Kind::Change => {
                let wish = Wish {
                    run: &id,
                    service: &change.service,
                    folder: &found.folder,
                    commit,
                    tag: tagged,
                };
                let sought = Sought {
                    change: &change,
                    spec: &spec,
                    plan: &plan,
                };
                let earlier = match request.fresh {
                    true => None,
                    false => self.reuse(&wish, &sought).await?,
                };
                let (reserved, reused) = match earlier {
                    Some(earlier) => (Reserved::Version(earlier.version), earlier.stages),
                    None => (self.reserve(&wish).await?, Vec::new()),
                };
                match reserved {
                    Reserved::Version(version) => (Some(version), reused),
                    Reserved::Taken { commit: same, .. }
                        if request.only_releasable.is_some() && same == commit.id.as_str() =>
                    {
                        return Ok(None);
                    }
                    Reserved::Taken { by, version, .. } => {
                        return self
                            .refuse(&id, change, taken(&version, &by))
                            .await
                            .map(Some);
                    }
                }
            }
            Kind::Proposal { .. } | Kind::Deploy(_) | Kind::Rollback(_) => (None, Vec::new()),
        };
        let created = Created {
            run: id.clone(),
            change: change.clone(),
            version,
            spec,
            plan,
            reused,
            at: Timestamp::now(),
        };
        match self.create(&id, Event::Created(Box::new(created))).await {
            Err(Error::Bus(error @ bus::Error::TooLarge { .. })) => {
                let reason = format!("{error}; make the service file smaller");
                self.refuse(&id, change, reason).await.map(Some)
            }
            created => created.map(Some),
        }
    }

    /// Appends a run's first event and enqueues its first stages; a run that exists already is returned as it is.
    pub(crate) async fn create(&self, id: &RunId, event: Event) -> Result<Run, Error> {
        match self.runs.append(id, 0, &event).await {
            Ok(_) | Err(AppendError::Conflict { .. }) => {}
            Err(AppendError::Bus(error)) => return Err(error.into()),
        }
        let run = self
            .runs
            .get(id)
            .await?
            .ok_or_else(|| Error::not_found(format!("there is no run {id}")))?;
        tracing::info!(run.id = %id, service.name = %run.change.service, "run is {}", run.state().name());
        worker::enqueue_ready(&self.bus, &run).await;
        Ok(run)
    }

    async fn refuse(&self, id: &RunId, change: Change, reason: String) -> Result<Run, Error> {
        let reason = shortened(reason);
        self.create(
            id,
            Event::Refused {
                change: Box::new(change),
                reason,
                at: Timestamp::now(),
            },
        )
        .await
    }

    /// The refused run that an error makes, unless the request can be made again.
    async fn refuse_all(
        &self,
        request: &CommitRequest,
        change: Change,
        error: Error,
    ) -> Result<Vec<Run>, Error> {
        let again = error.is_retryable() && request.unreachable == Unreachable::TryAgain;
        if again || matches!(error, Error::Bus(_) | Error::Unavailable { .. }) {
            return Err(error);
        }
        let id = run_id(&request.trigger.delivery, &change.service);
        let run = self.refuse(&id, change, chain(&error)).await?;
        self.projection.reaches(run.last_sequence).await;
        Ok(vec![run])
    }
}

/// The reason, or the beginning of one that is longer than anybody reads.
fn shortened(mut reason: String) -> String {
    if reason.len() > LONGEST_REASON_BYTES {
        reason.truncate(reason.floor_char_boundary(LONGEST_REASON_BYTES));
        reason.push_str("\n… and more: mend this first");
    }
    reason
}

fn change_of(request: &CommitRequest, commit: &Commit, service: ServiceName) -> Change {
    let reference = match request.reference_text() {
        text if text.is_empty() => {
            let reference = commit.reference.as_deref().unwrap_or_default();
            reference
                .strip_prefix("refs/heads/")
                .unwrap_or(reference)
                .to_owned()
        }
        text => text,
    };
    Change {
        reference,
        commit: commit.id.to_string(),
        subject: commit.subject.clone(),
        author: format!("{} <{}>", commit.author_name, commit.author_email),
        ..request.change(service)
    }
}

/// The tag that was pushed or asked for.
fn pushed_tag(request: &CommitRequest, commit: &Commit) -> Option<String> {
    let asked = request.reference_text();
    let reference = commit.reference.as_deref().unwrap_or(&asked);
    reference.strip_prefix("refs/tags/").map(str::to_owned)
}

fn taken(version: &Version, by: &RunId) -> String {
    format!(
        "the tag names version {version}, which run {by} has already; a version is released once: push a tag with a \
         higher one, or deploy {version} where it is missing"
    )
}
