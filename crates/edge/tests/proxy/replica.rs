//! A service to stand behind the edge.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use bytes::Bytes;
use edge::table::{Backend, Readiness};
use futures::stream;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, StreamBody, combinators::BoxBody};
use hyper::{
    body::{Frame, Incoming},
    service::service_fn,
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{net::TcpListener, task::JoinSet};
use tokio_util::sync::CancellationToken;

pub(crate) struct Replica {
    pub(crate) address: SocketAddr,
    name: String,
    state: Arc<State>,
    stop: CancellationToken,
    kill: CancellationToken,
    server: JoinSet<()>,
}

struct State {
    name: String,
    ready: AtomicBool,
    served: AtomicU64,
    connections: AtomicU64,
}

impl Replica {
    /// A ready replica on a free port; its name is its version and its answer.
    pub(crate) async fn start(name: &str) -> Self {
        Self::start_at(name, "127.0.0.1:0".parse().unwrap()).await
    }

    pub(crate) async fn start_at(name: &str, address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            name: name.into(),
            ready: true.into(),
            served: 0.into(),
            connections: 0.into(),
        });
        let (stop, kill) = (CancellationToken::new(), CancellationToken::new());
        let mut server = JoinSet::new();
        server.spawn(serve(listener, state.clone(), stop.clone(), kill.clone()));
        Self {
            address,
            name: name.into(),
            state,
            stop,
            kill,
            server,
        }
    }

    pub(crate) fn backend(&self, weight: u32) -> Backend {
        Backend {
            name: self.name.clone(),
            address: self.address.to_string(),
            weight,
            version: self.name.clone(),
            ready: Readiness::Http("/healthz".into()),
        }
    }

    pub(crate) fn set_ready(&self, ready: bool) {
        self.state.ready.store(ready, SeqCst);
    }

    /// Requests answered, checks not counted.
    pub(crate) fn served(&self) -> u64 {
        self.state.served.load(SeqCst)
    }

    /// Open connections.
    pub(crate) fn connections(&self) -> u64 {
        self.state.connections.load(SeqCst)
    }

    /// Ends as a well-behaved service does.
    pub(crate) async fn stop(mut self) {
        self.stop.cancel();
        self.server.join_next().await;
    }

    /// Ends as a killed one does.
    pub(crate) async fn kill(mut self) {
        self.kill.cancel();
        self.server.join_next().await;
    }
}

async fn serve(
    listener: TcpListener,
    state: Arc<State>,
    stop: CancellationToken,
    kill: CancellationToken,
) {
    let (graceful, builder) = (
        GracefulShutdown::new(),
        auto::Builder::new(TokioExecutor::new()),
    );
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            let service_state = state.clone();
            let service = service_fn(move |request| answer(service_state.clone(), request));
            let connection = builder
                .serve_connection_with_upgrades(TokioIo::new(stream), service)
                .into_owned();
            let connection = graceful.watch(connection);
            state.connections.fetch_add(1, SeqCst);
            let open = Open(state.clone());
            connections.spawn(async move {
                let _open = open;
                let _ = connection.await;
            });
        }
    };
    tokio::select! {
        () = accepting => {}
        () = stop.cancelled() => {}
        () = kill.cancelled() => return,
    }
    drop(listener);
    kill.run_until_cancelled(graceful.shutdown()).await;
}

struct Open(Arc<State>);

impl Drop for Open {
    fn drop(&mut self) {
        self.0.connections.fetch_sub(1, SeqCst);
    }
}

type Body = BoxBody<Bytes, hyper::Error>;

fn text(text: impl Into<Bytes>) -> Body {
    Full::new(text.into())
        .map_err(|never| match never {})
        .boxed()
}

async fn answer(
    state: Arc<State>,
    mut request: Request<Incoming>,
) -> Result<Response<Body>, Infallible> {
    let path = request.uri().path().to_owned();
    if path == "/healthz" {
        let ready = state.ready.load(SeqCst);
        let status = if ready {
            StatusCode::OK
        } else {
            StatusCode::SERVICE_UNAVAILABLE
        };
        return Ok(Response::builder().status(status).body(text("")).unwrap());
    }
    state.served.fetch_add(1, SeqCst);
    if let Some(ms) = path.strip_prefix("/slow/") {
        tokio::time::sleep(Duration::from_millis(ms.parse().unwrap())).await;
    }
    let response = match path.as_str() {
        "/headers" => Response::new(text(format!(
            "{:?} {}\n{:#?}",
            request.version(),
            request.uri(),
            request.headers()
        ))),
        "/echo" => Response::new(request.into_body().boxed()),
        "/count" => {
            let mut bytes = 0;
            while let Some(frame) = request.body_mut().frame().await {
                bytes += frame.map_or(0, |frame| frame.data_ref().map_or(0, Bytes::len));
            }
            Response::new(text(bytes.to_string()))
        }
        "/big" => Response::new(BodyExt::boxed(StreamBody::new(stream::iter(
            (0..1600).map(|_| Ok(Frame::data(Bytes::from_static(&[7; 65536])))),
        )))),
        "/trailers" => {
            let trailers =
                HeaderMap::from_iter([("grpc-status".parse().unwrap(), "0".parse().unwrap())]);
            let frames = [
                Ok(Frame::data(Bytes::from_static(b"x"))),
                Ok(Frame::trailers(trailers)),
            ];
            Response::builder()
                .header("x-seen-version", format!("{:?}", request.version()))
                .body(BodyExt::boxed(StreamBody::new(stream::iter(frames))))
                .unwrap()
        }
        "/tunnel" if request.headers().contains_key(header::UPGRADE) => tunnel(&mut request),
        _ => Response::new(text(state.name.clone())),
    };
    Ok(response)
}

/// Sends back what comes, until the other side ends.
fn tunnel(request: &mut Request<Incoming>) -> Response<Body> {
    let upgrade = hyper::upgrade::on(request);
    #[expect(clippy::disallowed_methods, reason = "it ends with its connection")]
    tokio::spawn(async move {
        let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
        let _ = tokio::io::copy(&mut read, &mut write).await;
    });
    Response::builder()
        .status(StatusCode::SWITCHING_PROTOCOLS)
        .header(header::CONNECTION, "Upgrade")
        .header(header::UPGRADE, "echo")
        .body(text(""))
        .unwrap()
}
