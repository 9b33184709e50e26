//! Canaries that are judged by the requests to them.

use std::time::Duration;

use anyhow::Result;
use testkit::load::{Load, LoadHandle, LoadReport};

use crate::bench::{Bench, green, red};
use crate::needs_all;
use crate::runs::READY;

/// Half of the requests, watched for `bake`.
fn judged(bake: &str) -> String {
    watched(bake, "errors: { max_increase: 1% }")
}

fn watched(bake: &str, analysis: &str) -> String {
    format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 2s, deadline: 60s, strategy: {{ canary: \
         {{ steps: [50%, bake {bake}, 100%], analysis: {{ {analysis} }} }} }} }}"
    )
}

/// Lets a load go on for a moment after all is over.
async fn lasting(load: LoadHandle) -> LoadReport {
    tokio::time::sleep(Duration::from_millis(500)).await;
    load.stop().await
}

/// A web server that answers one of twenty requests with an error. By chance: what follows the clock may never meet
/// requests that come as regularly.
const BREAKS_OFTEN: &str = "rm /www/index.html; mkdir /www/cgi-bin; cd /www/cgi-bin; \
    echo '#!/bin/sh' > index.cgi; \
    echo '[ $(od -An -N1 -tu1 /dev/urandom) -lt 13 ] && echo \"Status: 500 Broken\"; echo; printf two' >> index.cgi; \
    chmod +x index.cgi; trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

/// A web server that takes half a second for each answer.
const SLOW: &str = "rm /www/index.html; mkdir /www/cgi-bin; cd /www/cgi-bin; \
    echo '#!/bin/sh' > index.cgi; echo 'sleep 0.5; echo; printf two' >> index.cgi; \
    chmod +x index.cgi; trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_fails_every_twentieth_request_is_taken_back_by_the_judge() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let bad = bench.image("two", BREAKS_OFTEN).await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 4, Some(200.0));
    let second = bench.deploy("1.1.0", &bad, &judged("10m")).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    let report = lasting(load).await;
    let of_its = report
        .failures
        .iter()
        .all(|failure| failure.contains("500"));
    assert!(report.failed > 0 && of_its, "{:?}", report.failures);
    let aftermath = bench.aftermath(&second, &report, "two").await?;
    aftermath.assert_left_at_once();
    for words in [
        "the analysis of step 2",
        "requests to 1.1.0 and at the same time to 1.0.0",
        "at most 1 % more is allowed",
        "1.0.0 serves as before",
    ] {
        assert!(failure.reason.contains(words), "{failure:?}");
    }
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_only_slow_is_taken_back_by_the_judge() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let slow = bench.image("two", SLOW).await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 8, Some(200.0));
    let deploy = watched("10m", "latency: { quantile: p75, max_increase: 100% }");
    let second = bench.deploy("1.1.0", &slow, &deploy).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    let report = lasting(load).await;
    report.assert_no_failures();
    let aftermath = bench.aftermath(&second, &report, "two").await?;
    aftermath.assert_left_at_once();
    assert!(
        failure.reason.contains("latency p75") && failure.reason.contains("were slow"),
        "{failure:?}"
    );
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_as_good_passes_the_judge() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &two, &judged("3s")).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "two");
    bench.finish().await
}
