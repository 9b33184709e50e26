//! One request: choose a backend, send, and try another where that is harmless.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::body::Incoming;
use hyper_util::client::legacy;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;

use crate::{
    answer::Refusal,
    backend::Backend,
    body::Reply,
    connect::ConnectError,
    error::chain,
    headers,
    outgoing::Outgoing,
    readiness::Seen,
    router::{Asked, Chosen, Nobody, Router},
    tunnel,
};

/// How long a request waits for a backend to become ready.
const READY_WAIT: Duration = Duration::from_secs(1);
const ATTEMPTS: usize = 5;
const VERSION: HeaderName = HeaderName::from_static("x-slipway-version");

/// What requests need; cheap to clone.
#[derive(Clone)]
pub(crate) struct Forwarder {
    pub(crate) router: Arc<Router>,
    /// Where tunnels run.
    pub(crate) tasks: TaskTracker,
}

/// An attempt that did not bring a response.
struct Failure {
    error: legacy::Error,
    /// Certain that the backend saw nothing of the request.
    nothing_sent: bool,
}

impl Forwarder {
    pub(crate) async fn handle(
        &self,
        client: SocketAddr,
        request: Request<Incoming>,
    ) -> Response<Reply> {
        match self.forward(client.ip(), request).await {
            Ok(response) => response,
            Err(refusal) => {
                tracing::debug!(?refusal, "request refused");
                refusal.into_response()
            }
        }
    }

    async fn forward(
        &self,
        client: IpAddr,
        request: Request<Incoming>,
    ) -> Result<Response<Reply>, Refusal> {
        let outgoing = Outgoing::new(client, request).await?;
        let host = outgoing.route_host();
        let response_timeout = Duration::from_millis(
            self.router
                .routes()
                .table
                .as_ref()
                .map_or(0, |table| table.response_timeout_ms),
        );
        let deadline = Instant::now() + READY_WAIT;
        let mut tried: Vec<Arc<Backend>> = Vec::new();
        let mut last_failure = None;
        loop {
            let asked = Asked {
                host: &host,
                headers: outgoing.headers(),
            };
            let chosen = match self.choose(asked, &tried, deadline).await {
                Ok(chosen) => chosen,
                Err(why) => return Err(last_failure.unwrap_or(Refusal::Nobody { host, why })),
            };
            let backend = chosen.in_flight.backend().clone();
            let sent = Instant::now();
            let response = match timeout(response_timeout, send(&outgoing, &backend)).await {
                Ok(Ok(response)) => response?,
                Ok(Err(failure)) => {
                    backend.counters.no_response();
                    self.blame(&backend, &failure);
                    let refusal = failed(&backend, &failure.error);
                    tried.push(backend.clone());
                    if tried.len() >= ATTEMPTS || !outgoing.can_be_sent_again(failure.nothing_sent)
                    {
                        return Err(refusal);
                    }
                    backend.counters.retried();
                    last_failure = Some(refusal);
                    continue;
                }
                Err(_) => {
                    backend.counters.no_response();
                    return Err(late(&backend, response_timeout));
                }
            };
            let Some(response) = response else {
                continue;
            };
            backend.counters.response(response.status(), sent.elapsed());
            return Ok(self.reply(outgoing, chosen, response));
        }
    }

    /// A backend for such a request; waits a little for one to become ready.
    async fn choose(
        &self,
        asked: Asked<'_>,
        tried: &[Arc<Backend>],
        deadline: Instant,
    ) -> Result<Chosen, Nobody> {
        if let Ok(chosen) = self.router.choose(asked, tried) {
            return Ok(chosen);
        }
        let mut changes = self.router.changes();
        loop {
            let why = match self.router.choose(asked, tried) {
                Ok(chosen) => return Ok(chosen),
                Err(Nobody::NoRoute) => return Err(Nobody::NoRoute),
                Err(why) => why,
            };
            match tokio::time::timeout_at(deadline.into(), changes.changed()).await {
                Ok(Ok(())) => {}
                Ok(Err(_)) | Err(_) => return Err(why),
            }
        }
    }

    /// Sets a backend aside that cannot be connected to, and has it checked.
    fn blame(&self, backend: &Backend, failure: &Failure) {
        tracing::debug!(backend.name = %backend.spec.name, error = chain(&failure.error), "attempt failed");
        let Some(error) =
            cause::<ConnectError>(&failure.error).filter(|error| error.is_the_backends())
        else {
            return;
        };
        if backend.observe(Seen::Not(chain(error))) {
            self.router.readiness_changed();
        }
        backend.check.notify_one();
    }

    fn reply(
        &self,
        outgoing: Outgoing,
        chosen: Chosen,
        mut response: Response<Incoming>,
    ) -> Response<Reply> {
        let Chosen { in_flight, cookie } = chosen;
        let backend = in_flight.backend().clone();
        let protocol = headers::upgrade(response.headers());
        headers::strip_hop_by_hop(response.headers_mut());
        *response.version_mut() = Version::HTTP_11;
        if self
            .router
            .routes()
            .table
            .as_ref()
            .is_some_and(|table| table.version_header)
            && let Ok(version) = HeaderValue::from_str(&backend.spec.version)
        {
            response.headers_mut().insert(VERSION, version);
        }
        if let Some(cookie) = cookie {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
        if response.status() != StatusCode::SWITCHING_PROTOCOLS {
            return response.map(|body| Reply::Stream { body, in_flight });
        }
        let (Some((_, client)), Some(protocol)) = (outgoing.upgrade, protocol) else {
            let error = "it switched protocols without being asked".to_owned();
            return refusal_of(&backend, error).into_response();
        };
        response
            .headers_mut()
            .insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        response.headers_mut().insert(header::UPGRADE, protocol);
        let server = hyper::upgrade::on(&mut response);
        self.tasks.spawn(tunnel::run(client, server, in_flight));
        response.map(|_| Reply::Text(http_body_util::Full::default()))
    }
}

/// One attempt; no response means that the backend has just left the table, and another is to be chosen.
async fn send(
    outgoing: &Outgoing,
    backend: &Backend,
) -> Result<Result<Option<Response<Incoming>>, Refusal>, Failure> {
    let Some(clients) = backend.clients() else {
        return Ok(Ok(None));
    };
    let request = match outgoing.attempt(&backend.authority) {
        Ok(request) => request,
        Err(refusal) => return Ok(Err(refusal)),
    };
    let client = if outgoing.is_grpc() {
        &clients.h2c
    } else {
        &clients.http1
    };
    // The future holds the pool until the response begins; idle connections of a backend that left the table meanwhile
    // run out by themselves within a second or two.
    match client.request(request).await {
        Ok(response) => Ok(Ok(Some(response))),
        Err(error) => {
            let nothing_sent = error.is_connect()
                || cause::<hyper::Error>(&error)
                    .is_some_and(|cause| cause.is_canceled() || cause.is_closed());
            Err(Failure {
                error,
                nothing_sent,
            })
        }
    }
}

fn cause<T: std::error::Error + 'static>(error: &legacy::Error) -> Option<&T> {
    let mut next: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref() {
            return Some(found);
        }
        next = error.source();
    }
    None
}

fn failed(backend: &Backend, error: &legacy::Error) -> Refusal {
    refusal_of(backend, chain(error))
}

fn refusal_of(backend: &Backend, error: String) -> Refusal {
    Refusal::Failed {
        backend: backend.spec.name.clone(),
        version: backend.spec.version.clone(),
        error,
    }
}

fn late(backend: &Backend, after: Duration) -> Refusal {
    Refusal::Late {
        backend: backend.spec.name.clone(),
        version: backend.spec.version.clone(),
        after_ms: u64::try_from(after.as_millis()).unwrap_or(u64::MAX),
    }
}
