//! What each verdict of an analysis does to a canary, and how its numbers are come by. The server speaks as Prometheus
//! does, with numbers of the test's.

mod server;

use anyhow::{Context as _, Result};
use domain::ids::RunId;
use domain::run::Actor;
use jiff::Timestamp;

use crate::bench::{Bench, SERVICE, eventually, green, red};
use crate::needs_all;
use crate::runs::READY;
use server::Server;

/// A canary of half of the requests that waits for its analysis.
fn analysed(analysis: &str) -> String {
    format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 1s, deadline: 60s, strategy: {{ canary: \
         {{ steps: [50%, analyse, 100%], analysis: {{ {analysis} }} }} }} }}"
    )
}

/// A bench with 1.0.0, and the image of a version after it.
async fn bench() -> Result<(Bench, domain::ids::Digest)> {
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    Ok((bench, two))
}

/// Why the rollout of `run` waits for a person, once it does.
async fn paused(bench: &Bench, run: &RunId) -> Result<String> {
    eventually("the rollout is paused", async || {
        let rollouts = bench.rollouts(&bench.test).await?;
        let is_ours = rollouts.active.as_ref().is_some_and(|a| a.run == *run);
        let paused = rollouts.progress.and_then(|progress| progress.paused);
        Ok(paused.filter(|_| is_ours).map(|paused| paused.reason))
    })
    .await
}

/// A person lets it go on.
async fn promote(bench: &Bench, run: &RunId) -> Result<()> {
    let key = (bench.test.clone(), SERVICE.parse()?);
    let me = Actor("tests".to_owned());
    let asked = bench.rollouts.update(&key, |rollouts| {
        let now = Timestamp::now();
        let promoted = rollouts
            .cloned()
            .unwrap_or_default()
            .promote(run, &me, false, now);
        promoted
            .map(Some)
            .map_err(|refusal| std::io::Error::other(refusal.why))
    });
    asked.await?;
    Ok(())
}

/// What the rollouts' events hold, as text.
async fn events(bench: &Bench) -> Result<String> {
    let key = (bench.test.clone(), SERVICE.parse()?);
    let rollouts = bench.rollouts.get(&key).await?;
    Ok(format!("{:?}", rollouts.context("no rollouts")?))
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_that_pass_let_a_canary_go_on_and_their_secrets_stay_secret() -> Result<()> {
    needs_all!();
    let (bench, two) = bench().await?;
    let server = Server::start(0.997).await?;
    let address = server.address();
    let metrics = format!(
        "metrics: [{{ name: success, prometheus: {{ query: 'rate(x{{version=\"{{{{version}}}}\"}})', address: \
         \"{address}\", auth: {{ bearer: env:SHOP_SECRET, headers: {{ X-Scope-OrgID: shop }} }} }}, pass: result >= \
         0.99, interval: 100ms, count: 3, initial_delay: 300ms }}, {{ name: dry, dry_run: true, prometheus: {{ query: \
         y, address: \"{address}\" }}, pass: result > 1 }}]"
    );
    let second = bench.deploy("1.1.0", &two, &analysed(&metrics)).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let asked = server.asked();
    let of_success: Vec<_> = asked.iter().filter(|a| a.query.contains("rate")).collect();
    assert_eq!(of_success.len(), 3, "{asked:?}");
    for one in of_success {
        assert_eq!(one.query, r#"rate(x{version="1.1.0"})"#);
        assert_eq!(one.authorization.as_deref(), Some("Bearer open sesame"));
        assert_eq!(one.tenant.as_deref(), Some("shop"));
    }
    let log = bench.log(&second, &bench.test).await?;
    let line = "analysis of step 2: pass: `success` 0.997 (pass: result >= 0.99)";
    assert_eq!(log.matches(line).count(), 1, "{log}");
    assert!(!log.contains("sesame"), "{log}");
    assert!(!events(&bench).await?.contains("sesame"));
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_that_fails_more_often_than_it_may_takes_the_canary_back() -> Result<()> {
    needs_all!();
    let (bench, two) = bench().await?;
    let server = Server::start(0.9).await?;
    let metrics = format!(
        "metrics: [{{ name: success, prometheus: {{ query: x, address: \"{}\" }}, pass: result >= 0.99, interval: \
         100ms, count: 10, failure_limit: 2 }}]",
        server.address()
    );
    let second = bench.deploy("1.1.0", &two, &analysed(&metrics)).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    let reason = &failure.reason;
    assert!(reason.contains("metric `success`: x: 0.9 fail"), "{reason}");
    assert!(reason.contains("1.0.0 serves as before"), "{reason}");
    assert_eq!(server.asked().len(), 3, "one more than it may");
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_between_its_two_conditions_asks_a_person() -> Result<()> {
    needs_all!();
    let (bench, two) = bench().await?;
    let server = Server::start(0.97).await?;
    let metrics = format!(
        "metrics: [{{ name: success, prometheus: {{ query: x, address: \"{}\" }}, pass: result >= 0.99, fail: result < \
         0.95, interval: 100ms, count: 10, inconclusive_limit: 1 }}]",
        server.address()
    );
    let second = bench.deploy("1.1.0", &two, &analysed(&metrics)).await?;
    let why = paused(&bench, &second).await?;
    assert!(
        why.contains("inconclusive") && why.contains("0.97"),
        "{why}"
    );
    assert_eq!(server.asked().len(), 2, "one more than it may");
    promote(&bench, &second).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let log = bench.log(&second, &bench.test).await?;
    assert!(
        log.contains("analysis of step 2: inconclusive: `success` 0.97"),
        "{log}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_without_data_is_never_a_pass() -> Result<()> {
    needs_all!();
    let (bench, two) = bench().await?;
    let server = Server::start(1.0).await?;
    let metrics = format!(
        "wait_for_samples: 2s, metrics: [{{ name: success, prometheus: {{ query: absent, address: \"{}\" }}, fail: \
         result > 0.05, interval: 200ms }}]",
        server.address()
    );
    let second = bench.deploy("1.1.0", &two, &analysed(&metrics)).await?;
    let why = paused(&bench, &second).await?;
    assert!(why.contains("no data"), "{why}");
    promote(&bench, &second).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_metric_that_can_not_be_measured_takes_the_canary_back_after_so_many_attempts()
-> Result<()> {
    needs_all!();
    let (bench, two) = bench().await?;
    let server = Server::start(1.0).await?;
    let metrics = format!(
        "metrics: [{{ name: success, prometheus: {{ query: 'nonsense(', address: \"{}\", auth: {{ bearer: env:SHOP_SECRET }} }}, pass: result > 0, interval: \
         100ms, count: 10, consecutive_error_limit: 1 }}]",
        server.address()
    );
    let second = bench.deploy("1.1.0", &two, &analysed(&metrics)).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    let reason = &failure.reason;
    assert!(reason.contains("bad_data: 1:1: parse error"), "{reason}");
    // The server says everything that it was sent.
    assert!(reason.contains("Bearer …"), "{reason}");
    assert!(!events(&bench).await?.contains("sesame"));
    assert_eq!(server.asked().len(), 2, "one more than it may");
    let log = bench.log(&second, &bench.test).await?;
    assert!(
        log.contains("analysis of step 2: error: `success`"),
        "{log}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_over_http_reaches_what_only_the_network_of_the_environment_knows() -> Result<()> {
    needs_all!();
    let (bench, two) = bench().await?;
    let metrics = "metrics: [{ name: alive, http: { url: \"http://{{address}}/health-of-two\" }, pass: result == 200 \
                   }, { name: number, http: { url: \"http://preview.shop:17070/two.json\", json_path: \"$.checks[0]\" }, \
                   pass: result == 0.5 }, { name: stable, http: { url: \"http://shop:17070/nowhere\" }, pass: result \
                   == 404 }]";
    let second = bench.deploy("1.1.0", &two, &analysed(metrics)).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let unknown = "metrics: [{ name: alive, http: { url: \"http://nobody.invalid/\" }, pass: result == 200, \
                   consecutive_error_limit: 0 }]";
    let three = bench.server("three").await?;
    let third = bench.deploy("1.2.0", &three, &analysed(unknown)).await?;
    let failure = red(bench.outcome(&third, &bench.test).await?);
    let reason = &failure.reason;
    assert!(reason.contains("nobody.invalid did not answer"), "{reason}");
    assert!(reason.contains("cannot resolve the name"), "{reason}");
    bench.finish().await
}

/// How many requests the edge has counted.
async fn requests(bench: &Bench) -> Result<u64> {
    let edge = bench.containers(&bench.test, "edge").await?.remove(0);
    let status = engine::ExecSpec::new(["/edge", "status"]);
    let said = bench.engine.exec(&edge.id, status).await?.stdout;
    let status: edge::status::Status = serde_json::from_slice(&said)?;
    let versions = status.versions.iter();
    Ok(versions.map(|version| version.requests).sum())
}

/// Well is only who is asked by our own load.
const ASKS_WHO: &str = "rm /www/index.html; mkdir /www/cgi-bin; cd /www/cgi-bin; \
    echo '#!/bin/sh' > index.cgi; \
    echo '[ \"$HTTP_USER_AGENT\" = slipway-load ] || echo \"Status: 500 Who\"; echo; printf two' >> index.cgi; \
    chmod +x index.cgi; trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

#[tokio::test(flavor = "multi_thread")]
async fn where_nobody_else_asks_the_load_of_our_own_is_judged() -> Result<()> {
    needs_all!();
    let (bench, _) = bench().await?;
    let two = bench.image("two", ASKS_WHO).await?;
    let analysis = "errors: { max_increase: 1% }, min_samples: 40, load: { path: /, rate: 50 }";
    let second = bench.deploy("1.1.0", &two, &analysed(analysis)).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let log = bench.log(&second, &bench.test).await?;
    assert!(
        log.contains("analysis of step 2: pass: errors: 0.00 % of "),
        "{log}"
    );

    // It ends with the rollout, a moment later.
    eventually("no more requests come", async || {
        let before = requests(&bench).await?;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        Ok((requests(&bench).await? == before).then_some(()))
    })
    .await?;

    // Blue-green: the preview is asked at the same time as the service.
    let deploy = format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 1s, deadline: 60s, strategy: {{ blue_green: {{ monitor: \
         0s, keep_old: 0s, analysis: {{ {analysis} }} }} }} }}"
    );
    let broken = ASKS_WHO.replace("slipway-load", "somebody else");
    let broken = bench.image("three", &broken).await?;
    let third = bench.deploy("1.2.0", &broken, &deploy).await?;
    let failure = red(bench.outcome(&third, &bench.test).await?);
    let reason = &failure.reason;
    assert!(reason.contains("100 % of "), "{reason}");
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}
