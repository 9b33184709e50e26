//! The services of a commit.

use std::collections::BTreeSet;

use domain::spec::ServiceSpec;
use source::{Commit, LogQuery, RefName, RepositoryUrl};

use super::tree::{self, Found, SERVICE_FILE};
use super::{CommitRequest, Intake};
use crate::Error;

impl Intake {
    /// The services of the commit that the request is about.
    pub(super) async fn discover(
        &self,
        request: &CommitRequest,
        commit: &Commit,
    ) -> Result<Vec<Found>, Error> {
        let paths: BTreeSet<String> = self
            .source
            .list_files(commit, "")
            .await?
            .into_iter()
            .collect();
        let named = |path: &&String| path.rsplit('/').next() == Some(SERVICE_FILE);
        let registered = self.registered_folders(request);
        let wanted = |path: &&String| {
            registered
                .as_ref()
                .is_none_or(|folders| folders.iter().any(|f| f == tree::folder_of(path)))
        };
        let mut files = Vec::new();
        for path in paths.iter().filter(named).filter(wanted) {
            let bytes = self
                .source
                .read_file(commit, path)
                .await?
                .unwrap_or_default();
            files.push((path.clone(), bytes.to_vec()));
        }
        if files.is_empty() {
            return dockerfile_only(request, commit, &paths).map(|found| vec![found]);
        }
        let mut found = tree::services(&files, &paths, request.repository.name(), &self.platform);
        if let Some(service) = &request.service {
            let names: Vec<String> = found.iter().map(|f| format!("`{}`", f.name)).collect();
            found.retain(|f| f.name == *service);
            if found.is_empty() {
                let there = format!("it has {}", names.join(", "));
                let what = format!(
                    "there is no service `{service}` in {} at {}; {there}",
                    request.repository, commit.id
                );
                return Err(Error::NotFound { what });
            }
            return Ok(found);
        }
        self.only_changed(request, commit, found).await
    }

    /// Those services that the push or proposal changes; all of them where that can't be told.
    async fn only_changed(
        &self,
        request: &CommitRequest,
        commit: &Commit,
        mut found: Vec<Found>,
    ) -> Result<Vec<Found>, Error> {
        if let Some(before) = &request.before {
            match self.source.changed_paths(before, commit).await {
                Ok(changed) => found.retain(|f| tree::has_changed(&f.folder, &changed)),
                Err(source::Error::UnknownRevision { .. }) => {}
                Err(error) => return Err(error.into()),
            }
        }
        let Some(target) = request.target.as_ref().filter(|_| found.len() > 1) else {
            return Ok(found);
        };
        let target = match self.source.fetch(&request.repository, target).await {
            Ok(target) => target,
            Err(source::Error::RefNotFound { .. }) => return Ok(found),
            Err(error) => return Err(error.into()),
        };
        let mut changed = Vec::new();
        for found in found {
            let query = LogQuery {
                since: Some(RefName::from(&target.id)),
                path: (!found.folder.is_empty()).then(|| found.folder.clone()),
                limit: 1,
            };
            if !self.source.log(commit, &query).await?.is_empty() {
                changed.push(found);
            }
        }
        Ok(changed)
    }

    /// The folders that the platform file names for the repository.
    fn registered_folders(&self, request: &CommitRequest) -> Option<Vec<String>> {
        let same = |url: &str| RepositoryUrl::parse(url).is_ok_and(|url| url == request.repository);
        let repository = self
            .platform
            .repositories
            .iter()
            .find(|r| !r.services.is_empty() && same(&r.url))?;
        let plain = |folder: &String| {
            let parts: Vec<&str> = folder
                .split('/')
                .filter(|part| !matches!(*part, "" | "."))
                .collect();
            parts.join("/")
        };
        Some(repository.services.iter().map(plain).collect())
    }
}

/// A repository without a service file: its Dockerfile is enough.
fn dockerfile_only(
    request: &CommitRequest,
    commit: &Commit,
    paths: &BTreeSet<String>,
) -> Result<Found, Error> {
    if !paths.contains("Dockerfile") {
        let what = format!(
            "{} has neither a {SERVICE_FILE} nor a Dockerfile at its root in commit {}: add a Dockerfile, or a \
             {SERVICE_FILE} that says at least `service: {}`",
            request.repository,
            commit.id,
            request.guessed_service()
        );
        return Err(Error::NotFound { what });
    }
    let name = request.guessed_service();
    Ok(Found {
        name: name.clone(),
        folder: String::new(),
        spec: Ok(ServiceSpec::for_dockerfile_only(name)),
    })
}
