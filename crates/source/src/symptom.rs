//! What a failed `git` meant, told from its last words.
//!
//! Git has no machine-readable errors. The texts are those of `LC_ALL=C`, which Git keeps stable for scripts in
//! practice; what is not recognised is shown as it is.

use crate::{Error, RepositoryUrl};

/// What a failed `git` meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Symptom {
    /// The mirror on our disk is damaged: throw it away and fetch again.
    CacheDamaged,
    /// The repository uses the other hash function than the mirror.
    ObjectFormat,
    AuthenticationRequired,
    Untrusted,
    RepositoryNotFound,
    RefNotFound,
    Unreachable,
    UnknownRevision,
    Other,
}

/// The first row of which a text occurs decides.
const SYMPTOMS: &[(Symptom, &[&str])] = &[
    (
        Symptom::ObjectFormat,
        &["mismatched algorithms", "mismatched object format"],
    ),
    (
        Symptom::AuthenticationRequired,
        &[
            "could not read username",
            "could not read password",
            "authentication failed",
            "terminal prompts disabled",
            "permission denied (",
            "the requested url returned error: 401",
            "the requested url returned error: 403",
        ],
    ),
    (
        Symptom::Untrusted,
        &[
            "host key verification failed",
            "ssl certificate problem",
            "server certificate verification failed",
            "certificate subject name",
        ],
    ),
    (
        Symptom::RepositoryNotFound,
        &[
            "does not appear to be a git repository",
            "repository not found",
            "repository not exported",
            "the requested url returned error: 404",
            "' not found",
            "does not exist",
            "project you were looking for could not be found",
        ],
    ),
    (
        Symptom::RefNotFound,
        &[
            "couldn't find remote ref",
            "could not find remote ref",
            "not our ref",
            "unadvertised object",
            "no such remote ref",
        ],
    ),
    (
        Symptom::Unreachable,
        &[
            "could not resolve",
            "name or service not known",
            "temporary failure in name resolution",
            "connection refused",
            "connection timed out",
            "connection reset",
            "connection closed",
            "failed to connect",
            "couldn't connect",
            "unable to connect",
            "unable to look up",
            "no route to host",
            "network is unreachable",
            "operation timed out",
            "operation too slow",
            "the requested url returned error: 429",
            "the requested url returned error: 5",
            "rpc failed",
            "early eof",
            "remote end hung up",
            "unexpected disconnect",
            "empty reply from server",
            "could not read from remote",
        ],
    ),
    (
        Symptom::CacheDamaged,
        &[
            "not a git repository",
            "corrupt",
            "bad object",
            "invalid object",
            "object file",
            "missing blob",
            "missing tree",
            "missing commit",
            "unable to read",
            "could not read",
            "could not parse object",
            "unable to find",
            "cannot read",
            "not a tree object",
            "packfile",
            "pack index",
            "index file",
            "bad config",
            "bad ref",
            "broken",
            "inflate",
            "did not send all necessary objects",
            ".lock': file exists",
            "no such file or directory",
            "cannot change to",
            "failed to traverse parents",
            "bad tree",
        ],
    ),
    (
        Symptom::UnknownRevision,
        &[
            "not a valid object name",
            "not a valid commit name",
            "unknown revision",
            "needed a single revision",
            "bad revision",
            "malformed object name",
        ],
    ),
];

/// A `git` that ran and failed.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) doing: String,
    pub(crate) symptom: Symptom,
    pub(crate) message: String,
}

impl Failure {
    pub(crate) fn new(doing: String, stderr: &str) -> Self {
        Self {
            doing,
            symptom: diagnose(stderr),
            message: last_words(stderr),
        }
    }

    /// The failure in terms of the repository and of what was asked for.
    pub(crate) fn into_error(self, url: &RepositoryUrl, wanted: &str) -> Error {
        let Self {
            doing,
            symptom,
            message,
        } = self;
        let url = url.to_string();
        match symptom {
            Symptom::AuthenticationRequired => Error::AuthenticationRequired { url },
            Symptom::Untrusted => Error::Untrusted {
                url,
                reason: message,
            },
            Symptom::RepositoryNotFound => Error::RepositoryNotFound { url },
            Symptom::RefNotFound => Error::RefNotFound {
                url,
                name: wanted.to_owned(),
                suggestions: Vec::new(),
            },
            Symptom::Unreachable => Error::Unreachable {
                url,
                reason: message,
            },
            Symptom::UnknownRevision => Error::UnknownRevision {
                url,
                revision: wanted.to_owned(),
            },
            Symptom::CacheDamaged | Symptom::ObjectFormat | Symptom::Other => {
                Error::Git { doing, message }
            }
        }
    }
}

fn diagnose(stderr: &str) -> Symptom {
    let text = stderr.to_lowercase();
    SYMPTOMS
        .iter()
        .find(|(_, texts)| texts.iter().any(|needle| text.contains(needle)))
        .map_or(Symptom::Other, |(symptom, _)| *symptom)
}

/// The lines that say what went wrong; Git's advice and progress are left out.
fn last_words(stderr: &str) -> String {
    let lines: Vec<&str> = stderr
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    let telling: Vec<&str> = lines
        .iter()
        .copied()
        .filter(|line| {
            ["fatal:", "error:", "ssh:", "remote:", "ERROR:"]
                .iter()
                .any(|start| line.starts_with(start))
        })
        .collect();
    let chosen = if telling.is_empty() { lines } else { telling };
    let text = chosen[chosen.len().saturating_sub(3)..].join("; ");
    if text.is_empty() {
        "git gave no reason".to_owned()
    } else {
        text.chars().take(600).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_git_says_is_told_apart() {
        for (stderr, expected) in [
            (
                "fatal: '/x' does not appear to be a git repository",
                Symptom::RepositoryNotFound,
            ),
            (
                "remote: Repository not found.\nfatal: repository 'https://h/x/' not found",
                Symptom::RepositoryNotFound,
            ),
            (
                "fatal: could not read Username for 'https://github.com': terminal prompts disabled",
                Symptom::AuthenticationRequired,
            ),
            (
                "git@h: Permission denied (publickey).\nfatal: Could not read from remote repository.",
                Symptom::AuthenticationRequired,
            ),
            (
                "Host key verification failed.\nfatal: Could not read from remote repository.",
                Symptom::Untrusted,
            ),
            (
                "fatal: unable to access 'https://h/': Could not resolve host: h",
                Symptom::Unreachable,
            ),
            (
                "fatal: unable to access 'https://h/': The requested URL returned error: 503",
                Symptom::Unreachable,
            ),
            (
                "fatal: couldn't find remote ref refs/heads/x",
                Symptom::RefNotFound,
            ),
            (
                "fatal: remote error: upload-pack: not our ref 1234",
                Symptom::RefNotFound,
            ),
            (
                "fatal: not a git repository: '/cache/x.git'",
                Symptom::CacheDamaged,
            ),
            (
                "error: object file objects/12/34 is empty",
                Symptom::CacheDamaged,
            ),
            (
                "fatal: loose object 1234 (stored in x) is corrupt",
                Symptom::CacheDamaged,
            ),
            (
                "fatal: Not a valid object name deadbeef^{commit}",
                Symptom::UnknownRevision,
            ),
            (
                "fatal: mismatched algorithms: client sha1; server sha256",
                Symptom::ObjectFormat,
            ),
            ("something new", Symptom::Other),
        ] {
            assert_eq!(diagnose(stderr), expected, "{stderr}");
        }
    }

    #[test]
    fn the_message_keeps_what_tells_the_cause() {
        let stderr = "Cloning…\nhint: try this\nfatal: the cause\n";
        assert_eq!(last_words(stderr), "fatal: the cause");
        assert_eq!(last_words(""), "git gave no reason");
    }
}
