//! Releases: what versions there are, and where they run.

use std::sync::Arc;

use domain::ids::{Digest, EnvironmentName, ServiceName};
use domain::release::{Record, candidate_tag};
use proto::event::time::to_wire;
use proto::gateway::v1::release_service_server::ReleaseService;
use proto::gateway::v1::{
    Candidate, GetReleaseRequest, ListReleasesRequest, ListReleasesResponse, Release,
};
use semver::Version;
use tonic::{Request, Response, Status};

use super::{Questions, paging};
use crate::Error;
use crate::placing::{no_such_version, version_of};
use crate::rollouts::History;

#[tonic::async_trait]
impl ReleaseService for Questions {
    async fn list_releases(
        &self,
        request: Request<ListReleasesRequest>,
    ) -> Result<Response<ListReleasesResponse>, Status> {
        let request = request.into_inner();
        let service: Option<ServiceName> = match request.service.as_str() {
            "" => None,
            name => Some(name.parse().map_err(Error::from)?),
        };
        self.projection.caught_up().await?;
        if let Some(service) = &service {
            self.knows_service(service)?;
        }
        let page = paging::page(request.page_size, request.page_token);
        let rollouts = self.projection.rollouts();
        let mut releases: Vec<Release> = Vec::new();
        for (service, of_service) in self.projection.releases(service.as_ref()) {
            let shown = of_service
                .versions
                .iter()
                .rev()
                .filter(|(_, record)| is_shown(record));
            releases
                .extend(shown.map(|(version, record)| view(&service, version, record, &rollouts)));
        }
        let from = match &page.token {
            None => 0,
            Some(token) => {
                let last = releases
                    .iter()
                    .position(|release| page_token(release) == *token);
                last.ok_or_else(|| {
                    Error::field("page_token", "it is not one that an earlier answer gave")
                })? + 1
            }
        };
        let more = releases.len() > from + page.size;
        let releases: Vec<Release> = releases.into_iter().skip(from).take(page.size).collect();
        let next_page_token = releases
            .last()
            .filter(|_| more)
            .map(page_token)
            .unwrap_or_default();
        Ok(Response::new(ListReleasesResponse {
            releases,
            next_page_token,
        }))
    }

    async fn get_release(
        &self,
        request: Request<GetReleaseRequest>,
    ) -> Result<Response<Release>, Status> {
        let request = request.into_inner();
        let service: ServiceName = request.service.parse().map_err(Error::from)?;
        self.projection.caught_up().await?;
        let releases = self
            .releases
            .get(&service)
            .await
            .map_err(Error::from)?
            .unwrap_or_default();
        let (version, _) = version_of(&request.version, &releases)?;
        let record = releases
            .versions
            .get(&version)
            .filter(|record| is_shown(record));
        let record =
            record.ok_or_else(|| no_such_version(&service, &request.version, &releases))?;
        Ok(Response::new(view(
            &service,
            &version,
            record,
            &self.projection.rollouts(),
        )))
    }
}

/// A version that was only reserved is nobody's business yet.
fn is_shown(record: &Record) -> bool {
    record.release.is_some() || !record.candidates.is_empty()
}

fn page_token(release: &Release) -> String {
    format!("{}/{}", release.service, release.version)
}

type AllRollouts = [((EnvironmentName, ServiceName), Arc<History>)];

fn view(
    service: &ServiceName,
    version: &Version,
    record: &Record,
    rollouts: &AllRollouts,
) -> Release {
    let newest = record.candidates.last();
    let release = record.release.as_ref();
    let digest = release.map(|r| &r.digest).or(newest.map(|c| &c.digest));
    let run = release.map(|r| &r.run).or(newest.map(|c| &c.run));
    let reserved = || {
        record
            .reservations
            .iter()
            .find(|r| Some(&r.run) == run)
            .map(|r| r.commit.clone())
    };
    let candidates = record.candidates.iter().map(|candidate| {
        let tag = candidate_tag(version, candidate.number);
        let names = [tag.clone(), version.to_string()];
        Candidate {
            environments: places(service, &candidate.digest, &names, rollouts),
            tag,
            run_id: candidate.run.to_string(),
            image_digest: candidate.digest.to_string(),
            published_at: Some(to_wire(candidate.at)),
        }
    });
    let tags = record
        .candidates
        .iter()
        .map(|candidate| candidate_tag(version, candidate.number));
    let names: Vec<String> = tags.chain([version.to_string()]).collect();
    Release {
        service: service.to_string(),
        version: version.to_string(),
        image_digest: digest.map(ToString::to_string).unwrap_or_default(),
        repository: release.map(|r| r.repository.clone()).unwrap_or_default(),
        run_id: run.map(ToString::to_string).unwrap_or_default(),
        commit: release
            .map(|r| r.commit.clone())
            .or_else(reserved)
            .unwrap_or_default(),
        released_at: release.map(|r| to_wire(r.at)),
        candidates: candidates.collect(),
        environments: digest.map_or_else(Vec::new, |d| places(service, d, &names, rollouts)),
    }
}

/// The environments that run exactly this image under one of these names. A version has several candidates, of which
/// only one becomes the release: where another one runs, this one does not.
fn places(
    service: &ServiceName,
    digest: &Digest,
    names: &[String],
    rollouts: &AllRollouts,
) -> Vec<String> {
    let runs_it = |history: &History| {
        let current = history.rollouts.current().map(|placed| &placed.placement);
        current.is_some_and(|p| p.digest == *digest && names.contains(&p.version))
    };
    let here = rollouts
        .iter()
        .filter(|((_, of), history)| of == service && runs_it(history));
    here.map(|((environment, _), _)| environment.to_string())
        .collect()
}
