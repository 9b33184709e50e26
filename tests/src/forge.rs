//! A forge: webhooks as GitHub, GitLab and Gitea send them, and a server of repositories.

mod server;

use anyhow::Result;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;

pub use self::server::Forge;
use crate::http_client::{Response, send};

/// A push to a repository `shop/orders`.
#[derive(Debug, Clone)]
pub struct Push {
    /// The repository.
    pub url: String,
    /// What the reference pointed at before.
    pub before: String,
    /// What it points at now.
    pub after: String,
    /// Such as `refs/heads/main`.
    pub reference: &'static str,
}

impl Push {
    /// As GitHub, and Gitea too, say it.
    #[must_use]
    pub fn github(&self) -> Value {
        json!({
            "ref": self.reference, "before": self.before, "after": self.after, "deleted": false,
            "repository": { "full_name": "shop/orders", "clone_url": self.url, "default_branch": "main" },
            "sender": { "login": "ada" }, "pusher": { "name": "ada" },
        })
    }

    /// As GitLab says it.
    #[must_use]
    pub fn gitlab(&self) -> Value {
        json!({
            "object_kind": "push", "ref": self.reference, "before": self.before, "after": self.after,
            "checkout_sha": self.after, "user_username": "ada",
            "project": { "path_with_namespace": "shop/orders", "git_http_url": self.url, "default_branch": "main" },
        })
    }

    /// A pull request with the pushed commit, as GitHub says it.
    #[must_use]
    pub fn pull_request(&self, number: u32, action: &str) -> Value {
        let repository =
            json!({ "full_name": "shop/orders", "clone_url": self.url, "default_branch": "main" });
        json!({
            "action": action, "number": number, "sender": { "login": "ada" }, "repository": repository,
            "pull_request": {
                "number": number, "merged": false,
                "head": { "ref": "feature", "sha": self.after, "repo": repository },
                "base": { "ref": "main", "sha": self.before, "repo": repository },
            },
        })
    }
}

/// Sends an event as GitHub does.
///
/// # Errors
/// When the gateway does not answer.
pub async fn github(
    server: &str,
    event: &str,
    delivery: &str,
    body: &Value,
    secret: &str,
) -> Result<Response> {
    let body = serde_json::to_vec(body)?;
    let signature = format!("sha256={}", signature(&body, secret)?);
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", event),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", &signature),
    ];
    send(
        "POST",
        &format!("{server}/webhooks/github"),
        &headers,
        &body,
    )
    .await
}

/// Sends an event as Gitea does.
///
/// # Errors
/// When the gateway does not answer.
pub async fn gitea(
    server: &str,
    event: &str,
    delivery: &str,
    body: &Value,
    secret: &str,
) -> Result<Response> {
    let body = serde_json::to_vec(body)?;
    let signature = signature(&body, secret)?;
    let headers = [
        ("content-type", "application/json"),
        ("x-gitea-event", event),
        ("x-gitea-delivery", delivery),
        ("x-gitea-signature", &signature),
    ];
    send("POST", &format!("{server}/webhooks/gitea"), &headers, &body).await
}

/// Sends an event as GitLab does.
///
/// # Errors
/// When the gateway does not answer.
pub async fn gitlab(
    server: &str,
    event: &str,
    delivery: &str,
    body: &Value,
    secret: &str,
) -> Result<Response> {
    let headers = [
        ("content-type", "application/json"),
        ("x-gitlab-event", event),
        ("x-gitlab-event-uuid", delivery),
        ("x-gitlab-token", secret),
    ];
    send(
        "POST",
        &format!("{server}/webhooks/gitlab"),
        &headers,
        &serde_json::to_vec(body)?,
    )
    .await
}

fn signature(body: &[u8], secret: &str) -> Result<String> {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes())?;
    mac.update(body);
    Ok(hex::encode(mac.finalize().into_bytes()))
}
