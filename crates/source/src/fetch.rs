//! Brings a branch, tag or commit into the mirror of its repository.

use crate::{
    Commit, CommitId, Error, RefName, RepositoryUrl, Source, Transport,
    git::Trouble,
    history::parse_commit,
    mirror::{self, Mirror, ObjectFormat, WriteLock},
    settle, suggest,
    symptom::Symptom,
};

/// Where the mirror keeps what was asked for by name: one reference per name, whatever the name looks like.
const NAMED: &str = "refs/slipway/named";
/// Where it keeps what was asked for by id, so that the next fetch need not bring it again.
const COMMITS: &str = "refs/slipway/commits";
/// Where it keeps every branch, once somebody asked for an abbreviated id or an unadvertised commit.
const BRANCHES: &str = "refs/slipway/branches";
/// All tags, without those that were deleted: versions are read from them.
const TAGS: &str = "+refs/tags/*:refs/tags/*";

/// A reference that a repository advertises.
struct Advertised {
    name: String,
    id: String,
}

impl Source {
    /// Fetches a branch, tag or commit with its whole history, and all tags.
    ///
    /// A short name is looked for among branches, then tags, then abbreviated commit ids. A whole commit id that is in
    /// the cache is answered without the network; tags are then those of the last fetch.
    ///
    /// # Errors
    /// See [`Error`]; [`Error::is_retryable`] tells whether trying later may help.
    pub async fn fetch(&self, url: &RepositoryUrl, name: &RefName) -> Result<Commit, Error> {
        self.admit(url)?;
        let mirror = self.mirror(url);
        if let Some(commit) = self.cached(&mirror, url, name).await {
            return Ok(commit);
        }
        let lock = mirror.lock(url, self.config().network_timeout).await?;
        // Whoever held the lock may have fetched just this.
        if let Some(commit) = self.cached(&mirror, url, name).await {
            return Ok(commit);
        }
        let fetched = match self.fetch_into(&mirror, &lock, url, name).await {
            Err(Trouble::Git(failure)) if failure.symptom == Symptom::CacheDamaged => {
                tracing::warn!(repository.url = %url, error = failure.message, "the cached repository is damaged: starting anew");
                self.fetch_anew(&mirror, &lock, ObjectFormat::Sha1, url, name)
                    .await
            }
            Err(Trouble::Git(failure)) if failure.symptom == Symptom::ObjectFormat => {
                self.fetch_anew(&mirror, &lock, ObjectFormat::Sha256, url, name)
                    .await
            }
            other => other,
        };
        fetched.map_err(|trouble| settle(trouble, url, name.as_str()))
    }

    /// The name of the branch that the repository's `HEAD` points to, such as `main`.
    ///
    /// # Errors
    /// [`Error::EmptyRepository`] when there is no such branch yet, and those of [`Self::fetch`].
    pub async fn default_branch(&self, url: &RepositoryUrl) -> Result<String, Error> {
        self.admit(url)?;
        let doing = format!("asking {url} for its default branch");
        let arguments = ["ls-remote", "--symref", "--", url.as_str(), "HEAD"];
        let call = self.network_call(
            url,
            &self.inner.cache,
            doing,
            arguments.map(str::to_owned).to_vec(),
        );
        let printed = self
            .inner
            .git
            .run(call)
            .await?
            .checked()
            .map_err(|trouble| settle(trouble, url, "HEAD"))?;
        let text = String::from_utf8_lossy(&printed);
        let branch = text.lines().find_map(|line| {
            let target = line.strip_prefix("ref: refs/heads/")?;
            target.strip_suffix("\tHEAD").map(str::to_owned)
        });
        branch.ok_or_else(|| Error::EmptyRepository {
            url: url.to_string(),
        })
    }

    fn admit(&self, url: &RepositoryUrl) -> Result<(), Error> {
        match url.transport() {
            Transport::Local if !self.config().allow_local_paths => Err(Error::LocalPathRefused {
                url: url.to_string(),
            }),
            _ => Ok(()),
        }
    }

    /// The commit, if it was asked for by its id and is there.
    pub(crate) async fn cached(
        &self,
        mirror: &Mirror,
        url: &RepositoryUrl,
        name: &RefName,
    ) -> Option<Commit> {
        let id = name.commit_id()?;
        if !mirror.is_usable() {
            return None;
        }
        self.describe(mirror, url, id.as_str(), None, name)
            .await
            .ok()
    }

    async fn fetch_anew(
        &self,
        mirror: &Mirror,
        lock: &WriteLock,
        format: ObjectFormat,
        url: &RepositoryUrl,
        name: &RefName,
    ) -> Result<Commit, Trouble> {
        mirror
            .recreate(lock, &self.inner.git, format, self.config().local_timeout)
            .await?;
        match self.fetch_into(mirror, lock, url, name).await {
            // The mirror was damaged and also had the other format: once more, with the one that the host named.
            Err(Trouble::Git(failure))
                if failure.symptom == Symptom::ObjectFormat && format == ObjectFormat::Sha1 =>
            {
                mirror
                    .recreate(
                        lock,
                        &self.inner.git,
                        ObjectFormat::Sha256,
                        self.config().local_timeout,
                    )
                    .await?;
                self.fetch_into(mirror, lock, url, name).await
            }
            other => other,
        }
    }

    async fn fetch_into(
        &self,
        mirror: &Mirror,
        lock: &WriteLock,
        url: &RepositoryUrl,
        name: &RefName,
    ) -> Result<Commit, Trouble> {
        mirror
            .prepare(lock, &self.inner.git, self.config().local_timeout)
            .await?;
        if let Some(id) = name.commit_id() {
            return self.fetch_commit(mirror, url, name, &id).await;
        }
        if name.is_full() {
            return match self.fetch_reference(mirror, url, name, name.as_str()).await {
                Err(Trouble::Git(failure)) if failure.symptom == Symptom::RefNotFound => Err(self
                    .not_found(url, name, &self.advertised(mirror, url).await?)
                    .into()),
                other => other,
            };
        }
        let advertised = self.advertised(mirror, url).await?;
        match resolve(name, &advertised) {
            Some(reference) => self.fetch_reference(mirror, url, name, &reference).await,
            None if name.may_be_abbreviated_id() && !advertised.is_empty() => {
                self.pull(mirror, url, name, &format!("+refs/heads/*:{BRANCHES}/*"))
                    .await?;
                match self.describe(mirror, url, name.as_str(), None, name).await {
                    Err(Trouble::Git(failure)) if failure.symptom == Symptom::UnknownRevision => {
                        Err(self.not_found(url, name, &advertised).into())
                    }
                    other => other,
                }
            }
            None => Err(self.not_found(url, name, &advertised).into()),
        }
    }

    async fn fetch_reference(
        &self,
        mirror: &Mirror,
        url: &RepositoryUrl,
        name: &RefName,
        reference: &str,
    ) -> Result<Commit, Trouble> {
        let kept = format!("{NAMED}/{}", mirror::hash(reference));
        self.pull(mirror, url, name, &format!("+{reference}:{kept}"))
            .await?;
        match self
            .describe(mirror, url, &kept, Some(reference), name)
            .await
        {
            Err(Trouble::Git(failure)) if failure.symptom == Symptom::UnknownRevision => {
                Err(Error::NotACommit {
                    url: url.to_string(),
                    name: name.to_string(),
                }
                .into())
            }
            other => other,
        }
    }

    /// Fetches a commit by its id. Hosts that hand out only what they advertise are asked for all branches instead.
    async fn fetch_commit(
        &self,
        mirror: &Mirror,
        url: &RepositoryUrl,
        name: &RefName,
        id: &CommitId,
    ) -> Result<Commit, Trouble> {
        match self
            .pull(mirror, url, name, &format!("+{id}:{COMMITS}/{id}"))
            .await
        {
            Err(Trouble::Git(failure)) if failure.symptom == Symptom::RefNotFound => {
                self.pull(mirror, url, name, &format!("+refs/heads/*:{BRANCHES}/*"))
                    .await?;
            }
            other => other?,
        }
        match self.describe(mirror, url, id.as_str(), None, name).await {
            Err(Trouble::Git(failure)) if failure.symptom == Symptom::UnknownRevision => {
                Err(self.not_found(url, name, &[]).into())
            }
            other => other,
        }
    }

    async fn pull(
        &self,
        mirror: &Mirror,
        url: &RepositoryUrl,
        name: &RefName,
        refspec: &str,
    ) -> Result<(), Trouble> {
        let doing = format!("fetching {name} of {url}");
        let arguments = [
            "--git-dir=.",
            "fetch",
            "--quiet",
            "--no-write-fetch-head",
            "--no-recurse-submodules",
            "--no-tags",
            "--prune",
            "--force",
            "--",
            url.as_str(),
            refspec,
            TAGS,
        ];
        let call = self.network_call(
            url,
            mirror.directory(),
            doing,
            arguments.map(str::to_owned).to_vec(),
        );
        self.inner.git.run(call).await?.checked().map(drop)
    }

    /// Every reference of the repository. Peeled tags (`^{}`) are left out.
    async fn advertised(
        &self,
        mirror: &Mirror,
        url: &RepositoryUrl,
    ) -> Result<Vec<Advertised>, Trouble> {
        let doing = format!("listing the branches and tags of {url}");
        let arguments = ["--git-dir=.", "ls-remote", "--refs", "--", url.as_str()];
        let call = self.network_call(
            url,
            mirror.directory(),
            doing,
            arguments.map(str::to_owned).to_vec(),
        );
        let printed = self.inner.git.run(call).await?.checked()?;
        let text = String::from_utf8_lossy(&printed);
        let parse = |line: &str| {
            let (id, name) = line.split_once('\t')?;
            Some(Advertised {
                id: id.to_owned(),
                name: name.to_owned(),
            })
        };
        Ok(text.lines().filter_map(parse).collect())
    }

    fn not_found(&self, url: &RepositoryUrl, name: &RefName, advertised: &[Advertised]) -> Error {
        let url = url.to_string();
        if advertised.is_empty() && name.commit_id().is_none() {
            return Error::EmptyRepository { url };
        }
        let names = advertised.iter().map(|reference| reference.name.as_str());
        let names =
            names.filter(|name| name.starts_with("refs/heads/") || name.starts_with("refs/tags/"));
        Error::RefNotFound {
            url,
            name: name.to_string(),
            suggestions: suggest::similar(name.as_str(), names),
        }
    }

    async fn describe(
        &self,
        mirror: &Mirror,
        url: &RepositoryUrl,
        revision: &str,
        reference: Option<&str>,
        name: &RefName,
    ) -> Result<Commit, Trouble> {
        let peeled = format!("{revision}^{{commit}}");
        let verify = self.question(
            mirror.directory(),
            "looking up a commit",
            &["rev-parse", "--verify", "--end-of-options", &peeled],
        );
        let id = self.inner.git.run(verify).await?.checked()?;
        let id = String::from_utf8_lossy(&id).trim().to_owned();
        let arguments = [
            "log",
            "--max-count=1",
            "-z",
            "--format=%H%x00%an%x00%ae%x00%ct%x00%s",
            "--no-show-signature",
            &id,
            "--",
        ];
        let printed = self
            .inner
            .git
            .run(self.question(mirror.directory(), "reading a commit", &arguments))
            .await?;
        let commit = parse_commit(&printed.checked()?, url, reference);
        commit.ok_or_else(|| {
            Error::Git {
                doing: format!("reading {name} of {url}"),
                message: "git printed something else than a commit".to_owned(),
            }
            .into()
        })
    }
}

/// The full reference of a short name: a branch, else a tag, else one whose commit has this abbreviated id.
fn resolve(name: &RefName, advertised: &[Advertised]) -> Option<String> {
    let exact = |wanted: &str| advertised.iter().find(|reference| reference.name == wanted);
    if name.as_str() == "HEAD" && !advertised.is_empty() {
        return Some("HEAD".to_owned());
    }
    let named =
        exact(&format!("refs/heads/{name}")).or_else(|| exact(&format!("refs/tags/{name}")));
    let named = named.or_else(|| exact(&format!("refs/{name}")));
    let by_id = || {
        let prefix = name.as_str().to_ascii_lowercase();
        let mut heads = advertised
            .iter()
            .filter(|reference| reference.name.starts_with("refs/heads/"));
        heads.find(|reference| name.may_be_abbreviated_id() && reference.id.starts_with(&prefix))
    };
    named.or_else(by_id).map(|reference| reference.name.clone())
}
