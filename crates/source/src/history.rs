//! Commits, tags, and what changed between them.

use jiff::Timestamp;

use crate::{
    Commit, CommitId, Error, RefName, RepositoryUrl, Source, settle,
    tree::{normalized, parts},
};

/// Which part of a history to read.
#[derive(Clone, Debug)]
pub struct LogQuery {
    /// A tag or commit: it and what it contains are left out.
    pub since: Option<RefName>,
    /// Only commits that changed something at or below this path.
    pub path: Option<String>,
    /// The most entries to return; the newest are kept.
    pub limit: usize,
}

impl Default for LogQuery {
    fn default() -> Self {
        Self {
            since: None,
            path: None,
            limit: 1000,
        }
    }
}

/// One commit of a history.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LogEntry {
    /// The commit.
    pub id: CommitId,
    /// Who wrote it.
    pub author_name: String,
    /// The author's address.
    pub author_email: String,
    /// When it was committed.
    pub time: Timestamp,
    /// Its whole message.
    pub message: String,
}

/// A tag and the commit that it points at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tag {
    /// Without `refs/tags/`.
    pub name: String,
    /// The commit, also for an annotated tag.
    pub commit: CommitId,
}

impl Source {
    /// The history of a commit, newest first.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] when `since` is not among what was fetched; else as [`Source::list_files`].
    pub async fn log(&self, commit: &Commit, query: &LogQuery) -> Result<Vec<LogEntry>, Error> {
        let limit = format!("--max-count={}", query.limit);
        let mut range = vec![commit.id.to_string()];
        if let Some(since) = &query.since {
            range.push(format!("^{}", self.resolve_locally(commit, since).await?));
        }
        let path = query
            .path
            .as_deref()
            .map(normalized)
            .transpose()?
            .filter(|path| !path.is_empty());
        let format = "--format=tformat:%H%x00%an%x00%ae%x00%ct%x00%B";
        let mut arguments = vec![
            "log",
            "-z",
            format,
            "--no-show-signature",
            "--no-decorate",
            &limit,
        ];
        arguments.extend(range.iter().map(String::as_str));
        arguments.push("--");
        arguments.extend(path.as_deref());
        let printed = self
            .read(
                commit,
                "reading the history",
                commit.id.as_str(),
                &arguments,
            )
            .await?;
        let text = String::from_utf8_lossy(&printed);
        let fields: Vec<&str> = text.split('\0').collect();
        Ok(fields.chunks_exact(5).filter_map(parse_entry).collect())
    }

    /// The tags that a commit contains, oldest first.
    ///
    /// # Errors
    /// As [`Source::list_files`].
    pub async fn tags_merged(&self, commit: &Commit) -> Result<Vec<Tag>, Error> {
        let merged = format!("--merged={}", commit.id);
        let format = "--format=%(refname:strip=2)%00%(objectname)%00%(*objectname)";
        let arguments = [
            "for-each-ref",
            &merged,
            "--sort=creatordate",
            format,
            "refs/tags",
        ];
        let printed = self
            .read(commit, "reading the tags", commit.id.as_str(), &arguments)
            .await?;
        let text = String::from_utf8_lossy(&printed);
        let parse = |line: &str| {
            let mut fields = line.split('\0');
            let (name, object, peeled) = (fields.next()?, fields.next()?, fields.next()?);
            let commit = CommitId::parse(if peeled.is_empty() { object } else { peeled })?;
            Some(Tag {
                name: name.to_owned(),
                commit,
            })
        };
        Ok(text.lines().filter_map(parse).collect())
    }

    /// The paths that differ between two commits; a renamed file counts with both names.
    ///
    /// # Errors
    /// [`Error::UnknownRevision`] when `from` is not among what was fetched, as after a forced push; else as
    /// [`Source::list_files`].
    pub async fn changed_paths(&self, from: &CommitId, to: &Commit) -> Result<Vec<String>, Error> {
        self.resolve_locally(to, &RefName::from(from)).await?;
        let arguments = [
            "diff-tree",
            "-r",
            "-z",
            "--name-only",
            "--no-renames",
            from.as_str(),
            to.id.as_str(),
        ];
        let printed = self
            .read(to, "comparing two commits", from.as_str(), &arguments)
            .await?;
        Ok(parts(&printed).collect())
    }

    /// Whether a commit is the other one or part of its history. A commit that was not fetched is not.
    ///
    /// # Errors
    /// As [`Source::list_files`].
    pub async fn is_ancestor(&self, ancestor: &CommitId, of: &Commit) -> Result<bool, Error> {
        match self.resolve_locally(of, &RefName::from(ancestor)).await {
            Err(Error::UnknownRevision { .. }) => return Ok(false),
            other => other?,
        };
        let arguments = [
            "merge-base",
            "--is-ancestor",
            ancestor.as_str(),
            of.id.as_str(),
        ];
        let output = self
            .ask(of, "comparing two commits", ancestor.as_str(), &arguments)
            .await?;
        output
            .yes_or_no()
            .map_err(|trouble| settle(trouble, &of.url, ancestor.as_str()))
    }

    /// The commit of a tag, or of a commit id, among what was fetched.
    async fn resolve_locally(&self, commit: &Commit, name: &RefName) -> Result<CommitId, Error> {
        let mut candidates = Vec::new();
        if name.is_full() {
            candidates.push(name.to_string());
        } else if name.commit_id().is_none() {
            candidates.push(format!("refs/tags/{name}"));
        }
        if name.commit_id().is_some() || name.may_be_abbreviated_id() {
            candidates.push(name.to_string());
        }
        let unknown = || Error::UnknownRevision {
            url: commit.url.to_string(),
            revision: name.to_string(),
        };
        for candidate in candidates {
            let peeled = format!("{candidate}^{{commit}}");
            // With --quiet an unknown name is the exit code 1 rather than a message.
            let arguments = [
                "rev-parse",
                "--verify",
                "--quiet",
                "--end-of-options",
                &peeled,
            ];
            let output = self
                .ask(commit, "looking up a commit", name.as_str(), &arguments)
                .await?;
            if output.symptom().is_none()
                && let Some(id) = CommitId::parse(String::from_utf8_lossy(&output.stdout).trim())
            {
                return Ok(id);
            }
        }
        Err(unknown())
    }
}

/// One commit as `%H %an %ae %ct %s`, separated by NUL bytes.
pub(crate) fn parse_commit(
    printed: &[u8],
    url: &RepositoryUrl,
    reference: Option<&str>,
) -> Option<Commit> {
    let text = String::from_utf8_lossy(printed);
    let fields: Vec<&str> = text.split('\0').collect();
    let entry = parse_entry(fields.get(..5)?)?;
    Some(Commit {
        id: entry.id,
        url: url.clone(),
        reference: reference.map(str::to_owned),
        author_name: entry.author_name,
        author_email: entry.author_email,
        time: entry.time,
        subject: entry.message,
    })
}

fn parse_entry(fields: &[&str]) -> Option<LogEntry> {
    let [id, author_name, author_email, seconds, message] = fields else {
        return None;
    };
    Some(LogEntry {
        id: CommitId::parse(id.trim())?,
        author_name: (*author_name).to_owned(),
        author_email: (*author_email).to_owned(),
        // A time beyond what a calendar has is the author's joke, not a reason to refuse the commit.
        time: seconds
            .parse()
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
            .unwrap_or_default(),
        message: message.trim_end().to_owned(),
    })
}
