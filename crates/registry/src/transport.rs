//! One HTTP exchange with a registry: logged in, timed, and its failures told apart. Nothing here tries again.

use std::sync::Arc;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt};
use reqwest::header::{AUTHORIZATION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderValue};
use reqwest::{Body, Method, RequestBuilder, Response, StatusCode, Url, redirect};

use crate::auth::{Auth, Scope};
use crate::config::{RegistryConfig, Timeouts, is_loopback};
use crate::{Error, Place, challenge, failure};

/// How often a request may be sent elsewhere.
const MAX_REDIRECTS: usize = 5;

pub(crate) struct Transport {
    http: reqwest::Client,
    auth: Auth,
    base: Url,
    pub(crate) timeouts: Timeouts,
}

/// A request whose body is small enough to be sent twice.
pub(crate) struct Request<'a> {
    pub(crate) method: Method,
    pub(crate) url: Url,
    pub(crate) scope: &'a Scope,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

impl Transport {
    pub(crate) fn new(config: &RegistryConfig, base: Url) -> Result<Self, Error> {
        use_ring();
        let mut builder = reqwest::Client::builder()
            .connect_timeout(config.timeouts.connect)
            .http2_adaptive_window(true)
            .redirect(redirect::Policy::custom(follow))
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")));
        if base.host_str().is_some_and(is_loopback) {
            builder = builder.no_proxy();
        }
        let http = builder.build().map_err(|error| Error::Configuration {
            registry: config.address.clone(),
            reason: format!("no HTTP client could be made for it: {error}"),
        })?;
        let auth = Auth::new(
            config.credentials.clone(),
            base.scheme() == "https",
            config.timeouts.answer,
        );
        Ok(Self {
            http,
            auth,
            base,
            timeouts: config.timeouts,
        })
    }

    pub(crate) fn base(&self) -> &Url {
        &self.base
    }

    /// Sends a request, logging in when the registry asks for it.
    pub(crate) async fn send(
        &self,
        place: &Place,
        request: Request<'_>,
    ) -> Result<Response, Error> {
        let known = match self.is_ours(&request.url) {
            true => self.auth.known(&self.http, request.scope, place).await?,
            false => None,
        };
        let response = self.attempt(place, &request, known.as_ref()).await?;
        if response.status() != StatusCode::UNAUTHORIZED || !self.is_ours(response.url()) {
            return Ok(response);
        }
        let Some(challenge) = challenge::choose(response.headers()) else {
            return Ok(response);
        };
        match self
            .auth
            .answer(challenge, known.as_ref(), &self.http, request.scope, place)
            .await?
        {
            Some(header) => self.attempt(place, &request, Some(&header)).await,
            None => Ok(response),
        }
    }

    async fn attempt(
        &self,
        place: &Place,
        request: &Request<'_>,
        authorization: Option<&HeaderValue>,
    ) -> Result<Response, Error> {
        let builder = self
            .http
            .request(request.method.clone(), request.url.clone())
            .headers(request.headers.clone())
            .body(request.body.clone());
        let timeout = self.timeouts.answer;
        tokio::time::timeout(timeout, authorized(builder, authorization).send())
            .await
            .map_err(|_| failure::timed_out(place, "it did not answer", timeout))?
            .map_err(|error| failure::unanswered(place, &error))
    }

    /// Sends a blob of `size` bytes to where an upload was begun. `sent` counts what has been handed over.
    pub(crate) async fn upload(
        &self,
        place: &Place,
        url: Url,
        scope: &Scope,
        size: u64,
        body: Body,
        sent: &Arc<AtomicU64>,
    ) -> Result<Response, Error> {
        let known = match self.is_ours(&url) {
            true => self.auth.known(&self.http, scope, place).await?,
            false => None,
        };
        let builder = self
            .http
            .put(url)
            .header(CONTENT_TYPE, "application/octet-stream")
            .header(CONTENT_LENGTH, size)
            .body(body);
        let mut sending = std::pin::pin!(authorized(builder, known.as_ref()).send());
        loop {
            let before = sent.load(Ordering::Relaxed);
            let patience = if before >= size {
                self.timeouts.commit
            } else {
                self.timeouts.stall
            };
            match tokio::time::timeout(patience, &mut sending).await {
                Ok(answer) => return answer.map_err(|error| failure::unanswered(place, &error)),
                Err(_) if sent.load(Ordering::Relaxed) == before => {
                    return Err(failure::timed_out(place, "no byte was taken", patience));
                }
                Err(_) => {}
            }
        }
    }

    /// The whole body, which may have `limit` bytes.
    pub(crate) async fn body(
        &self,
        place: &Place,
        response: Response,
        limit: usize,
    ) -> Result<Bytes, Error> {
        let mut chunks = std::pin::pin!(chunks(response, self.timeouts.stall, place.clone()));
        let mut body = BytesMut::new();
        while let Some(chunk) = chunks.next().await.transpose()? {
            if body.len() + chunk.len() > limit {
                return Err(Error::protocol(
                    place,
                    format!("the answer is longer than {limit} bytes"),
                ));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// Whether `url` is the registry's own, so that credentials may go there.
    pub(crate) fn is_ours(&self, url: &Url) -> bool {
        url.origin() == self.base.origin()
    }
}

/// The body of an answer as it comes; an error when nothing comes for `stall`.
pub(crate) fn chunks(
    response: Response,
    stall: Duration,
    place: Place,
) -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    futures::stream::try_unfold((response, place), move |(mut response, place)| async move {
        let chunk = tokio::time::timeout(stall, response.chunk())
            .await
            .map_err(|_| failure::timed_out(&place, "no byte came", stall))?
            .map_err(|error| failure::unanswered(&place, &error))?;
        Ok(chunk.map(|chunk| (chunk, (response, place))))
    })
}

fn authorized(builder: RequestBuilder, authorization: Option<&HeaderValue>) -> RequestBuilder {
    match authorization {
        Some(value) => builder.header(AUTHORIZATION, value.clone()),
        None => builder,
    }
}

/// Follows a few redirects, as registries send readers to their storage, but not out of an encrypted connection. The
/// HTTP client itself takes the credentials out of what goes to another host.
fn follow(attempt: redirect::Attempt<'_>) -> redirect::Action {
    let was_secure = attempt
        .previous()
        .last()
        .is_some_and(|previous| previous.scheme() == "https");
    if was_secure && attempt.url().scheme() != "https" {
        return attempt.error("it leads out of an encrypted connection");
    }
    if attempt.previous().len() > MAX_REDIRECTS {
        return attempt.error("too many redirects");
    }
    attempt.follow()
}

/// Makes ring the process's cryptography unless another one was chosen: rustls needs one before its first connection.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only when there is one already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
