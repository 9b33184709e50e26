//! An edge in this process, and conditions with a deadline.

use std::{
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};

use bytes::Bytes;
use edge::{
    server::{Edge, Options},
    status::{BackendStatus, Status},
    table::{Backend, Table},
};
use http::{Method, Request, Response};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use tempfile::TempDir;

pub(crate) struct TestEdge {
    pub(crate) edge: Arc<Edge>,
    pub(crate) state: TempDir,
}

impl TestEdge {
    pub(crate) async fn start() -> Self {
        Self::start_with(|_| {}).await
    }

    pub(crate) async fn start_with(change: impl FnOnce(&mut Options)) -> Self {
        let state = TempDir::new().unwrap();
        let mut options = Options {
            state: state.path().to_owned(),
            bind: Ipv4Addr::LOCALHOST.into(),
            listen: vec![0],
            head_timeout: Duration::from_secs(30),
        };
        change(&mut options);
        Self {
            edge: Edge::start(options).await.unwrap(),
            state,
        }
    }

    /// An edge with these backends, all ready.
    pub(crate) async fn serving(backends: Vec<Backend>) -> Self {
        let edge = Self::start().await;
        edge.put_and_settle(1, backends).await;
        edge
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.edge.status().listening[0]
    }

    pub(crate) fn url(&self, path: &str) -> String {
        format!("http://{}{path}", self.address())
    }

    /// Writes the table and has it read.
    pub(crate) async fn put(&self, table: &Table) {
        self.put_text(&serde_json::to_string(table).unwrap()).await;
    }

    pub(crate) async fn put_text(&self, text: &str) {
        std::fs::write(self.state.path().join("table.json"), text).unwrap();
        self.edge.reload().await;
    }

    pub(crate) async fn put_and_settle(&self, generation: u64, backends: Vec<Backend>) {
        self.put(&Table::new(generation, backends)).await;
        self.until("the table settles", |status| status.is_settled(generation))
            .await;
    }

    /// Waits for the status to be so.
    pub(crate) async fn until(&self, what: &str, condition: impl Fn(&Status) -> bool) -> Status {
        until(what, || {
            Some(self.edge.status()).filter(|status| condition(status))
        })
        .await
    }

    pub(crate) fn backend(&self, name: &str) -> Option<BackendStatus> {
        self.edge
            .status()
            .backends
            .into_iter()
            .find(|backend| backend.name == name)
    }

    pub(crate) async fn get(&self, path: &str) -> Response<String> {
        send(Request::get(self.url(path)), Bytes::new()).await
    }

    pub(crate) async fn request(
        &self,
        method: Method,
        path: &str,
        body: impl Into<Bytes>,
    ) -> Response<String> {
        send(
            Request::builder().method(method).uri(self.url(path)),
            body.into(),
        )
        .await
    }
}

/// Waits up to ten seconds for a value.
pub(crate) async fn until<T>(what: &str, mut condition: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain until {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// One request on a connection of its own.
pub(crate) async fn send(request: http::request::Builder, body: Bytes) -> Response<String> {
    let client: Client<HttpConnector, Full<Bytes>> =
        Client::builder(TokioExecutor::new()).build_http();
    let request = request.body(Full::new(body)).unwrap();
    let response = client.request(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    Response::from_parts(parts, String::from_utf8(body.to_vec()).unwrap())
}
