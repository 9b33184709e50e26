//! A Git repository for each service of the demo: its commits are the same on every machine.

use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::services::Service;
use crate::process;

const AUTHOR: [(&str, &str); 6] = [
    ("GIT_AUTHOR_NAME", "Harbour shop"),
    ("GIT_AUTHOR_EMAIL", "shop@example.org"),
    ("GIT_AUTHOR_DATE", "2026-11-23T08:00:00Z"),
    ("GIT_COMMITTER_NAME", "Harbour shop"),
    ("GIT_COMMITTER_EMAIL", "shop@example.org"),
    ("GIT_COMMITTER_DATE", "2026-11-23T08:00:00Z"),
];
/// Names the newest commit with the service as it is in `deploy/demo`.
const BASE: &str = "refs/demo/base";
const MAIN: &str = "refs/heads/main";

/// The repository of one service.
#[derive(Debug, Clone)]
pub(super) struct Repository {
    path: PathBuf,
}

impl Repository {
    /// Makes the repository, or brings what changed in the service's folder into the one that is there.
    pub(super) async fn keep(path: PathBuf, service: &Service) -> Result<Self> {
        let repository = Self { path };
        if !repository.path.join(".git").exists() {
            fs::create_dir_all(&repository.path)
                .with_context(|| format!("could not create {}", repository.path.display()))?;
            repository
                .git(["init", "--quiet", "--initial-branch=main"])
                .await?;
        }
        let tree = repository.tree_of(&service.folder).await?;
        let base = repository.commit_at(BASE).await;
        let committed = match &base {
            Some(_) => Some(
                repository
                    .git(["rev-parse", &format!("{BASE}^{{tree}}")])
                    .await?,
            ),
            None => None,
        };
        if committed.as_deref() != Some(&tree) {
            repository.commit(&tree, base.is_some(), service).await?;
        }
        Ok(repository)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The commit of `main`.
    pub(super) async fn head(&self) -> Result<String> {
        self.commit_at(MAIN)
            .await
            .with_context(|| format!("{} has no commit on main", self.path.display()))
    }

    /// Whether something was committed on top of the service as it is in `deploy/demo`.
    pub(super) async fn has_change(&self) -> bool {
        self.commit_at(MAIN).await != self.commit_at(BASE).await
    }

    /// Commits a patch file with its author and message.
    pub(super) async fn apply(&self, patch: &Path) -> Result<()> {
        let patch = patch.to_str().context("the patch's path is UTF-8")?;
        let applied = self
            .git(["am", "--quiet", "--committer-date-is-author-date", patch])
            .await;
        if let Err(error) = applied {
            // The repository must not stay in the middle of it; that it can't be undone is told by the next command.
            let _ = self.git(["am", "--abort"]).await;
            return Err(error.context(format!("{patch} does not fit deploy/demo any more")));
        }
        Ok(())
    }

    /// The tree of a folder outside of the repository, with its objects in the repository.
    async fn tree_of(&self, folder: &Path) -> Result<String> {
        let mut add = self.command(["add", "--all", "."]);
        add.env("GIT_WORK_TREE", folder).current_dir(folder);
        let mut write = self.command(["write-tree"]);
        for command in [&mut add, &mut write] {
            // An index of its own: that of the repository belongs to what is checked out there.
            command
                .env("GIT_DIR", self.path.join(".git"))
                .env("GIT_INDEX_FILE", self.path.join(".git/demo-index"));
        }
        process::run(add, process::QUESTION).await?;
        let tree = process::run(write, process::QUESTION).await?;
        Ok(tree.trim().to_owned())
    }

    async fn commit(&self, tree: &str, again: bool, service: &Service) -> Result<()> {
        let name = &service.name;
        let message = if again {
            format!("fix: Follow the demo's {name}")
        } else {
            format!("feat: Open the {name} service")
        };
        let mut arguments = vec!["commit-tree", tree, "-m", &message];
        let parent = self.commit_at(MAIN).await;
        if let Some(parent) = &parent {
            arguments.extend(["-p", parent]);
        }
        let commit = self.git(arguments).await?;
        if commit.is_empty() {
            bail!("git made no commit in {}", self.path.display());
        }
        self.git(["update-ref", BASE, &commit]).await?;
        self.git(["reset", "--quiet", "--hard", &commit])
            .await
            .map(drop)
    }

    async fn commit_at(&self, reference: &str) -> Option<String> {
        self.git(["rev-parse", "--verify", "--quiet", reference])
            .await
            .ok()
    }

    async fn git<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Result<String> {
        let printed = process::run(self.command(arguments), process::QUESTION).await?;
        Ok(printed.trim().to_owned())
    }

    /// Git without the user's own settings, which could change what is committed or ask for a key.
    fn command<S: AsRef<OsStr>>(&self, arguments: impl IntoIterator<Item = S>) -> Command {
        let mut git = process::command("git", arguments);
        git.current_dir(&self.path)
            .envs(AUTHOR)
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_COUNT", "0");
        for variable in ["GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE"] {
            git.env_remove(variable);
        }
        git
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(folder: &Path) -> Service {
        Service {
            name: "labels".to_owned(),
            folder: folder.to_owned(),
            needs: [].into(),
        }
    }

    #[tokio::test]
    async fn a_repository_follows_the_folder_and_is_the_same_everywhere() {
        let work = tempfile::tempdir().expect("a temporary directory");
        let folder = work.path().join("labels");
        fs::create_dir(&folder).expect("created");
        fs::write(folder.join("labels.pl"), "1;\n").expect("written");
        let labels = service(&folder);
        let keep = async |name: &str| {
            let repository = Repository::keep(work.path().join(name), &labels);
            let repository = repository.await.expect("kept");
            repository.head().await.expect("committed")
        };
        let first = keep("a").await;
        assert_eq!(keep("a").await, first, "nothing changed");
        assert_eq!(
            keep("b").await,
            first,
            "the same content is the same commit"
        );
        fs::write(folder.join("labels.pl"), "2;\n").expect("written");
        assert_ne!(keep("a").await, first);
        let content = fs::read_to_string(work.path().join("a/labels.pl")).expect("checked out");
        assert_eq!(content, "2;\n");
    }

    #[tokio::test]
    async fn the_change_to_the_storefront_fits_the_storefront() {
        let work = tempfile::tempdir().expect("a temporary directory");
        let demo = crate::repository_root().join("deploy/demo");
        let service = service(&demo.join("storefront"));
        let path = work.path().join("storefront");
        let repository = Repository::keep(path.clone(), &service)
            .await
            .expect("kept");
        assert!(!repository.has_change().await);
        let patch = demo.join("changes/storefront.patch");
        repository.apply(&patch).await.expect("it fits");
        assert!(repository.has_change().await);
        let changed = repository.head().await.expect("committed");
        let again = Repository::keep(path, &service).await.expect("kept");
        assert_eq!(
            again.head().await.expect("committed"),
            changed,
            "kept on a rerun"
        );
    }
}
