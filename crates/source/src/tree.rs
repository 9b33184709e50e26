//! What is in the tree of a commit.

use bytes::Bytes;

use crate::{Commit, Error, Source};

/// One entry as `git ls-tree -z -l` prints it.
pub(crate) struct Entry {
    mode: String,
    pub(crate) kind: String,
    pub(crate) object: String,
    size_bytes: Option<u64>,
    path: String,
}

impl Source {
    /// The files at or below a path (`""` is the whole tree), in Git's order.
    ///
    /// # Errors
    /// [`Error::InvalidPath`], [`Error::TooLarge`], and those of [`Source::fetch`] when the cache was lost.
    pub async fn list_files(&self, commit: &Commit, path: &str) -> Result<Vec<String>, Error> {
        let path = normalized(path)?;
        let mut arguments = vec![
            "ls-tree",
            "-r",
            "-z",
            "--name-only",
            "--full-tree",
            commit.id.as_str(),
        ];
        if !path.is_empty() {
            arguments.extend(["--", &path]);
        }
        let printed = self
            .read(commit, "listing files", commit.id.as_str(), &arguments)
            .await?;
        Ok(parts(&printed).collect())
    }

    /// The content of a file, or `None` when there is none at this path.
    ///
    /// # Errors
    /// [`Error::NotAFile`] for a folder, link or submodule; [`Error::TooLarge`] above the configured size; else as
    /// [`Self::list_files`].
    pub async fn read_file(&self, commit: &Commit, path: &str) -> Result<Option<Bytes>, Error> {
        let path = normalized(path)?;
        let not_a_file = |what| {
            Err(Error::NotAFile {
                commit: commit.id.to_string(),
                path: path.clone(),
                what,
            })
        };
        if path.is_empty() {
            return not_a_file("the root folder");
        }
        let Some(entry) = self.entry(commit, &path).await? else {
            return Ok(None);
        };
        match (entry.kind.as_str(), entry.mode.as_str()) {
            ("blob", "120000") => return not_a_file("a symbolic link"),
            ("blob", _) => {}
            ("tree", _) => return not_a_file("a folder"),
            _ => return not_a_file("a submodule"),
        }
        let limit_bytes = self.config().max_file_bytes;
        if entry.size_bytes.is_none_or(|size| size > limit_bytes) {
            return Err(Error::TooLarge {
                what: format!("{path:?} in commit {}", commit.id),
                limit_bytes,
            });
        }
        let content = self
            .read(
                commit,
                "reading a file",
                &path,
                &["cat-file", "blob", &entry.object],
            )
            .await?;
        Ok(Some(content.into()))
    }

    /// What is at exactly this path.
    pub(crate) async fn entry(&self, commit: &Commit, path: &str) -> Result<Option<Entry>, Error> {
        let arguments = [
            "ls-tree",
            "-z",
            "-l",
            "--full-tree",
            commit.id.as_str(),
            "--",
            path,
        ];
        let printed = self
            .read(commit, "looking up a path", commit.id.as_str(), &arguments)
            .await?;
        let entry = parts(&printed).next().and_then(|entry| parse_entry(&entry));
        Ok(entry.filter(|entry| entry.path == path))
    }

    /// The paths of every file with this name, such as all `slipway.yaml` of a monorepo.
    ///
    /// # Errors
    /// As [`Self::list_files`].
    pub async fn find(&self, commit: &Commit, file_name: &str) -> Result<Vec<String>, Error> {
        let mut files = self.list_files(commit, "").await?;
        files.retain(|path| path.rsplit('/').next() == Some(file_name));
        Ok(files)
    }
}

/// Checks a path from outside; `.` and `./` become the root.
pub(crate) fn normalized(path: &str) -> Result<String, Error> {
    let refuse = |reason: &str| {
        Err(Error::InvalidPath {
            path: path.to_owned(),
            reason: reason.to_owned(),
        })
    };
    if path.starts_with('/') {
        return refuse("it is absolute: write it from the root of the repository");
    }
    if path.chars().any(char::is_control) {
        return refuse("it has control characters");
    }
    let mut kept = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => return refuse("it leaves the repository with '..'"),
            part => kept.push(part),
        }
    }
    Ok(kept.join("/"))
}

/// What is separated by NUL bytes.
pub(crate) fn parts(printed: &[u8]) -> impl Iterator<Item = String> {
    let parts = printed
        .split(|byte| *byte == 0)
        .filter(|part| !part.is_empty());
    parts.map(|part| String::from_utf8_lossy(part).into_owned())
}

fn parse_entry(text: &str) -> Option<Entry> {
    let (properties, path) = text.split_once('\t')?;
    let mut properties = properties.split_whitespace().map(str::to_owned);
    let (mode, kind, object) = (properties.next()?, properties.next()?, properties.next()?);
    let size_bytes = properties.next()?.parse().ok();
    Some(Entry {
        mode,
        kind,
        object,
        size_bytes,
        path: path.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_stay_inside() {
        assert_eq!(
            normalized("./services//orders/").unwrap(),
            "services/orders"
        );
        assert_eq!(normalized(".").unwrap(), "");
        for path in ["/etc/passwd", "../x", "a/../../x", "a\0b", "a\nb"] {
            assert!(normalized(path).is_err(), "{path:?}");
        }
    }
}
