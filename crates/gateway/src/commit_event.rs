//! The event that starts a run, as anyone may publish it on `slipway.commit.<repository>`.
//!
//! ```json
//! {"repository": "https://git.example.com/team/orders.git", "ref": "refs/heads/main",
//!  "commit": "8d1c…", "kind": "push", "id": "any text, the same when sent again", "actor": "ada"}
//! ```
//!
//! Only `repository` and `ref` are required. Fields that are not known are ignored, so that older gateways read newer
//! events.

use serde::{Deserialize, Serialize};
use source::{CommitId, RefName, RepositoryUrl};

use crate::webhook::{CommitPushed, PushKind};

/// A commit that reached a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct CommitEvent {
    /// An address, or an absolute path on the gateway's machine where that is allowed.
    pub repository: String,
    /// A branch, tag or full reference.
    #[serde(rename = "ref")]
    pub reference: String,
    /// The commit; without it, what `ref` points at when the event is handled.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub commit: Option<String>,
    /// What the reference pointed at before: of a monorepo, only services that changed since get a run. Without it, all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<String>,
    /// The same for each sending of the same event: it is handled once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// What was pushed; without it, `ref` tells.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub kind: Option<CommitKind>,
    /// The number of the proposal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<u64>,
    /// The branch that the proposal wants to change.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_branch: Option<String>,
    /// The repository's default branch, where the sender knows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_branch: Option<String>,
    /// Who pushed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub actor: Option<String>,
    /// Only this service of a monorepo.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
}

/// What was pushed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum CommitKind {
    /// A branch.
    Push,
    /// A tag.
    Tag,
    /// A pull request or merge request.
    Proposal,
}

/// Why an event cannot be handled.
#[derive(Debug, thiserror::Error)]
pub enum CommitEventError {
    /// Not JSON, a field that must be there is not, or one has the wrong type.
    #[error(
        "the commit event cannot be read: {reason}; it looks like {{\"repository\": \"https://…\", \"ref\": \"refs/heads/main\"}}"
    )]
    Malformed {
        /// What the parser says.
        reason: String,
    },
    /// A field has a value that means nothing.
    #[error("the commit event has a bad {field:?}: {reason}")]
    Field {
        /// Its name in the JSON.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl CommitEvent {
    /// Reads and checks an event.
    ///
    /// # Errors
    /// [`CommitEventError`]: sending the same again will not help.
    pub fn from_json(json: &[u8]) -> Result<Self, CommitEventError> {
        if !json.trim_ascii_start().starts_with(b"{") {
            let reason = "it is not a JSON object".to_owned();
            return Err(CommitEventError::Malformed { reason });
        }
        let event: Self =
            serde_json::from_slice(json).map_err(|error| CommitEventError::Malformed {
                reason: error.to_string(),
            })?;
        event.repository_url()?;
        event.wanted()?;
        if event.kind() == CommitKind::Proposal && event.number.is_none() {
            let reason = "a proposal has a number".to_owned();
            return Err(CommitEventError::Field {
                field: "number",
                reason,
            });
        }
        Ok(event)
    }

    /// The event as JSON.
    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("texts and numbers always are JSON")
    }

    /// What was pushed, told by `ref` where the sender does not say it.
    pub fn kind(&self) -> CommitKind {
        match self.kind {
            Some(kind) => kind,
            None if self.reference.starts_with("refs/tags/") => CommitKind::Tag,
            None => CommitKind::Push,
        }
    }

    /// Where to fetch from.
    ///
    /// # Errors
    /// [`CommitEventError::Field`]; never after [`Self::from_json`].
    pub fn repository_url(&self) -> Result<RepositoryUrl, CommitEventError> {
        RepositoryUrl::parse(&self.repository).map_err(bad("repository"))
    }

    /// What to fetch: the commit, else the reference.
    ///
    /// # Errors
    /// [`CommitEventError::Field`]; never after [`Self::from_json`].
    pub fn wanted(&self) -> Result<RefName, CommitEventError> {
        let reference = RefName::parse(&self.reference).map_err(bad("ref"))?;
        let Some(commit) = &self.commit else {
            return Ok(reference);
        };
        CommitId::parse(commit)
            .map(|id| RefName::from(&id))
            .ok_or_else(|| CommitEventError::Field {
                field: "commit",
                reason: format!(
                    "{commit:?} is not a whole commit id of 40 or 64 hexadecimal digits"
                ),
            })
    }
}

fn bad(field: &'static str) -> impl FnOnce(source::Error) -> CommitEventError {
    move |error| CommitEventError::Field {
        field,
        reason: error.to_string(),
    }
}

impl From<CommitPushed> for CommitEvent {
    fn from(pushed: CommitPushed) -> Self {
        let (kind, number, target_branch) = match pushed.kind {
            PushKind::Push => (CommitKind::Push, None, None),
            PushKind::Tag => (CommitKind::Tag, None, None),
            PushKind::Proposal {
                number,
                target_branch,
                ..
            } => (CommitKind::Proposal, Some(number), Some(target_branch)),
        };
        Self {
            repository: pushed.repository,
            reference: pushed.reference,
            commit: Some(pushed.commit),
            before: pushed.before,
            id: Some(pushed.delivery_id),
            kind: Some(kind),
            number,
            target_branch,
            default_branch: pushed.default_branch,
            actor: pushed.sender,
            service: None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_smallest_event_is_enough_and_unknown_fields_are_ignored() {
        let json = br#"{"repository": "/srv/orders", "ref": "main", "from-the-future": {"a": 1}}"#;
        let event = CommitEvent::from_json(json).unwrap();
        assert_eq!(
            (event.kind(), event.wanted().unwrap().as_str()),
            (CommitKind::Push, "main")
        );
        assert_eq!(
            event.to_json(),
            br#"{"repository":"/srv/orders","ref":"main"}"#
        );
        let tag = br#"{"repository": "/srv/orders", "ref": "refs/tags/v1"}"#;
        assert_eq!(CommitEvent::from_json(tag).unwrap().kind(), CommitKind::Tag);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (json, expected) in [
            ("", "not a JSON object"),
            ("[]", "not a JSON object"),
            ("{", "EOF"),
            (r#"{"ref": "main"}"#, "missing field `repository`"),
            (r#"{"repository": "/srv/orders"}"#, "missing field `ref`"),
            (
                r#"{"repository": 1, "ref": "main"}"#,
                "invalid type: integer `1`",
            ),
            (
                r#"{"repository": "ext::sh -c x", "ref": "main"}"#,
                "bad \"repository\"",
            ),
            (
                r#"{"repository": "/srv/orders", "ref": "--upload-pack=x"}"#,
                "bad \"ref\"",
            ),
            (
                r#"{"repository": "/srv/orders", "ref": "main", "commit": "HEAD~1"}"#,
                "bad \"commit\"",
            ),
            (
                r#"{"repository": "/srv/orders", "ref": "main", "kind": "merge"}"#,
                "unknown variant `merge`",
            ),
            (
                r#"{"repository": "/srv/orders", "ref": "x", "kind": "proposal"}"#,
                "bad \"number\"",
            ),
        ] {
            let error = CommitEvent::from_json(json.as_bytes())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{json}: {error}");
        }
    }
}
