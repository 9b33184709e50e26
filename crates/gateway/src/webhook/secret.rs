//! The secrets that forges sign with.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use super::Forge;

/// The secrets per forge. Several are allowed, so that one can be replaced without losing deliveries.
#[derive(Clone, Debug, Default)]
pub struct WebhookSecrets {
    /// For GitHub.
    pub github: Vec<WebhookSecret>,
    /// For GitLab: secret tokens and signing tokens (`whsec_…`).
    pub gitlab: Vec<WebhookSecret>,
    /// For Gitea and Forgejo.
    pub gitea: Vec<WebhookSecret>,
}

impl WebhookSecrets {
    pub(super) fn of(&self, forge: Forge) -> &[WebhookSecret] {
        match forge {
            Forge::GitHub => &self.github,
            Forge::GitLab => &self.gitlab,
            Forge::Gitea => &self.gitea,
        }
    }
}

/// A secret that is never printed.
#[derive(Clone)]
pub struct WebhookSecret(String);

impl WebhookSecret {
    /// Wraps a secret; an empty one, with which anybody could sign, is none.
    pub fn new(secret: &str) -> Option<Self> {
        let secret = secret.trim();
        (!secret.is_empty()).then(|| Self(secret.to_owned()))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        self.0.as_bytes()
    }

    /// The key of Standard Webhooks: base64 after `whsec_`, anything else as it is.
    pub(super) fn signing_key(&self) -> Vec<u8> {
        let encoded = self.0.strip_prefix("whsec_");
        encoded
            .and_then(|encoded| STANDARD.decode(encoded).ok())
            .unwrap_or_else(|| self.bytes().to_vec())
    }
}

impl fmt::Debug for WebhookSecret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("WebhookSecret(…)")
    }
}
