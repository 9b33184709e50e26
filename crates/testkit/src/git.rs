//! Temporary Git repositories with commits, branches and tags.

use std::{
    fs,
    path::Path,
    process::Command,
    sync::atomic::{AtomicU64, Ordering},
};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

/// The time of the first commit of every test repository: 2026-01-01T00:00:00Z.
const FIRST_COMMIT_SECONDS: u64 = 1_767_225_600;

/// A Git repository with a working tree on branch `main`, removed when dropped.
///
/// Commits have a fixed author and times one minute apart, so equal histories have equal ids.
#[derive(Debug)]
pub struct GitRepository {
    directory: TempDir,
    commits: AtomicU64,
}

impl GitRepository {
    /// Makes an empty repository: there is no commit yet.
    pub fn empty() -> Result<Self> {
        Self::with_object_format("sha1")
    }

    /// Makes an empty repository with the object format `sha1` or `sha256`.
    pub fn with_object_format(format: &str) -> Result<Self> {
        let repository = Self {
            directory: tempfile::tempdir().context("cannot make a directory for a repository")?,
            commits: AtomicU64::new(0),
        };
        let format = format!("--object-format={format}");
        repository.git(&["init", "--quiet", "--initial-branch=main", &format])?;
        Ok(repository)
    }

    /// Makes a repository whose first commit has these files.
    pub fn with_files(files: &[(&str, &str)]) -> Result<Self> {
        let repository = Self::empty()?;
        repository.commit_files(files, "feat: Start")?;
        Ok(repository)
    }

    /// The working tree, which is also an address that Git can fetch from.
    pub fn path(&self) -> &Path {
        self.directory.path()
    }

    /// The repository as a `file://` URL.
    pub fn url(&self) -> String {
        format!("file://{}", self.path().display())
    }

    /// Writes a file of the working tree; missing folders are made.
    pub fn write(&self, path: &str, content: &str) -> Result<()> {
        let target = self.path().join(path);
        if let Some(folder) = target.parent() {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder of {path}"))?;
        }
        fs::write(&target, content).with_context(|| format!("cannot write {path}"))
    }

    /// Commits the whole working tree and returns the commit's id; an unchanged tree makes an empty commit.
    pub fn commit(&self, message: &str) -> Result<String> {
        self.git(&["add", "--all"])?;
        let date = date_of(self.commits.fetch_add(1, Ordering::Relaxed));
        let dates = [
            ("GIT_AUTHOR_DATE", date.as_str()),
            ("GIT_COMMITTER_DATE", date.as_str()),
        ];
        self.run(
            &["commit", "--quiet", "--allow-empty", "--message", message],
            &dates,
        )?;
        self.head()
    }

    /// Writes files, commits them, and returns the commit's id.
    pub fn commit_files(&self, files: &[(&str, &str)], message: &str) -> Result<String> {
        for (path, content) in files {
            self.write(path, content)?;
        }
        self.commit(message)
    }

    /// Makes a lightweight tag at the current commit.
    pub fn tag(&self, name: &str) -> Result<()> {
        self.git(&["tag", name]).map(drop)
    }

    /// Makes an annotated tag at the current commit, dated like the newest commit.
    pub fn annotated_tag(&self, name: &str, message: &str) -> Result<()> {
        let date = date_of(self.commits.load(Ordering::Relaxed).saturating_sub(1));
        let arguments = ["tag", "--annotate", "--message", message, name];
        self.run(&arguments, &[("GIT_COMMITTER_DATE", &date)])
            .map(drop)
    }

    /// Makes a branch at the current commit and switches to it.
    pub fn branch(&self, name: &str) -> Result<()> {
        self.git(&["switch", "--quiet", "--create", name]).map(drop)
    }

    /// Switches to a branch that exists.
    pub fn switch(&self, name: &str) -> Result<()> {
        self.git(&["switch", "--quiet", name]).map(drop)
    }

    /// The id of the current commit.
    pub fn head(&self) -> Result<String> {
        Ok(self.git(&["rev-parse", "HEAD"])?.trim().to_owned())
    }

    /// Runs any other `git` command in the working tree and returns what it printed.
    pub fn git(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments, &[])
    }

    fn run(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Result<String> {
        let output = Command::new("git")
            .args(arguments)
            .current_dir(self.path())
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", "/dev/null")
            .env("GIT_AUTHOR_NAME", "Ada Author")
            .env("GIT_AUTHOR_EMAIL", "ada@example.com")
            .env("GIT_COMMITTER_NAME", "Ada Author")
            .env("GIT_COMMITTER_EMAIL", "ada@example.com")
            .envs(environment.iter().copied())
            .output()
            .context("cannot run git")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "git {arguments:?} failed: {errors}"
        );
        String::from_utf8(output.stdout).context("git printed something that is not UTF-8")
    }
}

fn date_of(commit: u64) -> String {
    format!("{} +0000", FIRST_COMMIT_SECONDS + 60 * commit)
}
