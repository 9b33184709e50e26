//! A registry that misbehaves on demand: a proxy before a real one, which keeps a record of what it was asked.

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::Router;
use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::Response;
use futures::{StreamExt, TryStreamExt};
use tokio::task::JoinSet;

/// What to do with a request.
pub(crate) enum Reply {
    /// What a registry does.
    Forward,
    /// The same, once so many uploads are under way.
    ForwardTogether(usize),
    /// A status, headers and a body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// The right answer with one byte changed in its body.
    Corrupt,
    /// Half of the right answer, then the connection is closed.
    Truncate,
    /// Half of the right answer, as if that were all.
    Halve,
    /// The right answer with other headers.
    WithHeaders(Vec<(&'static str, String)>),
    /// Nothing, ever.
    Hang,
}

/// A request as it came.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: Method,
    /// Path and query.
    pub(crate) target: String,
    pub(crate) headers: HeaderMap,
    pub(crate) at: Instant,
    /// How many requests of this method and target came before.
    pub(crate) earlier: usize,
}

impl Seen {
    pub(crate) fn authorization(&self) -> Option<&str> {
        self.headers.get(header::AUTHORIZATION)?.to_str().ok()
    }

    /// Whether it reads a blob.
    pub(crate) fn gets_blob(&self) -> bool {
        self.method == Method::GET && self.target.contains("/blobs/sha256:")
    }

    /// Whether it sends a blob.
    pub(crate) fn sends_blob(&self) -> bool {
        self.method == Method::PUT && self.target.contains("/blobs/uploads/")
    }

    /// Whether it writes anything.
    pub(crate) fn writes(&self) -> bool {
        !matches!(self.method, Method::GET | Method::HEAD)
    }
}

type Rule = Box<dyn Fn(&Seen) -> Reply + Send + Sync>;

struct Inner {
    upstream: String,
    http: reqwest::Client,
    rule: Rule,
    seen: Mutex<Vec<Seen>>,
    /// Uploads under way: now, and at most.
    uploads: Mutex<(usize, usize)>,
}

/// The proxy. It ends when dropped.
pub(crate) struct Proxy {
    inner: Arc<Inner>,
    port: u16,
    _server: JoinSet<()>,
}

impl Proxy {
    /// A proxy before the registry at `upstream` (`host:port`), which treats each request as `rule` says.
    pub(crate) async fn start(
        upstream: &str,
        rule: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
    ) -> Self {
        // The client under test installs rustls' cryptography; this one needs it before the first of them is made.
        drop(crate::content::client_of("127.0.0.1:1"));
        let http = reqwest::Client::builder()
            .no_proxy()
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .unwrap();
        let inner = Arc::new(Inner {
            upstream: upstream.to_owned(),
            http,
            rule: Box::new(rule),
            seen: Mutex::default(),
            uploads: Mutex::default(),
        });
        let app = Router::new()
            .fallback(handle)
            .with_state(Arc::clone(&inner));
        let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0))
            .await
            .unwrap();
        let port = listener.local_addr().unwrap().port();
        let mut server = JoinSet::new();
        server.spawn(async move { axum::serve(listener, app).await.unwrap() });
        Self {
            inner,
            port,
            _server: server,
        }
    }

    pub(crate) fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.inner.seen.lock().unwrap().clone()
    }

    /// How many uploads were under way at most.
    pub(crate) fn most_uploads_at_a_time(&self) -> usize {
        self.inner.uploads.lock().unwrap().1
    }
}

async fn handle(State(inner): State<Arc<Inner>>, request: Request) -> Response {
    let seen = inner.record(&request);
    let reply = (inner.rule)(&seen);
    if !seen.sends_blob() {
        return inner.answer(reply, request).await;
    }
    inner.count_upload(true);
    let response = inner.answer(reply, request).await;
    inner.count_upload(false);
    response
}

impl Inner {
    fn record(&self, request: &Request) -> Seen {
        let method = request.method().clone();
        let target = request.uri().to_string();
        let mut all = self.seen.lock().unwrap();
        let earlier = all
            .iter()
            .filter(|seen| seen.method == method && seen.target == target)
            .count();
        let seen = Seen {
            method,
            target,
            headers: request.headers().clone(),
            at: Instant::now(),
            earlier,
        };
        all.push(seen.clone());
        seen
    }

    fn count_upload(&self, begins: bool) {
        let mut uploads = self.uploads.lock().unwrap();
        if begins {
            uploads.0 += 1;
            uploads.1 = uploads.1.max(uploads.0);
        } else {
            uploads.0 -= 1;
        }
    }

    async fn answer(&self, reply: Reply, request: Request) -> Response {
        match reply {
            Reply::Forward => self.forward(request).await,
            Reply::ForwardTogether(count) => {
                let deadline = Instant::now() + Duration::from_secs(10);
                while self.uploads.lock().unwrap().1 < count {
                    if Instant::now() > deadline {
                        return status(501, &[], "the uploads did not come together");
                    }
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                self.forward(request).await
            }
            Reply::Status(code, headers, body) => status(code, &headers, &body),
            Reply::WithHeaders(headers) => {
                let mut response = self.forward(request).await;
                for (key, value) in headers {
                    response.headers_mut().insert(key, value.parse().unwrap());
                }
                response
            }
            Reply::Hang => std::future::pending().await,
            Reply::Corrupt => {
                let (parts, mut bytes) = self.whole(request).await;
                if let Some(byte) = bytes.last_mut() {
                    *byte ^= 1;
                }
                Response::from_parts(parts, Body::from(bytes))
            }
            Reply::Truncate => {
                let (parts, bytes) = self.whole(request).await;
                let half = bytes[..bytes.len() / 2].to_vec();
                // The length stays that of the whole.
                let rest = futures::stream::iter([Ok(half), Err(std::io::Error::other("cut"))]);
                Response::from_parts(parts, Body::from_stream(rest))
            }
            Reply::Halve => {
                let (mut parts, bytes) = self.whole(request).await;
                parts.headers.remove(header::CONTENT_LENGTH);
                Response::from_parts(parts, Body::from(bytes[..bytes.len() / 2].to_vec()))
            }
        }
    }

    async fn whole(&self, request: Request) -> (axum::http::response::Parts, Vec<u8>) {
        let (parts, body) = self.forward(request).await.into_parts();
        (
            parts,
            axum::body::to_bytes(body, usize::MAX)
                .await
                .unwrap()
                .to_vec(),
        )
    }

    async fn forward(&self, request: Request) -> Response {
        let (parts, body) = request.into_parts();
        let url = format!("http://{}{}", self.upstream, parts.uri);
        let mut headers = parts.headers;
        headers.remove(header::HOST);
        // The registry behind wants no login: that is what proxies in these tests ask for.
        headers.remove(header::AUTHORIZATION);
        let mut forwarded = self
            .http
            .request(parts.method.clone(), url)
            .headers(headers);
        if !matches!(parts.method, Method::GET | Method::HEAD) {
            forwarded = forwarded.body(reqwest::Body::wrap_stream(body.into_data_stream()));
        }
        match forwarded.send().await {
            Ok(answer) => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = answer.status();
                *response.headers_mut() = answer.headers().clone();
                *response.body_mut() =
                    Body::from_stream(answer.bytes_stream().map_err(std::io::Error::other).boxed());
                response
            }
            Err(error) => status(502, &[], &error.to_string()),
        }
    }
}

fn status(code: u16, headers: &[(&'static str, String)], body: &str) -> Response {
    let mut response = Response::new(Body::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(code).unwrap();
    for (key, value) in headers {
        response.headers_mut().append(*key, value.parse().unwrap());
    }
    response
}
