//! Manifests and tags: finding, reading, writing.

use bytes::Bytes;
use reqwest::header::{ACCEPT, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Method, Response, StatusCode};

use crate::auth::Scope;
use crate::client::reading;
use crate::manifest::{MANIFEST_LIMIT, bare};
use crate::transport::Request;
use crate::{
    Algorithm, Descriptor, Digest, Error, Identifier, Manifest, Place, Registry, RepositoryName,
    Tag, failure, media_type,
};

const DIGEST_HEADER: &str = "docker-content-digest";

/// What became of a tag that was to be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    /// It is gone.
    Deleted,
    /// It wasn't there.
    Absent,
    /// This registry can't delete a tag without deleting what it names.
    Unsupported,
}

/// What a registry made of a manifest that was written.
pub(crate) struct Written {
    /// Whether it lists the manifest among what is attached to its subject.
    pub(crate) subject_listed: bool,
}

impl Registry {
    /// What a tag or digest names; nothing when it isn't there.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn resolve(
        &self,
        name: &RepositoryName,
        reference: impl Into<Identifier>,
    ) -> Result<Option<Descriptor>, Error> {
        let reference = reference.into();
        self.inner
            .retry
            .run(|| self.resolve_once(name, &reference))
            .await
    }

    pub(crate) async fn resolve_once(
        &self,
        name: &RepositoryName,
        reference: &Identifier,
    ) -> Result<Option<Descriptor>, Error> {
        let place = self.place("resolving", Some(name), Some(reference));
        let response = self.ask(Method::HEAD, name, reference, &place).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => return Ok(None),
            // An answer to HEAD carries no explanation; the one to GET does, and it may even succeed.
            _ => return self.resolve_by_reading(name, reference).await,
        }
        match described(response.headers(), reference) {
            Some(descriptor) => Ok(Some(descriptor)),
            None => self.resolve_by_reading(name, reference).await,
        }
    }

    async fn resolve_by_reading(
        &self,
        name: &RepositoryName,
        reference: &Identifier,
    ) -> Result<Option<Descriptor>, Error> {
        match self.manifest_once(name, reference).await {
            Ok(manifest) => {
                let size = manifest.bytes.len() as u64;
                Ok(Some(Descriptor::new(
                    manifest.media_type,
                    manifest.digest,
                    size,
                )))
            }
            Err(Error::NotFound { .. }) => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// The manifest that a tag or digest names, its digest verified.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], and see [`Error`].
    pub async fn manifest(
        &self,
        name: &RepositoryName,
        reference: impl Into<Identifier>,
    ) -> Result<Manifest, Error> {
        let reference = reference.into();
        self.inner
            .retry
            .run(|| self.manifest_once(name, &reference))
            .await
    }

    pub(crate) async fn manifest_once(
        &self,
        name: &RepositoryName,
        reference: &Identifier,
    ) -> Result<Manifest, Error> {
        let place = self.place("reading the manifest of", Some(name), Some(reference));
        let response = self.ask(Method::GET, name, reference, &place).await?;
        if response.status() != StatusCode::OK {
            return Err(failure::unwelcome(&place, response).await);
        }
        let headers = response.headers().clone();
        let bytes = self
            .inner
            .transport
            .body(&place, response, MANIFEST_LIMIT)
            .await?;
        let digest = verify(&bytes, &headers, reference, &place)?;
        Manifest::parse(bytes, text(&headers, CONTENT_TYPE.as_str()), digest, &place)
    }

    async fn ask(
        &self,
        method: Method,
        name: &RepositoryName,
        reference: &Identifier,
        place: &Place,
    ) -> Result<Response, Error> {
        let url = self.url(&format!("v2/{name}/manifests/{reference}"), place)?;
        let mut headers = HeaderMap::new();
        for media_type in media_type::MANIFESTS {
            headers.append(ACCEPT, HeaderValue::from_static(media_type));
        }
        self.inner
            .transport
            .send(place, reading(method, url, &Scope::pull(name), headers))
            .await
    }

    /// Writes a manifest under its digest, and lists it among what is attached to its subject if it has one.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::NotFound`] when something that it needs isn't in the repository.
    pub async fn put_manifest(
        &self,
        name: &RepositoryName,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let reference = Identifier::Digest(manifest.digest.clone());
        let written = self.put(name, &reference, manifest).await?;
        match manifest.subject() {
            Some(subject) if !written.subject_listed => {
                self.list_referrers(name, &subject.digest, &[manifest.descriptor()])
                    .await
            }
            _ => Ok(()),
        }
    }

    /// Writes a manifest under a tag, wherever that pointed before. For release tags, see [`crate::tag_release`].
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn put_tag(
        &self,
        name: &RepositoryName,
        tag: &Tag,
        manifest: &Manifest,
    ) -> Result<(), Error> {
        let reference = Identifier::Tag(tag.clone());
        self.put(name, &reference, manifest).await.map(drop)
    }

    pub(crate) async fn put(
        &self,
        name: &RepositoryName,
        reference: &Identifier,
        manifest: &Manifest,
    ) -> Result<Written, Error> {
        self.inner
            .retry
            .run_settled(|| self.put_once(name, reference, manifest))
            .await
    }

    pub(crate) async fn put_once(
        &self,
        name: &RepositoryName,
        reference: &Identifier,
        manifest: &Manifest,
    ) -> Result<Written, Error> {
        let place = self.place("writing the manifest of", Some(name), Some(reference));
        let media_type = HeaderValue::from_str(&manifest.media_type)
            .map_err(|_| Error::protocol(&place, "its media type cannot be sent in a header"))?;
        let request = Request {
            method: Method::PUT,
            url: self.url(&format!("v2/{name}/manifests/{reference}"), &place)?,
            scope: &Scope::push(name),
            headers: HeaderMap::from_iter([(CONTENT_TYPE, media_type)]),
            body: manifest.bytes.clone(),
        };
        let response = self.inner.transport.send(&place, request).await?;
        if !response.status().is_success() {
            return Err(failure::unwelcome(&place, response).await);
        }
        let stored = text(response.headers(), DIGEST_HEADER);
        if let Some(stored) = stored.filter(|stored| *stored != manifest.digest.as_str()) {
            let reason = format!(
                "the registry stored it as {stored} instead of {}",
                manifest.digest
            );
            return Err(Error::corrupt(&place, reason));
        }
        Ok(Written {
            subject_listed: response.headers().contains_key("oci-subject"),
        })
    }

    /// Deletes a tag, where the registry can do that without deleting what the tag names.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn delete_tag(&self, name: &RepositoryName, tag: &Tag) -> Result<Deletion, Error> {
        let reference = Identifier::Tag(tag.clone());
        self.inner
            .retry
            .run(|| self.delete_tag_once(name, &reference))
            .await
    }

    async fn delete_tag_once(
        &self,
        name: &RepositoryName,
        tag: &Identifier,
    ) -> Result<Deletion, Error> {
        let place = self.place("deleting the tag", Some(name), Some(tag));
        if self.resolve_once(name, tag).await?.is_none() {
            return Ok(Deletion::Absent);
        }
        let url = self.url(&format!("v2/{name}/manifests/{tag}"), &place)?;
        let scope = Scope::delete(name);
        let request = reading(Method::DELETE, url, &scope, HeaderMap::new());
        let response = self.inner.transport.send(&place, request).await?;
        match response.status() {
            StatusCode::ACCEPTED | StatusCode::OK | StatusCode::NO_CONTENT => Ok(Deletion::Deleted),
            StatusCode::NOT_FOUND => Ok(Deletion::Absent),
            // The specification's answer is 405; distribution 2 takes the tag for a malformed digest and answers 400.
            StatusCode::BAD_REQUEST
            | StatusCode::METHOD_NOT_ALLOWED
            | StatusCode::NOT_IMPLEMENTED => Ok(Deletion::Unsupported),
            _ => Err(failure::unwelcome(&place, response).await),
        }
    }
}

/// What the headers of an answer to HEAD say, if they say enough and don't contradict what was asked for.
fn described(headers: &HeaderMap, reference: &Identifier) -> Option<Descriptor> {
    let digest: Digest = text(headers, DIGEST_HEADER)?.parse().ok()?;
    if matches!(reference, Identifier::Digest(wanted) if *wanted != digest) {
        return None;
    }
    let media_type = bare(text(headers, CONTENT_TYPE.as_str())?);
    let size = text(headers, CONTENT_LENGTH.as_str())?.parse().ok()?;
    Some(Descriptor::new(media_type, digest, size))
}

/// The digest of a manifest, after comparing it with what was asked for and with what the registry says.
fn verify(
    bytes: &Bytes,
    headers: &HeaderMap,
    reference: &Identifier,
    place: &Place,
) -> Result<Digest, Error> {
    let said = text(headers, DIGEST_HEADER).and_then(|text| text.parse::<Digest>().ok());
    let wanted = match reference {
        Identifier::Digest(digest) => Some(digest.clone()),
        Identifier::Tag(_) => said,
    };
    let found = Digest::of(
        wanted.as_ref().map_or(Algorithm::Sha256, Digest::algorithm),
        bytes,
    );
    match wanted {
        Some(wanted) if wanted != found => Err(Error::corrupt(
            place,
            format!("the manifest's digest is {found} instead of {wanted}"),
        )),
        _ => Ok(found),
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}
