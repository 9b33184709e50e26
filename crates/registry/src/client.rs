//! A registry: whether it answers, what it holds.

use std::sync::Arc;

use reqwest::header::{CONTENT_TYPE, HeaderMap};
use reqwest::{Method, StatusCode, Url};
use serde::Deserialize;
use tokio::sync::Mutex;

use crate::auth::Scope;
use crate::transport::{Request, Transport};
use crate::{Error, Place, RegistryConfig, RepositoryName, RetryPolicy, Tag, failure, link};

/// The longest page of a list that is read.
pub(crate) const PAGE_LIMIT: usize = 8 * 1024 * 1024;
/// The most pages of a list that are read.
const MAX_PAGES: usize = 1000;

/// A registry. Clones are cheap and share connections and tokens.
#[derive(Clone)]
pub struct Registry {
    pub(crate) inner: Arc<Inner>,
}

pub(crate) struct Inner {
    address: String,
    pub(crate) transport: Transport,
    pub(crate) retry: RetryPolicy,
    /// Held while a tag that must not move is looked at and written: registries have no compare-and-swap.
    pub(crate) tag_writes: Mutex<()>,
    /// Held while the list of what is attached to a manifest is read, added to and written.
    pub(crate) referrer_writes: Mutex<()>,
}

impl Registry {
    /// A client of the registry. Nothing is sent yet.
    ///
    /// # Errors
    /// [`Error::Configuration`] when the address or the endpoint is malformed.
    pub fn new(config: &RegistryConfig) -> Result<Self, Error> {
        let transport = Transport::new(config, config.base()?)?;
        Ok(Self {
            inner: Arc::new(Inner {
                address: config.address.clone(),
                transport,
                retry: config.retry,
                tag_writes: Mutex::default(),
                referrer_writes: Mutex::default(),
            }),
        })
    }

    /// The address as image references name it, `host[:port]`.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.inner.address
    }

    /// Asks once, without trying again, whether a registry answers and takes the credentials.
    ///
    /// # Errors
    /// [`Error::Unavailable`] when nothing answers, [`Error::Refused`] when the credentials are missing or wrong,
    /// [`Error::Protocol`] when TLS fails or what answers isn't a registry.
    pub async fn ping(&self) -> Result<(), Error> {
        let place = self.place("asking for the version of", None, None);
        let response = self.get("v2/", &Scope::any(), &place).await?;
        match response.status() {
            StatusCode::OK => {}
            StatusCode::NOT_FOUND => {
                return Err(Error::protocol(
                    &place,
                    format!("no registry answers at {}", self.inner.transport.base()),
                ));
            }
            _ => return Err(failure::unwelcome(&place, response).await),
        }
        let says_so = response
            .headers()
            .contains_key("docker-distribution-api-version");
        let kind = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default();
        if !says_so && kind.starts_with("text/html") {
            let reason = format!(
                "a web page answers at {}, not a registry",
                self.inner.transport.base()
            );
            return Err(Error::protocol(&place, reason));
        }
        Ok(())
    }

    /// All tags of a repository, in the registry's order; none when there is no such repository.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn tags(&self, name: &RepositoryName) -> Result<Vec<Tag>, Error> {
        self.inner.retry.run(|| self.tags_once(name)).await
    }

    async fn tags_once(&self, name: &RepositoryName) -> Result<Vec<Tag>, Error> {
        #[derive(Deserialize)]
        struct Page {
            tags: Option<Vec<String>>,
        }
        let place = self.place("listing the tags of", Some(name), None);
        let mut tags = Vec::new();
        for page in self
            .pages(
                &format!("v2/{name}/tags/list?n=1000"),
                &Scope::pull(name),
                &place,
            )
            .await?
            .unwrap_or_default()
        {
            let page: Page = serde_json::from_slice(&page).map_err(|error| {
                Error::protocol(&place, format!("the list of tags cannot be read: {error}"))
            })?;
            tags.extend(
                page.tags
                    .unwrap_or_default()
                    .iter()
                    .filter_map(|tag| tag.parse().ok()),
            );
        }
        Ok(tags)
    }

    /// The bodies of all pages of a list; nothing when there is no such list.
    pub(crate) async fn pages(
        &self,
        path: &str,
        scope: &Scope,
        place: &Place,
    ) -> Result<Option<Vec<bytes::Bytes>>, Error> {
        let transport = &self.inner.transport;
        let mut pages = Vec::new();
        let mut next = Some(self.url(path, place)?);
        while let Some(url) = next {
            let response = transport
                .send(place, reading(Method::GET, url, scope, HeaderMap::new()))
                .await?;
            match response.status() {
                StatusCode::OK => {}
                StatusCode::NOT_FOUND if pages.is_empty() => return Ok(None),
                _ => return Err(failure::unwelcome(place, response).await),
            }
            next = match link::next_page(response.headers()) {
                Some(target) => Some(self.own_url(response.url(), &target, place)?),
                None => None,
            };
            pages.push(transport.body(place, response, PAGE_LIMIT).await?);
            if pages.len() > MAX_PAGES {
                return Err(Error::protocol(
                    place,
                    format!("the list has more than {MAX_PAGES} pages"),
                ));
            }
        }
        Ok(Some(pages))
    }

    /// Where the next page is, which must be in the same registry.
    fn own_url(&self, current: &Url, target: &str, place: &Place) -> Result<Url, Error> {
        let url = current
            .join(target)
            .ok()
            .filter(|url| self.inner.transport.is_ours(url));
        url.ok_or_else(|| {
            Error::protocol(
                place,
                format!("the next page is said to be elsewhere, at `{target}`"),
            )
        })
    }

    pub(crate) async fn get(
        &self,
        path: &str,
        scope: &Scope,
        place: &Place,
    ) -> Result<reqwest::Response, Error> {
        let url = self.url(path, place)?;
        self.inner
            .transport
            .send(place, reading(Method::GET, url, scope, HeaderMap::new()))
            .await
    }

    /// The URL of a path below the registry's root.
    pub(crate) fn url(&self, path: &str, place: &Place) -> Result<Url, Error> {
        let url = self.inner.transport.base().join(path);
        url.map_err(|error| Error::protocol(place, format!("`{path}` is not a path: {error}")))
    }

    pub(crate) fn place(
        &self,
        doing: &'static str,
        name: Option<&RepositoryName>,
        reference: Option<&dyn std::fmt::Display>,
    ) -> Place {
        Place {
            doing,
            registry: self.inner.address.clone(),
            repository: name.map(ToString::to_string),
            reference: reference.map(ToString::to_string),
        }
    }

    /// Whether both are the same registry, so that blobs can be mounted rather than sent.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.inner.transport.base() == other.inner.transport.base()
    }
}

impl std::fmt::Debug for Registry {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Registry")
            .field("address", &self.inner.address)
            .finish_non_exhaustive()
    }
}

/// A request without a body.
pub(crate) fn reading<'a>(
    method: Method,
    url: Url,
    scope: &'a Scope,
    headers: HeaderMap,
) -> Request<'a> {
    Request {
        method,
        url,
        scope,
        headers,
        body: bytes::Bytes::new(),
    }
}
