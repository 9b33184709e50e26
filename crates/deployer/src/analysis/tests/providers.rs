//! Where numbers come from.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use domain::analysis::verdict::Verdict;
use domain::spec::{
    Access, Analysis, ContainerQuery, HttpQuery, Limit, Metric, Provider, Resources,
    SecretReference,
};
use engine::Engine;
use jiff::Timestamp;
use tokio::time::Instant;

use super::{Bench, PATIENCE, Server, measured, of, prometheus};

#[tokio::test]
async fn a_prometheus_server_decides_and_its_numbers_are_kept() -> Result<()> {
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
    let address = Arc::new(Server::default()).start().await?;
    let mut metric = Metric::new("success", prometheus(&address, "absent"));
    metric.pass = Some("result > 0".parse()?);
    metric.interval = Some("50ms".parse()?);
    let analysis = Analysis {
        wait_for_samples: "400ms".parse()?,
        ..of([metric])
    };
    let (verdict, evidence) = Bench::new(&analysis, None)?.verdict().await?;
    assert_eq!(verdict, Verdict::NoData);
    let text = evidence[0].to_string();
    assert!(text.contains("no data: there is no data"), "{text}");
    Ok(())
}

#[tokio::test]
async fn a_number_of_a_json_answer_or_its_status_decides() -> Result<()> {
    let server = Arc::new(Server::default());
    server.value.store(500, Ordering::Relaxed);
    let address = server.start().await?;
    let http = |path: &str, json_path: Option<&str>, timeout: Option<&str>| {
        Provider::Http(HttpQuery {
            url: format!("{address}{path}?of={{{{service}}}}"),
            json_path: json_path.map(|path| path.parse().expect("a path")),
            timeout: timeout.map(|time| time.parse().expect("a time")),
            auth: None,
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
async fn no_part_of_a_long_token_that_comes_back_is_told() -> Result<()> {
    let address = Arc::new(Server::default()).start().await?;
    let token: String = ('a'..='z').cycle().take(300).collect();
    let bearer = tempfile::NamedTempFile::new()?;
    std::fs::write(bearer.path(), &token)?;
    let auth = Access {
        bearer: Some(SecretReference::File(bearer.path().display().to_string())),
        ..Access::default()
    };
    let echo = Provider::Http(HttpQuery {
        url: format!("{address}/echo"),
        json_path: Some("$.ratio".parse()?),
        timeout: None,
        auth: Some(auth),
    });
    let (verdict, evidence) = measured(echo, "result == 1").await?;
    assert_eq!(verdict, Verdict::Error);
    let words = "the answer has status 401: not for Bearer …";
    assert!(evidence.contains(words), "{evidence}");
    for end in 4..=50 {
        assert!(!evidence.contains(&token[..end]), "{end}: {evidence}");
    }
    Ok(())
}

#[tokio::test]
async fn a_failure_is_told_while_the_step_goes_on_and_a_dry_run_is_not() -> Result<()> {
    let server = Arc::new(Server::default());
    let address = server.start().await?;
    let metric = |name: &str, dry_run| -> Result<Metric> {
        let mut metric = Metric::new(name, prometheus(&address, "errors"));
        metric.fail = Some("result > 0.05".parse()?);
        metric.interval = Some("20ms".parse()?);
        metric.dry_run = dry_run;
        Ok(metric)
    };
    let mut dry = Bench::new(&of([metric("dry", true)?]), None)?;
    let mut wet = Bench::new(&of([metric("wet", false)?]), None)?;
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
    assert!(wet.look(false).is_some(), "told until it is kept");
    let (now, kept) = (Timestamp::now(), Some(Verdict::Fail));
    assert_eq!(wet.watch.look(0, false, None, Some(0), kept, now), None);
    assert_eq!(dry.verdict().await?.0, Verdict::Pass);
    Ok(())
}

#[tokio::test]
async fn replicas_that_are_not_healthy_decide() -> Result<()> {
    let mut metric = Metric::new("replicas", Provider::Pods);
    metric.pass = Provider::Pods.own_condition();
    let mut bench = Bench::new(&of([metric]), None)?;
    let begun = Instant::now();
    let told = loop {
        let told = bench
            .watch
            .look(0, false, None, Some(2), None, Timestamp::now());
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
    let engine = Engine::connect().await?;
    let image = testkit::docker::busybox_image()?;
    let container = |lines: &[&str], timeout: &str| -> Result<Metric> {
        let mut metric = Metric::new(
            "checked",
            Provider::Container(ContainerQuery {
                image: image.to_owned(),
                run: lines.iter().map(|line| (*line).to_owned()).collect(),
                timeout: Some(timeout.parse()?),
                resources: Resources::default(),
            }),
        );
        metric.pass = Some("result == 0".parse()?);
        metric.consecutive_error_limit = Limit::AtMost(0);
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
        let mut bench = Bench::new(&of([container(lines, timeout)?]), Some(engine.clone()))?;
        let (verdict, evidence) = bench.verdict().await?;
        let text = evidence[0].to_string();
        assert_eq!(verdict, expected, "{text}");
        assert!(text.contains(words), "{text}");
        if expected == Verdict::Fail {
            assert!(text.contains("3 orders are lost"), "{text}");
        }
        assert_eq!(engine.list(&bench.labels).await?, []);
    }
    Ok(())
}

#[tokio::test]
async fn a_container_under_way_is_gone_soon_after_the_watch() -> Result<()> {
    if !testkit::docker::engine_answers() {
        return Ok(());
    }
    let engine = Engine::connect().await?;
    let mut metric = Metric::new(
        "checked",
        Provider::Container(ContainerQuery {
            image: testkit::docker::busybox_image()?.to_owned(),
            run: vec!["sleep 600".to_owned()],
            timeout: None,
            resources: Resources::default(),
        }),
    );
    metric.pass = Some("result == 0".parse()?);
    let mut bench = Bench::new(&of([metric]), Some(engine.clone()))?;
    let begun = Instant::now();
    while engine.list(&bench.labels).await?.is_empty() {
        assert_eq!(bench.look(true), None);
        ensure!(begun.elapsed() < PATIENCE, "it does not start");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    drop(bench.watch);
    while !engine.list(&bench.labels).await?.is_empty() {
        ensure!(begun.elapsed() < PATIENCE, "it is still there");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

/// The API server of the test cluster is an endpoint with an authority of its own, and asks who is there.
#[tokio::test]
async fn an_authority_is_trusted_only_where_it_is_named() -> Result<()> {
    let Some(path) = testkit::kubernetes::kubeconfig() else {
        return Ok(());
    };
    let kubeconfig = kube::config::Kubeconfig::read_from(path)?;
    let mut clusters = kubeconfig.clusters.into_iter();
    let cluster = clusters.find_map(|named| named.cluster);
    let cluster = cluster.context("no cluster")?;
    let ca = tempfile::NamedTempFile::new()?;
    match (
        cluster.certificate_authority_data,
        cluster.certificate_authority,
    ) {
        (Some(data), _) => std::fs::write(ca.path(), STANDARD.decode(data)?)?,
        (None, Some(file)) => drop(std::fs::copy(file, ca.path())?),
        (None, None) => anyhow::bail!("the cluster has no authority of its own"),
    }
    let bearer = tempfile::NamedTempFile::new()?;
    std::fs::write(bearer.path(), "nobody-s-token")?;
    let file =
        |file: &tempfile::NamedTempFile| SecretReference::File(file.path().display().to_string());
    let server = cluster.server.context("no address")?;
    let version = |auth: Option<Access>| {
        Provider::Http(HttpQuery {
            url: format!("{server}/version"),
            json_path: None,
            timeout: None,
            auth,
        })
    };
    let (verdict, evidence) = measured(version(None), "result == 200").await?;
    assert_eq!(verdict, Verdict::Error, "{evidence}");
    assert!(evidence.contains("ertificate"), "{evidence}");
    let trusting = Access {
        ca: Some(file(&ca)),
        ..Access::default()
    };
    let (verdict, evidence) = measured(version(Some(trusting.clone())), "result == 200").await?;
    assert_eq!(verdict, Verdict::Pass, "{evidence}");
    let as_nobody = Access {
        bearer: Some(file(&bearer)),
        ..trusting
    };
    let (verdict, evidence) = measured(version(Some(as_nobody)), "result == 401").await?;
    assert_eq!(verdict, Verdict::Pass, "{evidence}");
    let wrong = Access {
        ca: Some(file(&bearer)),
        ..Access::default()
    };
    let (verdict, evidence) = measured(version(Some(wrong)), "result == 200").await?;
    assert_eq!(verdict, Verdict::Error);
    assert!(
        evidence.contains("`auth.ca` holds no certificates"),
        "{evidence}"
    );
    Ok(())
}
