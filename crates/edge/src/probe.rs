//! Asking whether something answers: once, or until it does.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use http::{Request, StatusCode, Uri, header, uri::Authority};
use http_body_util::{BodyExt, Empty, Limited};
use hyper_util::rt::TokioIo;
use tokio::time::{sleep, timeout};

use crate::{
    connect::{ConnectError, Dns, Endpoint},
    error::chain,
};

/// How long one question may take.
const ONE_TIMEOUT: Duration = Duration::from_secs(2);
/// Bodies are read this far so that the server can end its answer in peace.
const BODY_READ: usize = 64 * 1024;

/// What to ask.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Question {
    /// Does a TCP connection come about?
    Tcp,
    /// Does `GET` of the path answer with the given status, or else with 2xx or 3xx?
    Http {
        /// Path and query.
        path: String,
        /// The one status that is right.
        expect: Option<StatusCode>,
    },
}

/// Why the answer is no.
#[derive(Debug, thiserror::Error)]
pub enum ProbeError {
    /// No connection.
    #[error(transparent)]
    Connect(Box<dyn std::error::Error + Send + Sync>),
    /// Not HTTP, or broken off.
    #[error("GET {path} got no HTTP response")]
    Http {
        /// The path asked for.
        path: String,
        /// What went wrong.
        source: hyper::Error,
    },
    /// An answer, but not the right one.
    #[error("GET {path} answered {status}")]
    Status {
        /// The path asked for.
        path: String,
        /// What came back.
        status: StatusCode,
    },
    /// Nothing in time.
    #[error("no answer within {} ms", after.as_millis())]
    Late {
        /// How long was waited.
        after: Duration,
    },
    /// The path cannot be sent.
    #[error("the path {path} cannot be requested")]
    Path {
        /// The path.
        path: String,
        /// What is wrong with it.
        source: http::Error,
    },
}

/// The address or URL of `edge probe` cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// Not `http://host[:port]/path`.
    #[error("`{0}` is not a URL such as http://orders:8080/healthz (https is not supported)")]
    Url(String),
    /// Not `host:port`.
    #[error("`{0}` is not an address such as orders:5432")]
    Address(String),
}

/// Whom to ask, and what.
pub struct Probe {
    question: Question,
    authority: Authority,
    endpoint: Arc<Endpoint>,
}

impl Probe {
    /// A probe of an `http` URL.
    pub fn http(url: &str, expect: Option<StatusCode>) -> Result<Self, TargetError> {
        let bad = || TargetError::Url(url.to_owned());
        let parts = url.parse::<Uri>().map_err(|_| bad())?.into_parts();
        let authority = parts.authority.ok_or_else(bad)?;
        if parts
            .scheme
            .is_none_or(|scheme| scheme != http::uri::Scheme::HTTP)
        {
            return Err(bad());
        }
        let path = parts
            .path_and_query
            .map_or_else(|| "/".to_owned(), |path| path.to_string());
        Ok(Self::new(Question::Http { path, expect }, authority))
    }

    /// A probe of a TCP port.
    pub fn tcp(address: &str) -> Result<Self, TargetError> {
        let bad = || TargetError::Address(address.to_owned());
        let authority: Authority = address.parse().map_err(|_| bad())?;
        authority.port_u16().ok_or_else(bad)?;
        Ok(Self::new(Question::Tcp, authority))
    }

    fn new(question: Question, authority: Authority) -> Self {
        let endpoint = Arc::new(Endpoint::new(&authority, 80, Arc::new(Dns::of_system())));
        Self {
            question,
            authority,
            endpoint,
        }
    }

    /// Asks until the answer is yes and returns how long that took; on timeout, the last failure.
    pub async fn wait(&self, within: Duration, interval: Duration) -> Result<Duration, ProbeError> {
        let start = Instant::now();
        let mut last = None;
        loop {
            let left = within.saturating_sub(start.elapsed()).min(ONE_TIMEOUT);
            let error = match once(&self.question, &self.authority, &self.endpoint, left).await {
                Ok(()) => return Ok(start.elapsed()),
                Err(error) => error,
            };
            tracing::debug!(error = chain(&error), "not yet");
            // A question that was cut short says less than the one before it.
            let cut_short = left < ONE_TIMEOUT && matches!(error, ProbeError::Late { .. });
            let telling = match last.take() {
                Some(before) if cut_short => before,
                _ => error,
            };
            if start.elapsed() + interval >= within {
                return Err(telling);
            }
            last = Some(telling);
            sleep(interval).await;
        }
    }
}

/// Asks once, on a connection of its own.
pub(crate) async fn once(
    question: &Question,
    authority: &Authority,
    endpoint: &Endpoint,
    within: Duration,
) -> Result<(), ProbeError> {
    let ask = async {
        let stream = endpoint.connect_anew().await.map_err(ProbeError::from)?;
        match question {
            Question::Tcp => Ok(()),
            Question::Http { path, expect } => {
                let status = get(TokioIo::new(stream), authority, path).await?;
                let right = match expect {
                    Some(expected) => status == *expected,
                    None => status.is_success() || status.is_redirection(),
                };
                right.then_some(()).ok_or_else(|| ProbeError::Status {
                    path: path.clone(),
                    status,
                })
            }
        }
    };
    timeout(within, ask)
        .await
        .unwrap_or(Err(ProbeError::Late { after: within }))
}

impl From<ConnectError> for ProbeError {
    fn from(error: ConnectError) -> Self {
        Self::Connect(Box::new(error))
    }
}

async fn get(
    io: TokioIo<tokio::net::TcpStream>,
    authority: &Authority,
    path: &str,
) -> Result<StatusCode, ProbeError> {
    let request = Request::get(path)
        .header(header::HOST, authority.as_str())
        .header(header::USER_AGENT, "slipway-edge")
        .header(header::CONNECTION, "close")
        .body(Empty::<Bytes>::new())
        .map_err(|source| ProbeError::Path {
            path: path.to_owned(),
            source,
        })?;
    let failed = |source| ProbeError::Http {
        path: path.to_owned(),
        source,
    };
    let (mut sender, connection) = hyper::client::conn::http1::handshake(io)
        .await
        .map_err(failed)?;
    let exchange = async {
        let response = sender.send_request(request).await.map_err(failed)?;
        let status = response.status();
        if let Err(error) = Limited::new(response.into_body(), BODY_READ)
            .collect()
            .await
        {
            tracing::trace!(
                error,
                "the body of a probe's answer was not read to its end"
            );
        }
        Ok(status)
    };
    tokio::pin!(exchange);
    tokio::select! {
        biased;
        status = &mut exchange => status,
        // The exchange learns from its own channel how the connection ended.
        _ = connection => exchange.await,
    }
}
