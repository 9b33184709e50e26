//! What can go wrong with a repository, in words for the person whose repository it is.

use std::{io, time::Duration};

/// Why a repository could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The text is not an address of a repository.
    #[error("{text:?} is not a repository that Slipway can use: {reason}")]
    InvalidUrl {
        /// The text, without credentials.
        text: String,
        /// What is wrong with it, and what would be right.
        reason: String,
    },
    /// The text is not the name of a branch, tag or commit.
    #[error("{name:?} is not the name of a branch, tag or commit: {reason}")]
    InvalidRef {
        /// The text.
        name: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// The text is not a path inside a repository.
    #[error("{path:?} is not a path inside a repository: {reason}")]
    InvalidPath {
        /// The text.
        path: String,
        /// Which rule it breaks.
        reason: String,
    },
    /// The repository is on this machine's disk, and that is not allowed here.
    #[error(
        "{url} is a path on Slipway's own machine, which this service does not allow: use an https or ssh address"
    )]
    LocalPathRefused {
        /// The repository.
        url: String,
    },
    /// There is no such repository.
    #[error(
        "the repository {url} does not exist, or may not be read with the credentials that Slipway has"
    )]
    RepositoryNotFound {
        /// The repository.
        url: String,
    },
    /// The repository's host did not answer as it should; it may do so later.
    #[error("the repository {url} cannot be reached: {reason}")]
    Unreachable {
        /// The repository.
        url: String,
        /// What Git said.
        reason: String,
    },
    /// The host asks who we are.
    #[error(
        "the repository {url} needs credentials (some hosts say so too when a repository does not exist): \
         give Slipway a token for this host, or an SSH key that may read it"
    )]
    AuthenticationRequired {
        /// The repository.
        url: String,
    },
    /// The host could not prove that it is who it says.
    #[error(
        "the host of {url} is not trusted: {reason}; add its certificate authority (GIT_SSL_CAINFO) or its SSH host key"
    )]
    Untrusted {
        /// The repository.
        url: String,
        /// What Git said.
        reason: String,
    },
    /// The repository has no such branch, tag or commit.
    #[error("the repository {url} has no branch, tag or commit {name:?}{}", did_you_mean(.suggestions))]
    RefNotFound {
        /// The repository.
        url: String,
        /// What was asked for.
        name: String,
        /// Names that look alike, best first.
        suggestions: Vec<String>,
    },
    /// The repository has no commit at all.
    #[error("the repository {url} is empty: push a commit first")]
    EmptyRepository {
        /// The repository.
        url: String,
    },
    /// A tag that points at a file or a folder.
    #[error("{name:?} in the repository {url} does not point at a commit")]
    NotACommit {
        /// The repository.
        url: String,
        /// What was asked for.
        name: String,
    },
    /// A commit or tag that is not part of what was fetched, such as one that a forced push removed.
    #[error("the repository {url} has no commit or tag {revision:?} among what was fetched")]
    UnknownRevision {
        /// The repository.
        url: String,
        /// What was asked for.
        revision: String,
    },
    /// The commit has no such path.
    #[error("there is no {path:?} in commit {commit} of {url}")]
    PathNotFound {
        /// The repository.
        url: String,
        /// The commit.
        commit: String,
        /// The path.
        path: String,
    },
    /// The path is there, but it is a folder, a link or a submodule.
    #[error("{path:?} in commit {commit} is {what}, not a file")]
    NotAFile {
        /// The commit.
        commit: String,
        /// The path.
        path: String,
        /// What it is instead.
        what: &'static str,
    },
    /// A file name with which unpacking would leave the folder it unpacks to.
    #[error(
        "commit {commit} has a file with the forbidden name {path:?}: Slipway does not unpack it"
    )]
    HostilePath {
        /// The commit.
        commit: String,
        /// The name.
        path: String,
    },
    /// More than Slipway takes.
    #[error("{what} is larger than the {limit_bytes} bytes that are allowed")]
    TooLarge {
        /// What is too large.
        what: String,
        /// The limit.
        limit_bytes: u64,
    },
    /// It took too long.
    #[error("{doing} took longer than {} seconds", .after.as_secs())]
    Timeout {
        /// What was being done.
        doing: String,
        /// The time it had.
        after: Duration,
    },
    /// The `git` program is not there.
    #[error(
        "the program `git` is not installed where Slipway runs: install it (Debian: apt-get install git)"
    )]
    GitMissing,
    /// Git failed in a way that has no better name.
    #[error("{doing} failed: {message}")]
    Git {
        /// What was being done.
        doing: String,
        /// The end of what Git said.
        message: String,
    },
    /// The cache's disk, or starting the program, failed.
    #[error("{doing} failed")]
    Io {
        /// What was being done.
        doing: String,
        /// The cause.
        #[source]
        source: io::Error,
    },
}

impl Error {
    /// Whether the same call may succeed later without anybody changing the repository or the configuration.
    pub fn is_retryable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::Git { .. }
            | Self::Io { .. } => true,
            Self::InvalidUrl { .. }
            | Self::InvalidRef { .. }
            | Self::InvalidPath { .. }
            | Self::LocalPathRefused { .. }
            | Self::RepositoryNotFound { .. }
            | Self::AuthenticationRequired { .. }
            | Self::Untrusted { .. }
            | Self::RefNotFound { .. }
            | Self::EmptyRepository { .. }
            | Self::NotACommit { .. }
            | Self::UnknownRevision { .. }
            | Self::PathNotFound { .. }
            | Self::NotAFile { .. }
            | Self::HostilePath { .. }
            | Self::TooLarge { .. }
            | Self::GitMissing => false,
        }
    }

    pub(crate) fn io(doing: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let doing = doing.into();
        move |source| Self::Io { doing, source }
    }
}

fn did_you_mean(suggestions: &[String]) -> String {
    match suggestions {
        [] => String::new(),
        [only] => format!("; did you mean {only:?}?"),
        several => {
            let quoted: Vec<String> = several.iter().map(|name| format!("{name:?}")).collect();
            format!("; did you mean one of {}?", quoted.join(", "))
        }
    }
}
