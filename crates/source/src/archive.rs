//! The tree of a commit as a tar stream.

use bytes::Bytes;
use futures::{StreamExt, stream::BoxStream};
use tokio::time::{Instant, timeout_at};
use tokio_util::io::ReaderStream;

use crate::{
    Commit, Error, Source,
    git::{Running, Trouble, read_last_words},
    mirror::Mirror,
    settle,
    symptom::{Failure, Symptom},
    tree::normalized,
};

/// A tar stream. It ends with an error when the archive is not whole.
pub type Archive = BoxStream<'static, Result<Bytes, Error>>;

/// What the stream needs until its end.
struct Streaming {
    running: Running,
    chunks: ReaderStream<tokio::process::ChildStdout>,
    mirror: Mirror,
    commit: Commit,
    doing: String,
    deadline: Instant,
    time_limit: std::time::Duration,
    left_bytes: u64,
    limit_bytes: u64,
}

impl Source {
    /// The tree of a commit, or the folder at a path of it, as a tar stream whose bytes depend on nothing else: times are
    /// the commit's, owners are root, modes are 0644 and 0755. Nothing is left out by `export-ignore`.
    ///
    /// # Errors
    /// [`Error::PathNotFound`] when there is no such folder; [`Error::HostilePath`] when unpacking would leave the
    /// target folder. The stream itself may end with [`Error::TooLarge`], [`Error::Timeout`] or [`Error::Git`].
    pub async fn archive(&self, commit: &Commit, path: &str) -> Result<Archive, Error> {
        let path = normalized(path)?;
        let mut revision = commit.id.to_string();
        let files = self.list_files(commit, &path).await?;
        if let Some(path) = files.iter().find(|path| leaves_its_folder(path)) {
            return Err(Error::HostilePath {
                commit: revision,
                path: path.clone(),
            });
        }
        if !path.is_empty() {
            revision = self.folder_as_commit(commit, &path).await?;
        }
        let doing = format!("archiving commit {} of {}", commit.id, commit.url);
        let mirror = self.mirror(&commit.url);
        let call = self.question(
            mirror.directory(),
            &doing,
            &["archive", "--format=tar", &revision],
        );
        let (running, stdout) = self.inner.git.start(&call)?;
        let time_limit = self.config().network_timeout;
        let limit_bytes = self.config().max_archive_bytes;
        let streaming = Streaming {
            running,
            chunks: ReaderStream::with_capacity(stdout, 64 << 10),
            mirror: mirror.clone(),
            commit: commit.clone(),
            doing,
            deadline: Instant::now() + time_limit,
            time_limit,
            left_bytes: limit_bytes,
            limit_bytes,
        };
        Ok(futures::stream::try_unfold(Some(streaming), next).boxed())
    }

    /// A commit of our own whose tree is the folder: only the archive of a commit has reproducible times.
    async fn folder_as_commit(&self, commit: &Commit, path: &str) -> Result<String, Error> {
        let entry = self
            .entry(commit, path)
            .await?
            .filter(|entry| entry.kind == "tree");
        let tree = entry
            .map(|entry| entry.object)
            .ok_or_else(|| Error::PathNotFound {
                url: commit.url.to_string(),
                commit: commit.id.to_string(),
                path: path.to_owned(),
            })?;
        let mirror = self.mirror(&commit.url);
        let mut call = self.question(
            mirror.directory(),
            "preparing a folder",
            &["commit-tree", "-m", "folder", &tree],
        );
        let date = format!("{} +0000", commit.time.as_second().max(0));
        for role in ["AUTHOR", "COMMITTER"] {
            call.environment
                .push((format!("GIT_{role}_NAME"), "slipway".into()));
            call.environment
                .push((format!("GIT_{role}_EMAIL"), "slipway@localhost".into()));
            call.environment
                .push((format!("GIT_{role}_DATE"), date.clone().into()));
        }
        let made = self.inner.git.run(call).await?.checked();
        let made = made.map_err(|trouble| settle(trouble, &commit.url, path))?;
        Ok(String::from_utf8_lossy(&made).trim().to_owned())
    }
}

async fn next(streaming: Option<Streaming>) -> Result<Option<(Bytes, Option<Streaming>)>, Error> {
    let Some(mut streaming) = streaming else {
        return Ok(None);
    };
    let late = |doing: &str, after| Error::Timeout {
        doing: doing.to_owned(),
        after,
    };
    let chunk = timeout_at(streaming.deadline, streaming.chunks.next()).await;
    match chunk.map_err(|_| late(&streaming.doing, streaming.time_limit))? {
        Some(Ok(bytes)) => match streaming.left_bytes.checked_sub(bytes.len() as u64) {
            Some(left) => {
                streaming.left_bytes = left;
                Ok(Some((bytes, Some(streaming))))
            }
            None => Err(Error::TooLarge {
                what: format!("the tree of commit {}", streaming.commit.id),
                limit_bytes: streaming.limit_bytes,
            }),
        },
        Some(Err(source)) => Err(Error::Io {
            doing: streaming.doing,
            source,
        }),
        None => streaming.finish().await.map(|()| None),
    }
}

impl Streaming {
    /// The output has ended: did `git` succeed?
    async fn finish(self) -> Result<(), Error> {
        let Self {
            mut running,
            mirror,
            commit,
            doing,
            deadline,
            time_limit,
            ..
        } = self;
        let end = async {
            let words = read_last_words(&mut running.stderr).await?;
            std::io::Result::Ok((words, running.child.wait().await?))
        };
        let ended = timeout_at(deadline, end).await;
        let ended = ended.map_err(|_| Error::Timeout {
            doing: doing.clone(),
            after: time_limit,
        })?;
        let (words, status) = ended.map_err(Error::io(doing.clone()))?;
        running.guard.disarm();
        if status.success() {
            return Ok(());
        }
        let failure = Failure::new(doing, &words);
        if failure.symptom == Symptom::CacheDamaged {
            mirror.suspect();
        }
        Err(settle(
            Trouble::Git(failure),
            &commit.url,
            commit.id.as_str(),
        ))
    }
}

/// Names that `git add` never makes, but a hand-made tree may have.
fn leaves_its_folder(path: &str) -> bool {
    path.split('/')
        .any(|part| matches!(part, "" | "." | "..") || part.eq_ignore_ascii_case(".git"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_leave_the_folder_are_known() {
        for path in [
            "../x",
            "a/../x",
            "/etc/passwd",
            "a//b",
            ".git/config",
            "a/.GIT/hooks/x",
            ".",
        ] {
            assert!(leaves_its_folder(path), "{path}");
        }
        for path in ["a", "a/..b", ".github/x", "..."] {
            assert!(!leaves_its_folder(path), "{path}");
        }
    }
}
