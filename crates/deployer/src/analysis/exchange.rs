//! One question over HTTP: a status and a text, or why there is no answer.

use std::sync::Once;
use std::time::Duration;

use container_stage::outcome::chain;
use reqwest::redirect::Policy;
use reqwest::{Certificate, Client, ClientBuilder, Url};

use super::access::Pass;

/// How long it may take to connect.
const CONNECT: Duration = Duration::from_secs(5);
/// Of a longer answer, nothing is looked at.
pub(crate) const LONGEST: usize = 4 << 20;

/// What is asked with `GET`.
#[derive(Debug, Clone)]
pub(crate) struct Question {
    pub(crate) url: Url,
    pub(crate) pass: Pass,
    /// How long the whole answer may take.
    pub(crate) limit: Duration,
}

/// Asks over HTTP.
pub(crate) struct Http {
    /// Where nothing is shown to be let in.
    open: Result<Client, String>,
    /// Where something is shown, to the usual authorities.
    strict: Result<Client, String>,
}

/// What came back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
}

impl Http {
    pub(crate) fn new() -> Self {
        use_ring();
        Self {
            open: built(client()),
            strict: built(strict()),
        }
    }

    /// The answer, whole and in time.
    pub(crate) async fn get(&self, question: &Question) -> Result<Answer, String> {
        let host = question.host().to_owned();
        let client = match &question.pass.authorities {
            _ if question.pass.is_nothing() => self.open.clone()?,
            None => self.strict.clone()?,
            Some(pem) => trusting(pem)?,
        };
        let request = client
            .get(question.url.clone())
            .headers(question.pass.headers.clone());
        let answer = async {
            let mut response = request.send().await?;
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
        match tokio::time::timeout(question.limit, answer).await {
            Err(_) => Err(question.unanswered()),
            Ok(Err(error)) => {
                let error: reqwest::Error = error;
                // The address may hold a password.
                let why = chain(&error.without_url());
                Err(format!("{host} did not answer: {why}"))
            }
            Ok(Ok(None)) => Err(question.too_long()),
            Ok(Ok(Some(answer))) => Ok(answer),
        }
    }
}

fn client() -> ClientBuilder {
    Client::builder()
        .connect_timeout(CONNECT)
        // What is measured is on this side of a proxy for the way out.
        .no_proxy()
        .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
}

/// One that takes credentials nowhere else than where they belong. Each request has a connection of its own: those of a
/// load are spread over all replicas.
fn strict() -> ClientBuilder {
    client().redirect(Policy::none()).pool_max_idle_per_host(0)
}

/// The same, and it trusts who it is told to trust.
fn trusting(pem: &[u8]) -> Result<Client, String> {
    let unreadable = |why: &str| format!("`auth.ca` holds no certificates in PEM form{why}");
    let found = Certificate::from_pem_bundle(pem);
    let found = found.map_err(|error| unreadable(&format!(": {}", chain(&error))))?;
    if found.is_empty() {
        return Err(unreadable(""));
    }
    built(strict().tls_certs_merge(found))
}

fn built(builder: ClientBuilder) -> Result<Client, String> {
    builder
        .build()
        .map_err(|error| format!("no HTTP client could be made: {}", chain(&error)))
}

impl Question {
    /// Whether its host is known here, by its number or by name.
    pub(crate) async fn is_known_here(&self) -> bool {
        let port = self.url.port_or_known_default().unwrap_or(80);
        let found = tokio::net::lookup_host((self.host(), port));
        let limit = CONNECT.min(self.limit);
        matches!(tokio::time::timeout(limit, found).await, Ok(Ok(_)))
    }

    /// The host that is asked.
    pub(crate) fn host(&self) -> &str {
        self.url.host_str().unwrap_or_default()
    }

    /// Why there is no answer when its time is over.
    pub(crate) fn unanswered(&self) -> String {
        let seconds = self.limit.as_secs_f64();
        format!("{} did not answer within {seconds} s", self.host())
    }

    /// Why an answer is not looked at.
    pub(crate) fn too_long(&self) -> String {
        format!("{} answered with more than {LONGEST} bytes", self.host())
    }
}

impl Answer {
    pub(super) fn is_success(&self) -> bool {
        (200..300).contains(&self.status)
    }

    /// Why it is not what was asked for: its status and its text. It is whole, since of a secret that is cut, the
    /// beginning could not be hidden.
    pub(super) fn complaint(&self) -> String {
        let text = String::from_utf8_lossy(&self.body);
        match text.trim() {
            "" => format!("the answer has status {}", self.status),
            text => format!("the answer has status {}: {text}", self.status),
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
