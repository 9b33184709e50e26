//! Git repositories: fetch a commit, read a file, walk its history, archive its tree.
//!
//! Each repository has a bare mirror in the cache directory; a fetch brings one reference, its whole history and all
//! tags into it, and everything else reads from it. Mirrors may be deleted at any time: what is missing is fetched again.
//!
//! It runs the `git` program instead of a library, for three reasons: `git` speaks every transport that teams use
//! (SSH with its agent and configuration, HTTP through proxies, SHA-256 repositories, partial servers) exactly as it does
//! on their own machines; a hostile repository meets a separate process that can be limited and killed; and security
//! fixes arrive with the system's package. The price, a few milliseconds per process, is nothing beside a build.
//!
//! Addresses and names come from outside, so they are types that were checked ([`RepositoryUrl`], [`RefName`]). `git`
//! gets a cleared environment and a configuration of ours: no hooks, no helpers, no prompts, no unknown transports.
//! Submodules and LFS objects are not fetched.

mod archive;
mod config;
mod error;
mod fetch;
mod git;
mod history;
mod mirror;
mod reference;
mod suggest;
mod symptom;
mod tree;
mod url;

use std::{
    collections::HashMap,
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

pub use archive::Archive;
pub use config::{Credential, SecretHeader, SourceConfig};
pub use error::Error;
pub use history::{LogEntry, LogQuery, Tag};
pub use reference::{CommitId, RefName};
pub use url::{RepositoryUrl, Transport};

use git::{Call, Git, Output, Trouble};
use mirror::Mirror;
use symptom::Symptom;

/// A commit that was fetched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Commit {
    /// Its id.
    pub id: CommitId,
    /// Where it was fetched from.
    pub url: RepositoryUrl,
    /// The full reference that it was found under (`refs/heads/main`); absent when it was asked for by its id.
    pub reference: Option<String>,
    /// Who wrote it.
    pub author_name: String,
    /// The author's address.
    pub author_email: String,
    /// When it was committed.
    pub time: jiff::Timestamp,
    /// The first line of its message.
    pub subject: String,
}

/// Reads Git repositories through a cache. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Source {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    cache: PathBuf,
    config: SourceConfig,
    git: Git,
    locks: Mutex<HashMap<String, Arc<tokio::sync::Mutex<()>>>>,
}

impl Source {
    /// Opens the cache; the directory is made when it is missing, and may be shared by processes of one machine.
    ///
    /// # Errors
    /// [`Error::Io`] when the directory cannot be written.
    pub fn new(cache: impl Into<PathBuf>, config: SourceConfig) -> Result<Self, Error> {
        let cache = cache.into();
        let cache = fs::create_dir_all(&cache)
            .and_then(|()| cache.canonicalize())
            .map_err(Error::io(format!(
                "opening the cache of repositories {}",
                cache.display()
            )))?;
        let git = Git::new(&cache, &config)?;
        Ok(Self {
            inner: Arc::new(Inner {
                cache,
                config,
                git,
                locks: Mutex::default(),
            }),
        })
    }

    fn config(&self) -> &SourceConfig {
        &self.inner.config
    }

    fn mirror(&self, url: &RepositoryUrl) -> Mirror {
        let key = mirror::key(url);
        let mut locks = self
            .inner
            .locks
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let lock = Arc::clone(locks.entry(key.clone()).or_default());
        Mirror::new(&self.inner.cache, &key, lock)
    }

    /// Asks something of the mirror of a commit. A mirror that is missing or damaged is fetched again, once.
    async fn ask(
        &self,
        commit: &Commit,
        doing: &str,
        wanted: &str,
        arguments: &[&str],
    ) -> Result<Output, Error> {
        let mirror = self.mirror(&commit.url);
        for last in [false, true] {
            let call = self.question(mirror.directory(), doing, arguments);
            let damaged = match self.inner.git.run(call).await {
                Ok(output) => match output.symptom() {
                    None => return Ok(output),
                    Some(_) if last => return Ok(output),
                    Some(Symptom::UnknownRevision | Symptom::Other) if self.has(commit).await => {
                        return Ok(output);
                    }
                    Some(Symptom::UnknownRevision) => false,
                    Some(_) => mirror.is_usable(),
                },
                Err(Error::Io { .. }) if !last && !mirror.is_usable() => false,
                Err(error) => return Err(error),
            };
            tracing::warn!(repository.url = %commit.url, wanted, "the cached repository is damaged: fetching it again");
            if damaged {
                mirror.suspect();
            }
            self.fetch(&commit.url, &RefName::from(&commit.id)).await?;
        }
        unreachable!("the last turn returns")
    }

    async fn has(&self, commit: &Commit) -> bool {
        self.cached(
            &self.mirror(&commit.url),
            &commit.url,
            &RefName::from(&commit.id),
        )
        .await
        .is_some()
    }

    /// As [`Self::ask`], for a command that must succeed.
    async fn read(
        &self,
        commit: &Commit,
        doing: &str,
        wanted: &str,
        arguments: &[&str],
    ) -> Result<Vec<u8>, Error> {
        let output = self.ask(commit, doing, wanted, arguments).await?;
        output
            .checked()
            .map_err(|trouble| settle(trouble, &commit.url, wanted))
    }

    fn question<'a>(&self, directory: &'a Path, doing: &str, arguments: &[&str]) -> Call<'a> {
        let git_directory = ["--git-dir=."].iter().chain(arguments);
        Call {
            doing: doing.to_owned(),
            directory,
            arguments: git_directory
                .map(|argument| (*argument).to_owned())
                .collect(),
            environment: Vec::new(),
            time_limit: self.config().local_timeout,
            size_limit_bytes: self.config().max_listing_bytes,
        }
    }

    fn network_call<'a>(
        &self,
        url: &RepositoryUrl,
        directory: &'a Path,
        doing: String,
        arguments: Vec<String>,
    ) -> Call<'a> {
        Call {
            doing,
            directory,
            arguments,
            environment: self.secret_headers(url),
            time_limit: self.config().network_timeout,
            size_limit_bytes: self.config().max_listing_bytes,
        }
    }

    /// Credentials as configuration in the environment: unlike arguments, other users cannot read it.
    fn secret_headers(&self, url: &RepositoryUrl) -> Vec<(String, OsString)> {
        let configured = self.config().credentials.iter();
        let mut headers: Vec<_> = configured
            .filter(|credential| url.as_str().starts_with(&credential.url_prefix))
            .map(|credential| (credential.url_prefix.as_str(), &credential.header))
            .collect();
        headers.extend(url.basic().map(|header| (url.as_str(), header)));
        let mut variables = vec![(
            "GIT_CONFIG_COUNT".to_owned(),
            headers.len().to_string().into(),
        )];
        for (index, (prefix, header)) in headers.into_iter().enumerate() {
            variables.push((
                format!("GIT_CONFIG_KEY_{index}"),
                format!("http.{prefix}.extraHeader").into(),
            ));
            variables.push((format!("GIT_CONFIG_VALUE_{index}"), header.expose().into()));
        }
        variables
    }
}

/// The error for whoever asked.
fn settle(trouble: Trouble, url: &RepositoryUrl, wanted: &str) -> Error {
    match trouble {
        Trouble::Error(error) => error,
        Trouble::Git(failure) => failure.into_error(url, wanted),
    }
}
