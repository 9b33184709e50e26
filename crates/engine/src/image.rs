//! Images: whether they are here, fetching them, naming them, pushing them.

use std::{collections::BTreeMap, time::Duration};

use bollard::{
    errors::Error as DockerError,
    models::ImageInspect,
    query_parameters::{
        CreateImageOptionsBuilder, PushImageOptionsBuilder, RemoveImageOptionsBuilder,
        TagImageOptionsBuilder,
    },
};
use futures::{Stream, StreamExt};

use crate::{
    Credentials, Engine, Error, OutputChunk, OutputSink, Result,
    connection::{QUICK, SLOW, within},
    error::is_network_trouble,
    output::emit,
};

/// The time limit of pulling or pushing one image.
const TRANSFER_LIMIT: Duration = Duration::from_secs(30 * 60);
/// How long a registry may be silent.
const SILENCE_LIMIT: Duration = Duration::from_secs(90);

/// An image on the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ImageInfo {
    /// Its id on this engine: `sha256:…` of its configuration.
    pub id: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its names.
    pub tags: Vec<String>,
    /// Its manifest's digests in the registries that it came from or went to: `repository@sha256:…`.
    pub repo_digests: Vec<String>,
    /// The TCP ports that it declares.
    pub exposed_ports: Vec<u16>,
    /// The user it runs as; empty is root.
    pub user: String,
    /// Its working directory.
    pub workdir: String,
    /// Its size in bytes, unpacked.
    pub size: u64,
}

impl Engine {
    /// Whether the image is on the engine.
    pub async fn has_image(&self, reference: &str) -> Result<bool> {
        match self.inspect_raw(reference).await {
            Ok(_) => Ok(true),
            Err(Error::ImageNotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// An image that is on the engine.
    pub async fn inspect_image(&self, reference: &str) -> Result<ImageInfo> {
        let found = self.inspect_raw(reference).await?;
        let config = found.config.unwrap_or_default();
        let ports = config.exposed_ports.unwrap_or_default();
        Ok(ImageInfo {
            id: found.id.unwrap_or_default(),
            labels: config.labels.unwrap_or_default().into_iter().collect(),
            tags: found.repo_tags.unwrap_or_default(),
            repo_digests: found.repo_digests.unwrap_or_default(),
            exposed_ports: ports.iter().filter_map(|port| tcp_port(port)).collect(),
            user: config.user.unwrap_or_default(),
            workdir: config.working_dir.unwrap_or_default(),
            size: found
                .size
                .and_then(|size| u64::try_from(size).ok())
                .unwrap_or_default(),
        })
    }

    pub(crate) async fn inspect_raw(&self, reference: &str) -> Result<ImageInspect> {
        match self
            .call(
                "look up the image",
                QUICK,
                self.docker().inspect_image(reference),
            )
            .await
        {
            Err(Error::NotFound { message, .. }) => Err(Error::ImageNotFound {
                image: reference.to_owned(),
                message,
            }),
            other => other,
        }
    }

    /// Sees to it that an image is on the engine: takes the one that is there, otherwise pulls it.
    pub async fn ensure_image(
        &self,
        reference: &str,
        credentials: Option<&Credentials>,
    ) -> Result<()> {
        if self.has_image(reference).await? {
            return Ok(());
        }
        self.pull(reference, credentials).await
    }

    /// Pulls an image from its registry.
    pub async fn pull(&self, reference: &str, credentials: Option<&Credentials>) -> Result<()> {
        let (repository, tag) = split_reference(reference);
        let options = CreateImageOptionsBuilder::default()
            .from_image(repository)
            .tag(tag)
            .build();
        let credentials = credentials.map(Credentials::to_docker);
        let progress = self.docker().create_image(Some(options), None, credentials);
        let failed = |message: String| pull_error(reference, message);
        transfer(progress, |_| {}).await.map_err(failed)
    }

    /// Gives an image one more name.
    pub async fn tag(&self, reference: &str, name: &str) -> Result<()> {
        let (repository, tag) = split_reference(name);
        let options = TagImageOptionsBuilder::default()
            .repo(repository)
            .tag(tag)
            .build();
        let doing = format!("tag {reference} as {name}");
        self.call(
            &doing,
            QUICK,
            self.docker().tag_image(reference, Some(options)),
        )
        .await
    }

    /// Pushes an image under its name and returns the digest of its manifest, as the registry has it.
    pub async fn push(
        &self,
        reference: &str,
        credentials: Option<&Credentials>,
        output: Option<&OutputSink>,
    ) -> Result<String> {
        self.inspect_raw(reference).await?;
        let (repository, tag) = split_reference(reference);
        let options = PushImageOptionsBuilder::default().tag(tag).build();
        let credentials = credentials.map(Credentials::to_docker);
        let progress = self
            .docker()
            .push_image(repository, Some(options), credentials);
        let mut digest = None;
        let mut lines = Vec::new();
        let failed = |message: String| push_error(reference, message);
        transfer(progress, |status| {
            let Some(status) = status.status else { return };
            digest = digest_in(&status).or(digest.take());
            lines.push(format!("{status}\n"));
        })
        .await
        .map_err(failed)?;
        if let Some(output) = output {
            // Of the many lines of progress only the summary is worth a log.
            if let Some(summary) = lines.pop() {
                emit(output, OutputChunk::out(summary)).await;
            }
        }
        digest.ok_or_else(|| failed("the engine named no digest".to_owned()))
    }

    /// Removes a name of an image, and the image with its last name. One that isn't there is fine.
    pub async fn remove_image(&self, reference: &str) -> Result<()> {
        let options = RemoveImageOptionsBuilder::default().force(true).build();
        let doing = format!("remove the image {reference}");
        let remove = self.docker().remove_image(reference, Some(options), None);
        match self.call(&doing, SLOW, remove).await {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }
}

/// Runs a pull or push to its end. The error is the engine's text.
async fn transfer<T>(
    progress: impl Stream<Item = Result<T, DockerError>>,
    mut on_status: impl FnMut(T),
) -> Result<(), String> {
    let run = async {
        let mut progress = std::pin::pin!(progress);
        loop {
            match tokio::time::timeout(SILENCE_LIMIT, progress.next()).await {
                Ok(Some(Ok(status))) => on_status(status),
                Ok(Some(Err(error))) => return Ok(Err(engine_text(error))),
                Ok(None) => return Ok(Ok(())),
                Err(_) => {
                    return Ok(Err(format!(
                        "i/o timeout: the engine was silent for {SILENCE_LIMIT:?}"
                    )));
                }
            }
        }
    };
    within("transfer the image", TRANSFER_LIMIT, run)
        .await
        .unwrap_or_else(|error| Err(error.to_string()))
}

/// The engine's own words, without the client library's.
pub(crate) fn engine_text(error: DockerError) -> String {
    match error {
        DockerError::DockerStreamError { error } => error,
        DockerError::DockerResponseServerError { message, .. } => message,
        other => other.to_string(),
    }
}

fn pull_error(image: &str, message: String) -> Error {
    let image = image.to_owned();
    const ABSENT: [&str; 8] = [
        "not found",
        "manifest unknown",
        "access denied",
        "does not exist",
        "no matching manifest",
        "unauthorized",
        "no basic auth credentials",
        "invalid reference format",
    ];
    if !is_network_trouble(&message) && ABSENT.iter().any(|sign| message.contains(sign)) {
        Error::ImageNotFound { image, message }
    } else {
        Error::PullFailed { image, message }
    }
}

fn push_error(image: &str, message: String) -> Error {
    let image = image.to_owned();
    const REFUSED: [&str; 4] = [
        "denied",
        "unauthorized",
        "authentication required",
        "no basic auth credentials",
    ];
    if !is_network_trouble(&message) && REFUSED.iter().any(|sign| message.contains(sign)) {
        Error::PushRefused { image, message }
    } else {
        Error::PushFailed { image, message }
    }
}

/// `latest: digest: sha256:… size: 527`
fn digest_in(status: &str) -> Option<String> {
    let (_, rest) = status.split_once("digest: ")?;
    let digest = rest.split_whitespace().next()?;
    digest.starts_with("sha256:").then(|| digest.to_owned())
}

/// `8080/tcp`
fn tcp_port(port: &str) -> Option<u16> {
    port.strip_suffix("/tcp")?.parse().ok()
}

/// The repository and the tag (or digest) of an image's name; without a tag it is `latest`.
pub(crate) fn split_reference(reference: &str) -> (&str, &str) {
    if let Some((repository, digest)) = reference.split_once('@') {
        return (repository, digest);
    }
    match reference.rsplit_once(':') {
        // A colon before a slash belongs to the registry's port.
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (reference, "latest"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_split_at_the_tag() {
        assert_eq!(split_reference("redis"), ("redis", "latest"));
        assert_eq!(split_reference("redis:7"), ("redis", "7"));
        assert_eq!(
            split_reference("127.0.0.1:5000/a/b"),
            ("127.0.0.1:5000/a/b", "latest")
        );
        assert_eq!(
            split_reference("127.0.0.1:5000/a/b:1.0"),
            ("127.0.0.1:5000/a/b", "1.0")
        );
        assert_eq!(split_reference("a/b@sha256:00"), ("a/b", "sha256:00"));
    }

    #[test]
    fn the_digest_is_read_from_the_summary() {
        let summary = "1.0: digest: sha256:abc size: 527";
        assert_eq!(digest_in(summary).as_deref(), Some("sha256:abc"));
        assert_eq!(digest_in("Pushed"), None);
    }

    #[test]
    fn a_registry_that_is_away_is_not_an_image_that_is_absent() {
        let away = "Get \"https://registry-1.docker.io/v2/\": dial tcp: lookup registry-1.docker.io: no such host";
        assert!(matches!(
            pull_error("a", away.to_owned()),
            Error::PullFailed { .. }
        ));
        let absent = "manifest for a:1 not found: manifest unknown: manifest unknown";
        assert!(matches!(
            pull_error("a", absent.to_owned()),
            Error::ImageNotFound { .. }
        ));
    }
}
