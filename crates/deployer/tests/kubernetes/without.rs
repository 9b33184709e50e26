//! The cluster, as it would be without a group of its API: a proxy before the real API server that knows none of it.

use anyhow::Result;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::State;
use axum::http::header::{ACCEPT, CONTENT_TYPE};
use axum::http::{Request, Response, StatusCode};
use http_body_util::BodyExt;
use kube::Client;
use serde_json::{Value as Json, json};
use tokio::task::JoinSet;

use crate::cluster::Cluster;

/// The proxy. It ends when dropped.
pub(crate) struct Without {
    address: String,
    _server: JoinSet<()>,
}

impl Without {
    pub(crate) async fn start(cluster: &Cluster, group: &str) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let state = (cluster.client.clone(), format!("/apis/{group}"));
        let app = Router::new().fallback(pass).with_state(state);
        let mut server = JoinSet::new();
        server.spawn(async { axum::serve(listener, app).await.expect("it serves") });
        Ok(Self {
            address,
            _server: server,
        })
    }

    /// What leads to it.
    pub(crate) fn kubeconfig(&self) -> Json {
        json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "c",
            "clusters": [{ "name": "c", "cluster": { "server": self.address } }],
            "users": [{ "name": "c", "user": {} }],
            "contexts": [{ "name": "c", "context": { "cluster": "c", "user": "c" } }],
        })
    }
}

async fn pass(
    State((client, group)): State<(Client, String)>,
    request: Request<Body>,
) -> Response<Body> {
    if request.uri().path().starts_with(&group) {
        let why = "the server could not find the requested resource";
        return status(StatusCode::NOT_FOUND, why);
    }
    // What is about the connection is the client's own.
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap_or_default();
    let mut asked = Request::builder().method(parts.method).uri(parts.uri);
    for name in [ACCEPT, CONTENT_TYPE] {
        if let Some(value) = parts.headers.get(&name) {
            asked = asked.header(name, value);
        }
    }
    let asked = asked.body(kube::client::Body::from(body.to_vec()));
    match client.send(asked.expect("it was one before")).await {
        Ok(response) => {
            let (parts, body) = response.into_parts();
            let body = BodyExt::collect(body).await;
            let body = body.map_or_else(|_| Bytes::new(), |body| body.to_bytes());
            let mut answer = Response::new(Body::from(body));
            *answer.status_mut() = parts.status;
            if let Some(value) = parts.headers.get(CONTENT_TYPE) {
                answer.headers_mut().insert(CONTENT_TYPE, value.clone());
            }
            answer
        }
        Err(error) => status(StatusCode::BAD_GATEWAY, &error.to_string()),
    }
}

fn status(code: StatusCode, why: &str) -> Response<Body> {
    let status = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "message": why,
    });
    let mut response = Response::new(Body::from(status.to_string()));
    *response.status_mut() = code;
    response
}
