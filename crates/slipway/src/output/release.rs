//! Releases for scripts: what `release list` and `release show` print.

use proto::gateway::v1;
use serde::Serialize;

use super::time::rfc3339;

/// The answer of `release list`.
#[derive(Debug, Serialize)]
pub struct Releases {
    /// The newest version of each service first.
    pub releases: Vec<Release>,
}

/// One version of a service.
#[derive(Debug, Serialize)]
pub struct Release {
    /// The service.
    pub service: String,
    /// The version.
    pub version: String,
    /// `sha256:…` of the image.
    pub image_digest: String,
    /// `host/name` in the production registry; empty for a mere candidate.
    pub repository: String,
    /// The run that made it.
    pub run_id: String,
    /// The commit that it was made from.
    pub commit: String,
    /// When it was promoted.
    pub released_at: Option<String>,
    /// What was published on the way to it.
    pub candidates: Vec<Candidate>,
    /// Where exactly this digest runs now.
    pub environments: Vec<String>,
}

/// A tested image on its way to be a release.
#[derive(Debug, Serialize)]
pub struct Candidate {
    /// `X.Y.Z-rc.N`.
    pub tag: String,
    /// The run that published it.
    pub run_id: String,
    /// `sha256:…` of the image.
    pub image_digest: String,
    /// When.
    pub published_at: Option<String>,
    /// Where exactly this image runs now.
    pub environments: Vec<String>,
}

impl Releases {
    /// Several releases.
    #[must_use]
    pub fn of(releases: &[v1::Release]) -> Self {
        Self {
            releases: releases.iter().map(Release::of).collect(),
        }
    }
}

impl Release {
    /// One release.
    #[must_use]
    pub fn of(release: &v1::Release) -> Self {
        let release = release.clone();
        Self {
            service: release.service,
            version: release.version,
            image_digest: release.image_digest,
            repository: release.repository,
            run_id: release.run_id,
            commit: release.commit,
            released_at: rfc3339(release.released_at.as_ref()),
            candidates: release.candidates.into_iter().map(Candidate::of).collect(),
            environments: release.environments,
        }
    }
}

impl Candidate {
    fn of(candidate: v1::Candidate) -> Self {
        Self {
            tag: candidate.tag,
            run_id: candidate.run_id,
            image_digest: candidate.image_digest,
            published_at: rfc3339(candidate.published_at.as_ref()),
            environments: candidate.environments,
        }
    }
}
