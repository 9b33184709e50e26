//! The whole of it against servers that answer as real ones, and containers on a real engine.

mod comparison;
mod providers;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use domain::platform::PlatformSpec;
use domain::spec::{Metric, PrometheusQuery, Provider};
use engine::Engine;
use engine::labels::{self, Labels};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::docker::inside::Inside;

const PATIENCE: Duration = Duration::from_secs(30);

/// A server whose numbers the test sets, in thousandths.
#[derive(Default)]
struct Server {
    value: AtomicU64,
    queries: std::sync::Mutex<Vec<String>>,
}

impl Server {
    /// Starts it; gives its address.
    async fn start(self: &Arc<Self>) -> Result<String> {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let app = Router::new()
            .route("/api/v1/query", get(answer))
            .route("/check", get(check))
            .route("/echo", get(echo))
            .route("/slow", get(std::future::pending::<()>))
            .with_state(self.clone());
        #[expect(
            clippy::disallowed_methods,
            reason = "it ends with the runtime of the test"
        )]
        tokio::spawn(async { axum::serve(listener, app).await });
        Ok(format!("http://{address}"))
    }

    fn value(&self) -> f64 {
        self.value.load(Ordering::Relaxed) as f64 / 1000.0
    }
}

async fn answer(
    State(server): State<Arc<Server>>,
    Query(parameters): Query<BTreeMap<String, String>>,
) -> (axum::http::StatusCode, Json<Value>) {
    let query = parameters.get("query").cloned().unwrap_or_default();
    server.queries.lock().expect("no panic").push(query.clone());
    if query.contains("nonsense") {
        let error =
            json!({"status": "error", "errorType": "bad_data", "error": "1:1: parse error"});
        return (axum::http::StatusCode::BAD_REQUEST, Json(error));
    }
    let series = if query.contains("absent") {
        json!([])
    } else {
        json!([{"metric": {"job": "shop"}, "value": [1435781451.781, server.value().to_string()]}])
    };
    let data = json!({"resultType": "vector", "result": series});
    let answer = json!({"status": "success", "data": data});
    (axum::http::StatusCode::OK, Json(answer))
}

async fn check(State(server): State<Arc<Server>>) -> Json<Value> {
    Json(json!({"checks": [{"ratio": server.value()}]}))
}

/// Refuses everybody, and says whom.
async fn echo(headers: axum::http::HeaderMap) -> (axum::http::StatusCode, String) {
    let shown = headers.get("authorization").and_then(|v| v.to_str().ok());
    let text = format!("not for {}", shown.unwrap_or("nobody"));
    (axum::http::StatusCode::UNAUTHORIZED, text)
}

/// A watch, and the step that it is at.
struct Bench {
    watch: Watch,
    labels: Labels,
}

impl Bench {
    /// Without an engine, nothing is measured in containers.
    fn new(analysis: &Analysis, engine: Option<Engine>) -> Result<Self> {
        let run = format!("test-{}", uuid::Uuid::new_v4().simple());
        let labels = labels::of([(labels::RUN, &run)]);
        let (environment, service) = ("production".parse()?, "shop".parse()?);
        let subject = Subject {
            service,
            environment,
            version: "2.0.0".to_owned(),
            stable: "1.0.0".to_owned(),
            address: "127.0.0.1:8080".to_owned(),
        };
        let sources = match engine {
            None => Sources::nowhere(),
            Some(engine) => {
                let (environment, service) = (&subject.environment, &subject.service);
                let inside = Inside::new(engine.clone(), environment.clone(), service.clone());
                let platform = PlatformSpec::default_for_one_machine("127.0.0.1:1", "127.0.0.1:1");
                let network = "bridge".to_owned();
                Sources::in_network(inside, engine, platform, network, labels.clone())
            }
        };
        Ok(Self {
            watch: Watch::new(analysis, subject, sources, 1),
            labels,
        })
    }

    fn look(&mut self, over: bool) -> Option<(Verdict, Vec<Evidence>)> {
        self.watch
            .look(0, over, None, Some(0), None, Timestamp::now())
    }

    /// Looks until there is a verdict.
    async fn verdict(&mut self) -> Result<(Verdict, Vec<Evidence>)> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            if let Some(told) = self.look(true) {
                return Ok(told);
            }
            ensure!(Instant::now() < deadline, "there is no verdict");
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }
}

/// One measurement of a metric, all by itself.
async fn measured(provider: Provider, pass: &str) -> Result<(Verdict, String)> {
    let mut metric = Metric::new("checked", provider);
    metric.pass = Some(pass.parse()?);
    metric.consecutive_error_limit = domain::spec::Limit::AtMost(0);
    let mut bench = Bench::new(&of([metric]), None)?;
    let (verdict, evidence) = bench.verdict().await?;
    Ok((
        verdict,
        evidence.first().context("no evidence")?.to_string(),
    ))
}

fn of<const N: usize>(metrics: [Metric; N]) -> Analysis {
    Analysis {
        metrics: metrics.into(),
        ..Analysis::default()
    }
}

fn prometheus(address: &str, query: &str) -> Provider {
    Provider::Prometheus(PrometheusQuery {
        query: query.to_owned(),
        address: address.to_owned(),
        auth: None,
    })
}
