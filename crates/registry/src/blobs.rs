//! Blobs: layers, configurations, content of artifacts.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt};
use reqwest::header::{HeaderMap, LOCATION};
use reqwest::{Body, Method, StatusCode, Url};

use crate::auth::Scope;
use crate::client::reading;
use crate::transport::chunks;
use crate::verify::verified;
use crate::{Descriptor, Digest, Error, Place, Registry, RepositoryName, failure};

/// An upload that has been begun.
pub(crate) enum Upload {
    /// Nothing is to be sent: the blob was mounted from another repository.
    Mounted,
    /// The blob is to be sent there.
    At(Url),
}

impl Registry {
    /// Whether the repository holds a blob.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn blob_exists(&self, name: &RepositoryName, digest: &Digest) -> Result<bool, Error> {
        self.inner
            .retry
            .run(|| self.blob_exists_once(name, digest))
            .await
    }

    pub(crate) async fn blob_exists_once(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<bool, Error> {
        let place = self.place("looking for the blob", Some(name), Some(digest));
        let url = self.blob_url(name, digest, &place)?;
        let scope = Scope::pull(name);
        let response = self
            .inner
            .transport
            .send(&place, reading(Method::HEAD, url, &scope, HeaderMap::new()))
            .await?;
        match response.status() {
            StatusCode::OK => Ok(true),
            StatusCode::NOT_FOUND => Ok(false),
            _ => Err(failure::unwelcome(&place, response).await),
        }
    }

    /// Stores `bytes` as a blob, unless the repository holds it already.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn push_blob(&self, name: &RepositoryName, bytes: Bytes) -> Result<Digest, Error> {
        let digest = Digest::sha256_of(&bytes);
        self.inner
            .retry
            .run(|| async {
                if self.blob_exists_once(name, &digest).await? {
                    return Ok(());
                }
                let body = futures::stream::once(std::future::ready(Ok(bytes.clone())));
                self.push_once(name, &digest, bytes.len() as u64, body)
                    .await
            })
            .await?;
        Ok(digest)
    }

    /// Stores the `size` bytes of a stream as the blob `digest`. What doesn't match is never stored. A stream can be
    /// read only once, so nothing is tried again.
    ///
    /// # Errors
    /// Those of the stream; [`Error::Corrupt`] when it doesn't match; and see [`Error`].
    pub async fn push_blob_stream(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        size: u64,
        chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    ) -> Result<(), Error> {
        let place = self.place("sending the blob", Some(name), Some(digest));
        self.push_once(
            name,
            digest,
            size,
            verified(chunks, digest.clone(), size, place),
        )
        .await
    }

    /// A blob as a whole, its digest verified. One of more than `limit` bytes is refused.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], and see [`Error`].
    pub async fn pull_blob(
        &self,
        name: &RepositoryName,
        blob: &Descriptor,
        limit: u64,
    ) -> Result<Bytes, Error> {
        if blob.size > limit {
            let place = self.place("reading the blob", Some(name), Some(&blob.digest));
            return Err(Error::protocol(
                &place,
                format!("it has {} bytes; at most {limit} are read", blob.size),
            ));
        }
        self.inner
            .retry
            .run(|| async {
                let mut chunks = std::pin::pin!(self.pull_blob_stream(name, blob).await?);
                let mut bytes = BytesMut::new();
                while let Some(chunk) = chunks.next().await.transpose()? {
                    bytes.extend_from_slice(&chunk);
                }
                Ok(bytes.freeze())
            })
            .await
    }

    /// A blob as a stream that fails, before its end, when the bytes aren't those of the descriptor. Nothing is tried
    /// again.
    ///
    /// # Errors
    /// [`Error::NotFound`], and see [`Error`]; the stream has [`Error::Corrupt`] and [`Error::Unavailable`].
    pub async fn pull_blob_stream(
        &self,
        name: &RepositoryName,
        blob: &Descriptor,
    ) -> Result<impl Stream<Item = Result<Bytes, Error>> + Send + 'static, Error> {
        let place = self.place("reading the blob", Some(name), Some(&blob.digest));
        let url = self.blob_url(name, &blob.digest, &place)?;
        let scope = Scope::pull(name);
        let response = self
            .inner
            .transport
            .send(&place, reading(Method::GET, url, &scope, HeaderMap::new()))
            .await?;
        if response.status() != StatusCode::OK {
            return Err(failure::unwelcome(&place, response).await);
        }
        let stall = self.inner.transport.timeouts.stall;
        Ok(verified(
            chunks(response, stall, place.clone()),
            blob.digest.clone(),
            blob.size,
            place,
        ))
    }

    async fn push_once(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        size: u64,
        chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    ) -> Result<(), Error> {
        match self.begin_upload(name, digest, None).await? {
            Upload::Mounted => Ok(()),
            Upload::At(url) => self.finish_upload(name, url, digest, size, chunks).await,
        }
    }

    /// Begins an upload; with `from`, asks to mount the blob from that repository of the same registry instead.
    pub(crate) async fn begin_upload(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        from: Option<&RepositoryName>,
    ) -> Result<Upload, Error> {
        let place = self.place("beginning to send the blob", Some(name), Some(digest));
        let mut url = self.url(&format!("v2/{name}/blobs/uploads/"), &place)?;
        let mut scope = Scope::push(name);
        if let Some(from) = from {
            url.query_pairs_mut()
                .append_pair("mount", digest.as_str())
                .append_pair("from", from.as_str());
            scope = scope.and_pull(from);
        }
        let response = self
            .inner
            .transport
            .send(&place, reading(Method::POST, url, &scope, HeaderMap::new()))
            .await?;
        match response.status() {
            StatusCode::CREATED if from.is_some() => return Ok(Upload::Mounted),
            StatusCode::ACCEPTED => {}
            _ => return Err(failure::unwelcome(&place, response).await),
        }
        let location = response
            .headers()
            .get(LOCATION)
            .and_then(|value| value.to_str().ok());
        let target = location.and_then(|location| response.url().join(location).ok());
        let Some(mut target) = target else {
            return Err(Error::protocol(
                &place,
                "the registry did not say where to send it",
            ));
        };
        target
            .query_pairs_mut()
            .append_pair("digest", digest.as_str());
        Ok(Upload::At(target))
    }

    /// Sends a blob to where its upload was begun. `chunks` are verified already.
    pub(crate) async fn finish_upload(
        &self,
        name: &RepositoryName,
        url: Url,
        digest: &Digest,
        size: u64,
        chunks: impl Stream<Item = Result<Bytes, Error>> + Send + 'static,
    ) -> Result<(), Error> {
        let place = self.place("sending the blob", Some(name), Some(digest));
        let sent = Arc::new(AtomicU64::new(0));
        let fault = Fault::default();
        let body = Body::wrap_stream(fault.watch(chunks).inspect_ok({
            let sent = Arc::clone(&sent);
            move |chunk| {
                sent.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        }));
        let answer = self
            .inner
            .transport
            .upload(&place, url, &Scope::push(name), size, body, &sent)
            .await;
        // When the source fails, the target only sees a connection that breaks off: the source's words say more.
        if let Some(error) = fault.take() {
            return Err(error);
        }
        let response = answer?;
        if response.status() != StatusCode::CREATED {
            return Err(failure::unwelcome(&place, response).await);
        }
        Ok(())
    }

    fn blob_url(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        place: &Place,
    ) -> Result<Url, Error> {
        self.url(&format!("v2/{name}/blobs/{digest}"), place)
    }
}

/// Keeps what went wrong in a stream whose reader would only pass on that something did.
#[derive(Clone, Default)]
struct Fault(Arc<Mutex<Option<Error>>>);

impl Fault {
    fn watch<S>(
        &self,
        chunks: S,
    ) -> impl Stream<Item = Result<Bytes, std::io::Error>> + Send + 'static
    where
        S: Stream<Item = Result<Bytes, Error>> + Send + 'static,
    {
        let fault = self.clone();
        chunks.map_err(move |error| {
            *fault.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
            std::io::Error::other("the source failed")
        })
    }

    fn take(&self) -> Option<Error> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}
