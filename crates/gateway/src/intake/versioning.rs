//! The version of a run: decided from releases, Git tags and commits, and reserved so that no other run gets it.

use bus::aggregates::UpdateError;
use domain::ids::{RunId, ServiceName};
use domain::release::{Base, Event, Releases};
use domain::run::{Kind, Run, RunState};
use domain::stage::StageName;
use domain::version::{self, Level, PlannedVersion};
use jiff::{SignedDuration, Timestamp};
use semver::Version;
use source::{Commit, LogQuery, RefName};

use super::Intake;
use crate::Error;

/// Turns in which another run was always faster, after which we give up.
const RACES: usize = 50;

/// How long after the reservation of its version a run appears at the latest, or never.
const APPEARS_WITHIN: SignedDuration = SignedDuration::from_secs(120);

/// What the version of a run depends on.
pub(super) struct Wish<'a> {
    pub(super) run: &'a RunId,
    pub(super) service: &'a ServiceName,
    pub(super) folder: &'a str,
    pub(super) commit: &'a Commit,
    /// The version that the pushed tag names, and the tag.
    pub(super) tag: Option<(Version, String)>,
}

/// What came of a wish.
pub(super) enum Reserved {
    /// The run has this version.
    Version(PlannedVersion),
    /// The tag names a version that another run has.
    Taken {
        by: RunId,
        commit: String,
        version: Version,
    },
}

/// The state is not the one any more from which the version was decided.
#[derive(Debug, thiserror::Error)]
#[error("another run was faster")]
pub(super) struct Overtaken;

impl Intake {
    /// Decides the version and reserves it. For a run that has one, this is it.
    pub(super) async fn reserve(&self, wish: &Wish<'_>) -> Result<Reserved, Error> {
        let tags = self.tags(wish).await?;
        let moves = |run: &RunId| run != wish.run && self.is_on_its_way(run);
        for _ in 0..RACES {
            let releases = self.releases.get(wish.service).await?.unwrap_or_default();
            let base = releases.base(&tags, moves);
            if let Some((version, commit, by)) = self.taken(&releases, wish) {
                return Ok(Reserved::Taken {
                    by,
                    commit,
                    version,
                });
            }
            let planned = self.decide(wish, base.as_ref()).await?;
            if let Some((version, level)) = reservation_of(&releases, wish.run) {
                return Ok(Reserved::Version(PlannedVersion {
                    version: version.clone(),
                    level,
                    ..planned
                }));
            }
            let event = Event::Reserved {
                run: wish.run.clone(),
                version: planned.version.clone(),
                level: planned.level,
                commit: wish.commit.id.to_string(),
                at: Timestamp::now(),
            };
            let reserve = |state: Option<&Releases>| {
                let state = state.cloned().unwrap_or_default();
                let same = state.base(&tags, moves) == base && self.taken(&state, wish).is_none();
                if same && reservation_of(&state, wish.run).is_none() {
                    Ok(Some(event.clone()))
                } else {
                    Err(Overtaken)
                }
            };
            match self.releases.update(wish.service, reserve).await {
                Ok(_) => return Ok(Reserved::Version(planned)),
                Err(UpdateError::Refused(Overtaken)) => {}
                Err(UpdateError::Bus(error)) => return Err(error.into()),
                Err(UpdateError::Absent | UpdateError::Contended) => break,
            }
        }
        let why = format!(
            "too many runs of {} are being planned at the same time; try again",
            wish.service
        );
        Err(Error::Unavailable { why })
    }

    /// The versions that Git tags name, with their commits; not the one that the wish is about.
    pub(super) async fn tags(&self, wish: &Wish<'_>) -> Result<Vec<(Version, String)>, Error> {
        let own = wish.tag.as_ref().map(|(_, tag)| tag.as_str());
        let tags = self.source.tags_merged(wish.commit).await?;
        let others = tags
            .into_iter()
            .filter(|tag| Some(tag.name.as_str()) != own);
        Ok(others
            .filter_map(|tag| {
                Some((
                    version::of_tag(wish.service.as_str(), &tag.name)?,
                    tag.commit.to_string(),
                ))
            })
            .collect())
    }

    async fn decide(&self, wish: &Wish<'_>, base: Option<&Base>) -> Result<PlannedVersion, Error> {
        let previous = base.map(|base| &base.version);
        if let Some((version, tag)) = &wish.tag {
            return Ok(version::tagged(previous, version.clone(), tag));
        }
        let messages = self.messages_since(wish, base).await?;
        let planned = version::next(previous, messages.iter().map(String::as_str));
        Ok(match base.filter(|_| messages.is_empty()) {
            Some(base) => PlannedVersion {
                because: self.nothing_since(wish, base).await?,
                ..planned
            },
            None => planned,
        })
    }

    /// What the version follows where no commit does: a tag by its name, which people know, or a release.
    async fn nothing_since(&self, wish: &Wish<'_>, base: &Base) -> Result<String, Error> {
        let tags = self.source.tags_merged(wish.commit).await?;
        let names_base = |tag: &&source::Tag| {
            tag.commit.to_string() == base.commit
                && version::of_tag(wish.service.as_str(), &tag.name).as_ref() == Some(&base.version)
        };
        let here = if wish.commit.id.to_string() == base.commit {
            ", which is on this very commit"
        } else {
            ""
        };
        Ok(match tags.iter().find(names_base) {
            Some(tag) => format!("patch: no commit since tag {}{here}", tag.name),
            None => format!("patch: no commit since {}", base.version),
        })
    }

    /// The messages of the commits since `base`; where that one is not part of what was fetched, as after a forced
    /// push, only the newest.
    async fn messages_since(
        &self,
        wish: &Wish<'_>,
        base: Option<&Base>,
    ) -> Result<Vec<String>, Error> {
        let path = (!wish.folder.is_empty()).then(|| wish.folder.to_owned());
        let since = base.map(|base| RefName::parse(&base.commit)).transpose()?;
        let query = LogQuery {
            since,
            path,
            ..LogQuery::default()
        };
        let entries = match self.source.log(wish.commit, &query).await {
            Err(source::Error::UnknownRevision { .. }) => {
                let newest = LogQuery {
                    since: None,
                    limit: 1,
                    ..query
                };
                self.source.log(wish.commit, &newest).await?
            }
            entries => entries?,
        };
        Ok(entries.into_iter().map(|entry| entry.message).collect())
    }

    /// The other run that has released, or is about to release, the version that the tag names.
    fn taken(&self, releases: &Releases, wish: &Wish<'_>) -> Option<(Version, String, RunId)> {
        let (version, _) = wish.tag.as_ref()?;
        let record = releases.versions.get(version)?;
        let released = record
            .release
            .as_ref()
            .map(|release| (release.commit.clone(), release.run.clone()));
        let coming = || {
            let mut others = record
                .reservations
                .iter()
                .filter(|other| other.run != *wish.run);
            others
                .find(|other| self.is_on_its_way(&other.run))
                .map(|other| (other.commit.clone(), other.run.clone()))
        };
        let (commit, run) = released
            .filter(|(_, run)| run != wish.run)
            .or_else(coming)?;
        Some((version.clone(), commit, run))
    }

    /// Whether a run comes to production without anybody having to act. One that is not known yet has just reserved
    /// its version and is about to appear, unless its gateway crashed in between.
    fn is_on_its_way(&self, run: &RunId) -> bool {
        match self.projection.run(run) {
            Some(run) => is_moving(&run),
            None => self
                .projection
                .expected_since(run)
                .is_none_or(|since| Timestamp::now().duration_since(since) < APPEARS_WITHIN),
        }
    }
}

fn is_moving(run: &Run) -> bool {
    let state = run.state();
    run.change.kind == Kind::Change
        && !state.is_ended()
        && state != RunState::WaitingForApproval
        && run.stage(&StageName::Promote).is_some()
}

/// The version that a run has reserved.
pub(super) fn reservation_of<'a>(
    releases: &'a Releases,
    run: &RunId,
) -> Option<(&'a Version, Level)> {
    releases.versions.iter().find_map(|(version, record)| {
        let mine = record
            .reservations
            .iter()
            .find(|reservation| reservation.run == *run)?;
        Some((version, mine.level))
    })
}
