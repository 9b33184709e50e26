//! Did the forge that shares a secret with us send these very bytes?

use base64::{Engine as _, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use http::HeaderMap;
use jiff::Timestamp;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use super::{Forge, WebhookError, WebhookSecret, text};

/// How old a signed time may be (Standard Webhooks recommends five minutes).
const TOLERANCE_SECONDS: i64 = 300;

const HUB: &str = "X-Hub-Signature-256";
const GITEA: &str = "X-Gitea-Signature";
const GITLAB_TOKEN: &str = "X-Gitlab-Token";
const STANDARD_WEBHOOKS: &str = "webhook-signature";

pub(super) fn verify(
    forge: Forge,
    headers: &HeaderMap,
    raw_body: &[u8],
    secrets: &[WebhookSecret],
    now: Timestamp,
) -> Result<(), WebhookError> {
    if secrets.is_empty() {
        return Err(WebhookError::NoSecret { forge });
    }
    match forge {
        Forge::GitHub => {
            let given = text(headers, &["x-hub-signature-256"]);
            let given = given.ok_or(WebhookError::NotSigned { forge, header: HUB })?;
            accept(
                is_hmac_of(given.strip_prefix("sha256="), raw_body, secrets),
                forge,
                HUB,
            )
        }
        Forge::Gitea => match text(headers, &["x-gitea-signature", "x-forgejo-signature"]) {
            Some(given) => accept(is_hmac_of(Some(given), raw_body, secrets), forge, GITEA),
            None => {
                let given = text(headers, &["x-hub-signature-256"]);
                let given = given.ok_or(WebhookError::NotSigned {
                    forge,
                    header: GITEA,
                })?;
                accept(
                    is_hmac_of(given.strip_prefix("sha256="), raw_body, secrets),
                    forge,
                    HUB,
                )
            }
        },
        Forge::GitLab => match text(headers, &["webhook-signature"]) {
            Some(signatures) => standard_webhooks(headers, signatures, raw_body, secrets, now),
            None => {
                let given = text(headers, &["x-gitlab-token"]);
                let given = given.ok_or(WebhookError::NotSigned {
                    forge,
                    header: GITLAB_TOKEN,
                })?;
                accept(
                    any(secrets, |secret| is_same(given.as_bytes(), secret.bytes())),
                    forge,
                    GITLAB_TOKEN,
                )
            }
        },
    }
}

/// GitLab's signing tokens: HMAC-SHA256 of `id.timestamp.body`, one or several as `v1,<base64>` between spaces.
/// Format: <https://www.standardwebhooks.com>.
fn standard_webhooks(
    headers: &HeaderMap,
    signatures: &str,
    raw_body: &[u8],
    secrets: &[WebhookSecret],
    now: Timestamp,
) -> Result<(), WebhookError> {
    let forge = Forge::GitLab;
    let header = |names: &[&str], header| {
        text(headers, names).ok_or(WebhookError::NotSigned { forge, header })
    };
    let id = header(&["webhook-id"], "webhook-id")?;
    let signed_at = header(&["webhook-timestamp"], "webhook-timestamp")?;
    let given: Vec<Vec<u8>> = signatures
        .split_whitespace()
        .filter_map(|signature| STANDARD.decode(signature.strip_prefix("v1,")?).ok())
        .collect();
    let fits = any(secrets, |secret| {
        let key = secret.signing_key();
        let parts: [&[u8]; 5] = [id.as_bytes(), b".", signed_at.as_bytes(), b".", raw_body];
        given
            .iter()
            .fold(false, |fits, given| fits | is_hmac(&key, &parts, given))
    });
    accept(fits, forge, STANDARD_WEBHOOKS)?;
    let signed_at: i64 = signed_at.parse().map_err(|_| WebhookError::BadSignature {
        forge,
        header: STANDARD_WEBHOOKS,
    })?;
    let age_seconds = now.as_second().saturating_sub(signed_at);
    if (-TOLERANCE_SECONDS..=TOLERANCE_SECONDS).contains(&age_seconds) {
        Ok(())
    } else {
        Err(WebhookError::Stale { age_seconds })
    }
}

fn accept(fits: bool, forge: Forge, header: &'static str) -> Result<(), WebhookError> {
    if fits {
        Ok(())
    } else {
        Err(WebhookError::BadSignature { forge, header })
    }
}

/// Tries every secret: how long it takes does not tell which one fits.
fn any(secrets: &[WebhookSecret], fits: impl Fn(&WebhookSecret) -> bool) -> bool {
    secrets
        .iter()
        .fold(false, |found, secret| found | fits(secret))
}

fn is_hmac_of(hexadecimal: Option<&str>, raw_body: &[u8], secrets: &[WebhookSecret]) -> bool {
    let Some(given) = hexadecimal.and_then(|text| hex::decode(text).ok()) else {
        return false;
    };
    any(secrets, |secret| {
        is_hmac(secret.bytes(), &[raw_body], &given)
    })
}

fn is_hmac(key: &[u8], parts: &[&[u8]], given: &[u8]) -> bool {
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else {
        return false;
    };
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().as_slice().ct_eq(given).into()
}

/// Compares the hashes, so that neither the content nor the length shows in the time.
fn is_same(given: &[u8], expected: &[u8]) -> bool {
    Sha256::digest(given)
        .as_slice()
        .ct_eq(Sha256::digest(expected).as_slice())
        .into()
}
