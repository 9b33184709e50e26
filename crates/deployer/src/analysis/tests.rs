//! The whole of it against servers that answer as real ones, and containers on a real engine.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use anyhow::{Context as _, Result, ensure};
use axum::extract::{Query, State};
use axum::routing::get;
use axum::{Json, Router};
use domain::analysis::judge::{Counts, Traffic};
use domain::platform::PlatformSpec;
use domain::spec::{
    ContainerQuery, ErrorAnalysis, HttpQuery, Metric, Percent, PrometheusQuery, Provider,
};
use engine::Engine;
use engine::labels::{self, Labels};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;

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

/// A watch, and the step that it is at.
struct Bench {
    watch: Watch,
    engine: Engine,
    labels: Labels,
}

impl Bench {
    async fn new(analysis: &Analysis) -> Result<Self> {
        let engine = Engine::connect().await?;
        let run = format!("test-{}", uuid::Uuid::new_v4().simple());
        let labels = labels::of([(labels::RUN, &run)]);
        let sources = Sources::new(
            engine.clone(),
            PlatformSpec::default_for_one_machine("127.0.0.1:1", "127.0.0.1:1"),
            None,
            labels.clone(),
        );
        let subject = Subject {
            service: "shop".parse()?,
            environment: "production".parse()?,
            version: "2.0.0".to_owned(),
            stable: "1.0.0".to_owned(),
            address: "127.0.0.1:8080".to_owned(),
        };
        Ok(Self {
            watch: Watch::new(analysis, subject, sources),
            engine,
            labels,
        })
    }

    fn look(&mut self, over: bool) -> Option<(Verdict, Vec<Evidence>)> {
        self.watch.look(0, over, None, 0, None, Timestamp::now())
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
    let mut bench = Bench::new(&of([metric])).await?;
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
    })
}

#[tokio::test]
async fn a_prometheus_server_decides_and_its_numbers_are_kept() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let server = Arc::new(Server::default());
    server.value.store(970, Ordering::Relaxed);
    let address = server.start().await?;
    let query = prometheus(&address, r#"success{version="{{version}}"}"#);
    let (verdict, evidence) = measured(query.clone(), "result[0] >= 0.95").await?;
    assert_eq!(verdict, Verdict::Pass, "{evidence}");
    let (verdict, evidence) = measured(query, "result >= 0.99").await?;
    assert_eq!(verdict, Verdict::Fail, "{evidence}");
    let begin = "metric `checked`: success{version=\"2.0.0\"}: 0.97 fail (";
    assert!(evidence.starts_with(begin), "{evidence}");
    assert!(evidence.ends_with("; limit: pass: result >= 0.99"));
    let asked = server.queries.lock().expect("no panic").clone();
    assert_eq!(asked, [r#"success{version="2.0.0"}"#; 2]);
    Ok(())
}

#[tokio::test]
async fn what_a_prometheus_server_refuses_is_told_in_its_words() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let address = Arc::new(Server::default()).start().await?;
    let (verdict, evidence) = measured(prometheus(&address, "nonsense("), "result > 0").await?;
    assert_eq!(verdict, Verdict::Error);
    assert!(evidence.contains("error: Prometheus: bad_data: 1:1: parse error"));
    // Nobody listens there.
    let (verdict, evidence) =
        measured(prometheus("http://127.0.0.1:1", "up"), "result > 0").await?;
    assert_eq!(verdict, Verdict::Error);
    assert!(evidence.contains("127.0.0.1 did not answer: ") && evidence.contains("refused"));
    Ok(())
}

#[tokio::test]
async fn a_query_without_a_series_is_no_data_when_patience_is_over() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let address = Arc::new(Server::default()).start().await?;
    let mut metric = Metric::new("success", prometheus(&address, "absent"));
    metric.pass = Some("result > 0".parse()?);
    metric.interval = Some("50ms".parse()?);
    let analysis = Analysis {
        wait_for_samples: "400ms".parse()?,
        ..of([metric])
    };
    let (verdict, evidence) = Bench::new(&analysis).await?.verdict().await?;
    assert_eq!(verdict, Verdict::NoData);
    let text = evidence[0].to_string();
    assert!(text.contains("no data: there is no data"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_number_of_a_json_answer_or_its_status_decides() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let server = Arc::new(Server::default());
    server.value.store(500, Ordering::Relaxed);
    let address = server.start().await?;
    let http = |path: &str, json_path: Option<&str>, timeout: Option<&str>| {
        Provider::Http(HttpQuery {
            url: format!("{address}{path}?of={{{{service}}}}"),
            json_path: json_path.map(|path| path.parse().expect("a path")),
            timeout: timeout.map(|time| time.parse().expect("a time")),
        })
    };
    let ratio = http("/check", Some("$.checks[0].ratio"), None);
    let (verdict, evidence) = measured(ratio, "result == 0.5").await?;
    assert_eq!(verdict, Verdict::Pass, "{evidence}");
    assert!(evidence.contains("/check?of=shop: 0.5 pass"), "{evidence}");
    let (verdict, evidence) = measured(http("/nowhere", None, None), "result == 200").await?;
    assert_eq!(verdict, Verdict::Fail);
    assert!(evidence.contains(": 404 fail"), "{evidence}");
    let slow = http("/slow", None, Some("100ms"));
    let (verdict, evidence) = measured(slow, "result == 200").await?;
    assert_eq!(verdict, Verdict::Error);
    assert!(
        evidence.contains("did not answer within 0.1 s"),
        "{evidence}"
    );
    Ok(())
}

#[tokio::test]
async fn a_failure_is_told_while_the_step_goes_on_and_a_dry_run_is_not() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let server = Arc::new(Server::default());
    let address = server.start().await?;
    let metric = |name: &str, dry_run| -> Result<Metric> {
        let mut metric = Metric::new(name, prometheus(&address, "errors"));
        metric.fail = Some("result > 0.05".parse()?);
        metric.interval = Some("20ms".parse()?);
        metric.dry_run = dry_run;
        Ok(metric)
    };
    let mut dry = Bench::new(&of([metric("dry", true)?])).await?;
    let mut wet = Bench::new(&of([metric("wet", false)?])).await?;
    let asked = || server.queries.lock().expect("no panic").len();
    let begun = Instant::now();
    while asked() < 6 {
        assert_eq!(dry.look(false), None);
        assert_eq!(wet.look(false), None);
        ensure!(begun.elapsed() < PATIENCE, "nothing is measured");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    server.value.store(60, Ordering::Relaxed);
    let told = loop {
        assert_eq!(dry.look(false), None);
        if let Some(told) = wet.look(false) {
            break told;
        }
        ensure!(begun.elapsed() < PATIENCE, "the failure is not told");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(told.0, Verdict::Fail);
    let again = wet
        .watch
        .look(0, false, None, 0, Some(Verdict::Fail), Timestamp::now());
    assert_eq!(again, None, "it is known");
    assert_eq!(wet.look(false).map(|told| told.0), Some(Verdict::Fail));
    assert_eq!(dry.verdict().await?.0, Verdict::Pass);
    Ok(())
}

#[tokio::test]
async fn replicas_that_are_not_healthy_decide() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let mut metric = Metric::new("replicas", Provider::Pods);
    metric.pass = Provider::Pods.own_condition();
    let mut bench = Bench::new(&of([metric])).await?;
    let begun = Instant::now();
    let told = loop {
        let told = bench.watch.look(0, false, None, 2, None, Timestamp::now());
        if let Some(told) = told {
            break told;
        }
        ensure!(begun.elapsed() < PATIENCE, "there is no verdict");
        tokio::time::sleep(Duration::from_millis(5)).await;
    };
    assert_eq!(told.0, Verdict::Fail);
    assert!(told.1[0].to_string().contains("not healthy: 2 fail"));
    Ok(())
}

#[tokio::test]
async fn a_container_decides_by_its_exit_code_and_leaves_nothing() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let image = testkit::docker::busybox_image()?;
    let container = |lines: &[&str], timeout: &str| -> Result<Metric> {
        let mut metric = Metric::new(
            "checked",
            Provider::Container(ContainerQuery {
                image: image.to_owned(),
                run: lines.iter().map(|line| (*line).to_owned()).collect(),
                timeout: Some(timeout.parse()?),
            }),
        );
        metric.pass = Some("result == 0".parse()?);
        metric.consecutive_error_limit = domain::spec::Limit::AtMost(0);
        Ok(metric)
    };
    let names =
        "$SLIPWAY_SERVICE $SLIPWAY_ENVIRONMENT $SLIPWAY_VERSION $SLIPWAY_STABLE $SLIPWAY_ADDRESS";
    let compare = format!(r#"test "{names}" = "shop production 2.0.0 1.0.0 127.0.0.1:8080""#);
    for (lines, timeout, expected, words) in [
        (&[compare.as_str()][..], "30s", Verdict::Pass, "0 pass"),
        (
            &["echo 3 orders are lost; exit 4"],
            "30s",
            Verdict::Fail,
            "4 fail: ",
        ),
        (
            &["echo waiting", "sleep 60"],
            "2s",
            Verdict::Error,
            "it took longer than 2 s",
        ),
    ] {
        let mut bench = Bench::new(&of([container(lines, timeout)?])).await?;
        let (verdict, evidence) = bench.verdict().await?;
        let text = evidence[0].to_string();
        assert_eq!(verdict, expected, "{text}");
        assert!(text.contains(words), "{text}");
        if expected == Verdict::Fail {
            assert!(text.contains("3 orders are lost"), "{text}");
        }
        assert_eq!(bench.engine.list(&bench.labels).await?, []);
    }
    Ok(())
}

#[tokio::test]
async fn a_container_under_way_is_gone_soon_after_the_watch() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let mut metric = Metric::new(
        "checked",
        Provider::Container(ContainerQuery {
            image: testkit::docker::busybox_image()?.to_owned(),
            run: vec!["sleep 600".to_owned()],
            timeout: None,
        }),
    );
    metric.pass = Some("result == 0".parse()?);
    let mut bench = Bench::new(&of([metric])).await?;
    let begun = Instant::now();
    while bench.engine.list(&bench.labels).await?.is_empty() {
        assert_eq!(bench.look(true), None);
        ensure!(begun.elapsed() < PATIENCE, "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(bench.watch);
    while !bench.engine.list(&bench.labels).await?.is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "it is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// Requests at so many looks, with so many failures of the new version in each hundred.
fn traffic(look: u64, failures: u64) -> Look {
    let of = |requests, failures| Traffic {
        counts: Counts { requests, failures },
        ..Traffic::default()
    };
    Look {
        canary: of(look * 100, look * failures),
        stable: of(50_000 + look * 900, 40_000),
    }
}

async fn compared() -> Result<Bench> {
    Bench::new(&Analysis {
        errors: Some(ErrorAnalysis {
            max_increase: Percent::of(1),
        }),
        wait_for_samples: TimeSpan::from_secs(30),
        ..Analysis::default()
    })
    .await
}

#[tokio::test]
async fn a_version_that_fails_more_often_is_told_while_the_step_goes_on() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let mut bench = compared().await?;
    let told = (0..100).find_map(|look| {
        let now = Timestamp::now();
        bench
            .watch
            .look(2, false, Some(traffic(look, 5)), 0, None, now)
    });
    let (verdict, evidence) = told.context("it was never told")?;
    assert_eq!(verdict, Verdict::Fail);
    let text = evidence[0].to_string();
    let begin = "requests to 2.0.0 and at the same time to 1.0.0, as the router counts them: errors: 5 % of ";
    assert!(text.starts_with(begin), "{text}");
    assert!(
        text.contains(" and 0 % of "),
        "what came before does not count: {text}"
    );
    Ok(())
}

#[tokio::test]
async fn a_version_that_is_as_good_passes_when_the_time_of_the_step_is_over() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let mut bench = compared().await?;
    for look in 0..50 {
        let now = Timestamp::now();
        let told = bench
            .watch
            .look(2, false, Some(traffic(look, 0)), 0, None, now);
        assert_eq!(told, None);
    }
    let now = Timestamp::now();
    let told = bench
        .watch
        .look(2, true, Some(traffic(50, 0)), 0, None, now);
    assert_eq!(told.map(|told| told.0), Some(Verdict::Pass));
    Ok(())
}

#[tokio::test]
async fn without_requests_a_step_waits_and_a_person_may_let_it_wait_again() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let mut bench = compared().await?;
    let at = |second| Timestamp::from_second(second).expect("a time");
    let mut look = |second, known| bench.watch.look(2, true, None, 0, known, at(second));
    assert_eq!(look(0, None), None);
    assert_eq!(look(29, None), None);
    assert_eq!(look(30, None).map(|told| told.0), Some(Verdict::NoData));
    assert_eq!(look(31, Some(Verdict::NoData)), None);
    assert_eq!(look(40, None), None, "it begins to wait anew");
    assert_eq!(look(69, None), None);
    assert_eq!(look(70, None).map(|told| told.0), Some(Verdict::NoData));
    Ok(())
}

#[test]
fn a_step_is_given_the_time_that_its_analysis_takes() {
    let mut metric = Metric::new("success", Provider::Pods);
    metric.interval = Some(TimeSpan::from_secs(60));
    metric.count = Some(11);
    assert_eq!(Watch::patience(&Analysis::default()).get().as_secs(), 660);
    let patience = Watch::patience(&of([metric]));
    assert_eq!(patience.get().as_secs(), 1260);
}
