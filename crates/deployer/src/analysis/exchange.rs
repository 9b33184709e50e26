//! One question over HTTP: a status and a text, or why there is no answer.

use std::sync::Once;
use std::time::Duration;

use container_stage::outcome::chain;
use reqwest::{Client, Url};

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Of a longer answer, nothing is looked at.
const LONGEST: usize = 4 << 20;

/// Asks over HTTP.
pub(super) struct Http(Result<Client, String>);

/// What came back.
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) body: Vec<u8>,
}

impl Http {
    pub(super) fn new() -> Self {
        use_ring();
        let client = Client::builder()
            .connect_timeout(CONNECT)
            // What is measured is on this side of a proxy for the way out.
            .no_proxy()
            .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
            .build();
        Self(client.map_err(|error| format!("no HTTP client could be made: {}", chain(&error))))
    }

    /// The answer, whole and within `limit`.
    pub(super) async fn get(&self, url: Url, limit: Duration) -> Result<Answer, String> {
        let client = self.0.as_ref().map_err(Clone::clone)?;
        let host = url.host_str().unwrap_or_default().to_owned();
        let answer = async {
            let mut response = client.get(url).send().await?;
            let status = response.status().as_u16();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                body.extend_from_slice(&chunk);
                if body.len() > LONGEST {
                    return Ok(None);
                }
            }
            Ok(Some(Answer { status, body }))
        };
        match tokio::time::timeout(limit, answer).await {
            Err(_) => Err(format!(
                "{host} did not answer within {} s",
                limit.as_secs_f64()
            )),
            Ok(Err(error)) => {
                let error: reqwest::Error = error;
                // The address may hold a password.
                let why = chain(&error.without_url());
                Err(format!("{host} did not answer: {why}"))
            }
            Ok(Ok(None)) => Err(format!("{host} answered with more than {LONGEST} bytes")),
            Ok(Ok(Some(answer))) => Ok(answer),
        }
    }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Why it is not what was asked for: its status, and how its text begins.
    pub(super) fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        let begin: String = text.trim().chars().take(200).collect();
        match begin.as_str() {
            "" => format!("the answer has status {}", self.status),
            begin => format!("the answer has status {}: {begin}", self.status),
        }
    }
}

/// Makes ring the process's cryptography unless another one was chosen: rustls needs one before its first connection.
fn use_ring() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // Fails only when there is one already, which will do.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}
