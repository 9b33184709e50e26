//! Webhooks of forges: from headers and raw bytes to what was pushed.
//!
//! Pure: no network, no clock. The signature is verified over the bytes as they arrived, before anything of them is
//! parsed; whoever calls drops deliveries whose id it has seen.

mod gitlab;
mod hub;
mod payload;
mod secret;
mod signature;

use std::fmt;

use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use sha2::{Digest, Sha256};

pub use secret::{WebhookSecret, WebhookSecrets};

/// The largest body that a forge sends: GitHub's own limit.
pub const MAX_BODY_BYTES: usize = 25 << 20;

/// Who sent a webhook.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Forge {
    /// GitHub and GitHub Enterprise.
    GitHub,
    /// GitLab.
    GitLab,
    /// Gitea and Forgejo.
    Gitea,
}

/// What a webhook says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum WebhookOutcome {
    /// There is a commit to run.
    Commit(Box<CommitPushed>),
    /// A proposal needs no more runs.
    ProposalClosed(ProposalClosed),
    /// The forge tries whether we are there.
    Pong(Forge),
    /// Nothing to do, and why: shown in the forge's list of deliveries.
    Ignored(String),
}

/// A commit that reached a repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CommitPushed {
    /// The same for each delivery of the same event, and different for others.
    pub delivery_id: String,
    /// Who says so.
    pub forge: Forge,
    /// Where to fetch from.
    pub repository: String,
    /// `team/orders`.
    pub full_name: String,
    /// The full reference: `refs/heads/main`, `refs/tags/v1`, `refs/pull/7/head`.
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// What the reference was before; absent when it is new.
    pub before: Option<String>,
    /// What was pushed.
    pub kind: PushKind,
    /// The repository's default branch, where the forge says it.
    pub default_branch: Option<String>,
    /// The login of whoever did it.
    pub sender: Option<String>,
}

/// What was pushed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PushKind {
    /// A branch.
    Push,
    /// A tag.
    Tag,
    /// A pull request or merge request.
    Proposal {
        /// Its number in the repository.
        number: u64,
        /// The branch that it wants to change.
        target_branch: String,
        /// The branch that it comes from.
        head: String,
    },
}

/// A pull request or merge request that was merged or given up.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProposalClosed {
    /// As in [`CommitPushed::delivery_id`].
    pub delivery_id: String,
    /// The repository that it was for.
    pub repository: String,
    /// Its number in the repository.
    pub number: u64,
    /// Whether it was merged.
    pub merged: bool,
}

/// Why a webhook is refused. The text is the answer to the forge, whose users see it in the list of deliveries.
#[derive(Debug, thiserror::Error)]
pub enum WebhookError {
    /// Not a forge that we know.
    #[error(
        "none of the headers X-Gitea-Event, X-Gitlab-Event, X-GitHub-Event is present: send a webhook of GitHub, GitLab, Gitea or Forgejo"
    )]
    UnknownForge,
    /// The body is larger than a forge sends.
    #[error("the body has {actual_bytes} bytes, more than the {MAX_BODY_BYTES} that are allowed")]
    TooLarge {
        /// Its size.
        actual_bytes: usize,
    },
    /// Slipway was given no secret for this forge.
    #[error("no webhook secret for {forge} is configured, so its webhooks are refused: set {} where the gateway runs", .forge.setting())]
    NoSecret {
        /// The forge.
        forge: Forge,
    },
    /// The forge was given no secret for Slipway.
    #[error(
        "the webhook is not signed ({header} is missing or empty): enter the webhook's secret in {forge}"
    )]
    NotSigned {
        /// The forge.
        forge: Forge,
        /// What would have to be there.
        header: &'static str,
    },
    /// The secrets differ, or somebody else sent it.
    #[error(
        "the signature in {header} does not fit: the secret entered in {forge} is not the one that the gateway has"
    )]
    BadSignature {
        /// The forge.
        forge: Forge,
        /// Where the signature was.
        header: &'static str,
    },
    /// Signed too long ago (or by a clock that is wrong).
    #[error(
        "the webhook was signed {age_seconds} seconds ago, which is outside the 300 that are allowed: it was sent again by somebody, or a clock is wrong"
    )]
    Stale {
        /// Negative: in the future.
        age_seconds: i64,
    },
    /// The body is not what this event should have.
    #[error("the body of the {event} event of {forge} cannot be read: {reason}")]
    Malformed {
        /// The forge.
        forge: Forge,
        /// The forge's name of the event.
        event: String,
        /// What is wrong with it.
        reason: String,
    },
}

impl WebhookError {
    /// The status to answer with.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::UnknownForge | Self::Malformed { .. } => StatusCode::BAD_REQUEST,
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::NoSecret { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::NotSigned { .. } | Self::BadSignature { .. } | Self::Stale { .. } => {
                StatusCode::UNAUTHORIZED
            }
        }
    }
}

/// Reads a webhook.
///
/// # Errors
/// [`WebhookError`]; nothing of the body is believed or parsed before the signature fits.
pub fn receive(
    headers: &HeaderMap,
    raw_body: &[u8],
    secrets: &WebhookSecrets,
    now: Timestamp,
) -> Result<WebhookOutcome, WebhookError> {
    if raw_body.len() > MAX_BODY_BYTES {
        return Err(WebhookError::TooLarge {
            actual_bytes: raw_body.len(),
        });
    }
    let forge = Forge::detect(headers).ok_or(WebhookError::UnknownForge)?;
    signature::verify(forge, headers, raw_body, secrets.of(forge), now)?;
    let delivery_id = delivery_id(forge, headers, raw_body);
    let event = text(headers, forge.event_header())
        .unwrap_or_default()
        .to_owned();
    let outcome = match forge {
        Forge::GitHub | Forge::Gitea => payload::json(headers, raw_body)
            .and_then(|json| hub::read(forge, &event, &json, delivery_id)),
        Forge::GitLab => gitlab::read(&event, raw_body, delivery_id),
    };
    outcome.map_err(|reason| WebhookError::Malformed {
        forge,
        event,
        reason,
    })
}

impl Forge {
    /// Gitea and Forgejo send GitHub's headers as well, so theirs are looked for first.
    fn detect(headers: &HeaderMap) -> Option<Self> {
        if headers.contains_key("x-gitea-event") || headers.contains_key("x-forgejo-event") {
            Some(Self::Gitea)
        } else if headers.contains_key("x-gitlab-event") {
            Some(Self::GitLab)
        } else if headers.contains_key("x-github-event") {
            Some(Self::GitHub)
        } else {
            None
        }
    }

    /// The header with the name of the event. Forgejo sends Gitea's too; its own alone would be a future version.
    fn event_header(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["x-github-event"],
            Self::GitLab => &["x-gitlab-event"],
            Self::Gitea => &["x-gitea-event", "x-forgejo-event"],
        }
    }

    fn delivery_headers(self) -> &'static [&'static str] {
        match self {
            Self::GitHub => &["x-github-delivery"],
            Self::GitLab => &["idempotency-key", "webhook-id", "x-gitlab-event-uuid"],
            Self::Gitea => &["x-gitea-delivery", "x-forgejo-delivery"],
        }
    }

    /// The variable that holds the secret.
    fn setting(self) -> &'static str {
        match self {
            Self::GitHub => "SLIPWAY_GITHUB_WEBHOOK_SECRET",
            Self::GitLab => "SLIPWAY_GITLAB_WEBHOOK_SECRET",
            Self::Gitea => "SLIPWAY_GITEA_WEBHOOK_SECRET",
        }
    }
}

impl fmt::Display for Forge {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::GitHub => "GitHub",
            Self::GitLab => "GitLab",
            Self::Gitea => "Gitea",
        })
    }
}

/// The first of the headers that is present and not empty.
fn text<'a>(headers: &'a HeaderMap, names: &[&str]) -> Option<&'a str> {
    let values = names
        .iter()
        .filter_map(|name| headers.get(*name)?.to_str().ok());
    values.map(str::trim).find(|value| !value.is_empty())
}

/// The forge's id, or one made of the body: a delivery that is repeated is the same bytes.
fn delivery_id(forge: Forge, headers: &HeaderMap, raw_body: &[u8]) -> String {
    let plain = |id: &&str| id.len() <= 128 && id.bytes().all(|byte| byte.is_ascii_graphic());
    let id = match text(headers, forge.delivery_headers()).filter(plain) {
        Some(id) => id.to_owned(),
        None => hex::encode(Sha256::digest(raw_body)),
    };
    format!("{}:{id}", forge.to_string().to_lowercase())
}

/// Git's way to say "no commit": the new value of what was deleted, the old value of what is new.
fn is_zero(id: &str) -> bool {
    !id.is_empty() && id.bytes().all(|digit| digit == b'0')
}
