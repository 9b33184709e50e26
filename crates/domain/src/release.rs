//! The releases of one service: versions reserved, candidates published, releases promoted.

use std::collections::BTreeMap;

use jiff::Timestamp;
use semver::Version;

use crate::ids::{Digest, RunId};
use crate::version::Level;

/// One event of a service's releases.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A run was planned and would release this version.
    Reserved {
        /// The run.
        run: RunId,
        /// Its version.
        version: Version,
        /// How far it is from the one before.
        level: Level,
        /// The commit that it is built from.
        commit: String,
        /// When.
        at: Timestamp,
    },
    /// A run's tested image became a candidate in the development registry.
    CandidatePublished {
        /// The run.
        run: RunId,
        /// The version that it is a candidate for.
        version: Version,
        /// N of `X.Y.Z-rc.N`.
        number: u32,
        /// `host/name` in the development registry.
        repository: String,
        /// Digest of the manifest or index.
        digest: Digest,
        /// When.
        at: Timestamp,
    },
    /// A candidate became a release in the production registry.
    Released {
        /// The run that promoted it.
        run: RunId,
        /// The version.
        version: Version,
        /// `host/name` in the production registry.
        repository: String,
        /// Digest of the manifest or index.
        digest: Digest,
        /// The commit that it was built from.
        commit: String,
        /// When.
        at: Timestamp,
    },
}

/// All releases of one service, folded.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Releases {
    /// What is known of each version.
    pub versions: BTreeMap<Version, Record>,
    /// Sequence of the last event; what the next append expects.
    pub last_sequence: u64,
}

/// What is known of one version.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Record {
    /// Runs that would release it.
    pub reservations: Vec<Reservation>,
    /// Candidates in the order of their numbers.
    pub candidates: Vec<Candidate>,
    /// The release, once there is one.
    pub release: Option<Release>,
}

/// A run that would release a version.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reservation {
    /// The run.
    pub run: RunId,
    /// Its commit.
    pub commit: String,
    /// How far the version is from the one before.
    pub level: Level,
}

/// A tested image with a version, in the development registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The run that made it.
    pub run: RunId,
    /// N of `X.Y.Z-rc.N`.
    pub number: u32,
    /// `host/name` in the development registry.
    pub repository: String,
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// When it was published.
    pub at: Timestamp,
}

/// A candidate that was promoted to the production registry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Release {
    /// The run that promoted it.
    pub run: RunId,
    /// `host/name` in the production registry.
    pub repository: String,
    /// Digest of the manifest or index.
    pub digest: Digest,
    /// The commit that it was built from.
    pub commit: String,
    /// When it was promoted.
    pub at: Timestamp,
}

/// The version that the next one follows, and the commit since which changes count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Base {
    /// The version.
    pub version: Version,
    /// The commit that it was built from or that its tag names.
    pub commit: String,
}

impl Releases {
    /// Folds events, given with their sequence on the bus.
    pub fn fold(events: impl IntoIterator<Item = (u64, Event)>) -> Self {
        events
            .into_iter()
            .fold(Self::default(), |state, (sequence, event)| {
                state.apply(sequence, event)
            })
    }

    /// Applies an event; an old one or a second release of a version changes nothing.
    #[must_use]
    pub fn apply(mut self, sequence: u64, event: Event) -> Self {
        if sequence <= self.last_sequence {
            return self;
        }
        self.last_sequence = sequence;
        match event {
            Event::Reserved {
                run,
                version,
                level,
                commit,
                ..
            } => {
                let record = self.versions.entry(version).or_default();
                if !record.reservations.iter().any(|r| r.run == run) {
                    record.reservations.push(Reservation { run, commit, level });
                }
            }
            Event::CandidatePublished {
                run,
                version,
                number,
                repository,
                digest,
                at,
            } => {
                let record = self.versions.entry(version).or_default();
                if !record
                    .candidates
                    .iter()
                    .any(|c| c.run == run || c.number == number)
                {
                    record.candidates.push(Candidate {
                        run,
                        number,
                        repository,
                        digest,
                        at,
                    });
                }
            }
            Event::Released {
                run,
                version,
                repository,
                digest,
                commit,
                at,
            } => {
                let record = self.versions.entry(version).or_default();
                record.release.get_or_insert(Release {
                    run,
                    repository,
                    digest,
                    commit,
                    at,
                });
            }
        }
        self
    }

    /// What the next version follows: the highest among releases, Git tags (`tags`, with their commits) and versions
    /// reserved by runs that `moves` calls on their way to production without waiting for anybody.
    ///
    /// Candidates that wait for approval don't count: they compete for the same version, as `rc.1`, `rc.2`, …
    #[must_use]
    pub fn base(&self, tags: &[(Version, String)], moves: impl Fn(&RunId) -> bool) -> Option<Base> {
        let known = self.versions.iter().filter_map(|(version, record)| {
            let commit = match &record.release {
                Some(release) => &release.commit,
                None => {
                    &record
                        .reservations
                        .iter()
                        .rev()
                        .find(|r| moves(&r.run))?
                        .commit
                }
            };
            Some(Base {
                version: version.clone(),
                commit: commit.clone(),
            })
        });
        let tagged = tags.iter().map(|(version, commit)| Base {
            version: version.clone(),
            commit: commit.clone(),
        });
        known.chain(tagged).max_by(|a, b| a.version.cmp(&b.version))
    }

    /// The candidate that a run published.
    #[must_use]
    pub fn candidate_of(&self, run: &RunId) -> Option<(&Version, &Candidate)> {
        self.versions.iter().find_map(|(version, record)| {
            record
                .candidates
                .iter()
                .find(|c| c.run == *run)
                .map(|c| (version, c))
        })
    }

    /// N of the next `X.Y.Z-rc.N`.
    #[must_use]
    pub fn next_candidate(&self, version: &Version) -> u32 {
        self.versions
            .get(version)
            .and_then(|r| r.candidates.iter().map(|c| c.number).max())
            .unwrap_or(0)
            + 1
    }

    /// The release of a version.
    #[must_use]
    pub fn release(&self, version: &Version) -> Option<&Release> {
        self.versions.get(version).and_then(|r| r.release.as_ref())
    }
}

/// The tag of a candidate.
#[must_use]
pub fn candidate_tag(version: &Version, number: u32) -> String {
    if version.pre.is_empty() {
        format!("{version}-rc.{number}")
    } else {
        format!("{version}.rc.{number}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(text: &str) -> RunId {
        text.parse().unwrap()
    }

    fn digest(nibble: char) -> Digest {
        format!("sha256:{}", nibble.to_string().repeat(64))
            .parse()
            .unwrap()
    }

    fn reserved(name: &str, version: Version) -> Event {
        let commit = format!("commit-of-{name}");
        Event::Reserved {
            run: run(name),
            version,
            level: Level::Minor,
            commit,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    fn published(name: &str, version: Version, number: u32) -> Event {
        let (repository, digest) = ("dev/a".to_owned(), digest('a'));
        Event::CandidatePublished {
            run: run(name),
            version,
            number,
            repository,
            digest,
            at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_version_on_its_way_is_not_given_twice() {
        let state = Releases::fold([(1, reserved("r1", Version::new(1, 1, 0)))]);
        assert_eq!(
            state.base(&[], |_| true).unwrap().version,
            Version::new(1, 1, 0)
        );
        assert_eq!(state.base(&[], |_| false), None);
        let tags = [(Version::new(1, 0, 0), "c0".to_owned())];
        assert_eq!(state.base(&tags, |_| false).unwrap().commit, "c0");
    }

    #[test]
    fn candidates_are_numbered_and_one_run_has_one() {
        let version = Version::new(1, 1, 0);
        let events = [
            published("r1", version.clone(), 1),
            published("r1", version.clone(), 2),
        ];
        let state = Releases::fold((1..).zip(events));
        assert_eq!(state.next_candidate(&version), 2);
        assert_eq!(state.candidate_of(&run("r1")).unwrap().1.number, 1);
        assert_eq!(candidate_tag(&version, 2), "1.1.0-rc.2");
    }

    #[test]
    fn a_release_is_never_replaced() {
        let released = |d: char| Event::Released {
            run: run("r1"),
            version: Version::new(1, 0, 0),
            repository: "prod/a".to_owned(),
            digest: digest(d),
            commit: "c".to_owned(),
            at: Timestamp::UNIX_EPOCH,
        };
        let state = Releases::fold([(1, released('a')), (2, released('b'))]);
        assert_eq!(
            state.release(&Version::new(1, 0, 0)).unwrap().digest,
            digest('a')
        );
    }
}
