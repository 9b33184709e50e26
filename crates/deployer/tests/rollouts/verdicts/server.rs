//! A server that answers as Prometheus does, always with the same number.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use anyhow::Result;
use axum::extract::{Query, State};
use axum::http::{HeaderMap, StatusCode};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::{Value, json};
use tokio::task::JoinHandle;

/// A query that came, and what came with it.
#[derive(Debug, Clone)]
pub(super) struct Asked {
    pub(super) query: String,
    pub(super) authorization: Option<String>,
    pub(super) tenant: Option<String>,
}

type Kept = Arc<(f64, Mutex<Vec<Asked>>)>;

pub(super) struct Server {
    kept: Kept,
    address: String,
    task: JoinHandle<()>,
}

impl Server {
    pub(super) async fn start(value: f64) -> Result<Self> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = format!("http://{}", listener.local_addr()?);
        let kept: Kept = Arc::new((value, Mutex::default()));
        let app = Router::new()
            .route("/api/v1/query", get(answer))
            .with_state(kept.clone());
        #[expect(clippy::disallowed_methods, reason = "it ends with the server")]
        let task = tokio::spawn(async { axum::serve(listener, app).await.expect("it serves") });
        Ok(Self {
            kept,
            address,
            task,
        })
    }

    pub(super) fn address(&self) -> &str {
        &self.address
    }

    pub(super) fn asked(&self) -> Vec<Asked> {
        self.kept.1.lock().expect("no panic").clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn answer(
    State(kept): State<Kept>,
    Query(parameters): Query<BTreeMap<String, String>>,
    headers: HeaderMap,
) -> (StatusCode, Json<Value>) {
    let query = parameters.get("query").cloned().unwrap_or_default();
    let header = |name: &str| Some(headers.get(name)?.to_str().ok()?.to_owned());
    kept.1.lock().expect("no panic").push(Asked {
        query: query.clone(),
        authorization: header("authorization"),
        tenant: header("x-scope-orgid"),
    });
    if query.contains("nonsense") {
        // With what must not be passed on.
        let login = header("authorization").unwrap_or_default();
        let why = format!("1:1: parse error {login}");
        let error = json!({"status": "error", "errorType": "bad_data", "error": why});
        return (StatusCode::BAD_REQUEST, Json(error));
    }
    let series = match query.as_str() {
        "absent" => json!([]),
        _ => json!([{"metric": {}, "value": [1435781451.781, kept.0.to_string()]}]),
    };
    let data = json!({"resultType": "vector", "result": series});
    (
        StatusCode::OK,
        Json(json!({"status": "success", "data": data})),
    )
}
