//! What an analysis asks and runs in a cluster, by a deployer that is outside of it.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::batch::v1::Job;
use kube::ResourceExt as _;
use kube::api::ListParams;

use crate::bench::{Bench, eventually, green, red};
use crate::needs_cluster;
use crate::runs::READY;

/// Half of the requests until the analysis has a verdict.
fn analysed(analysis: &str) -> String {
    format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 1s, deadline: 60s, strategy: {{ canary: \
         {{ steps: [50%, analyse, 100%], analysis: {{ {analysis} }} }} }} }}"
    )
}

/// It counts the requests of our own load, and tells how many there were.
const COUNTS: &str = "mkdir -p /www/cgi-bin; cd /www/cgi-bin; \
    echo '#!/bin/sh' > hit; \
    echo 'case \"$HTTP_USER_AGENT $HTTP_X_SLIPWAY_LOAD\" in \"slipway-load t\"*) echo . >> /tmp/hits;; esac; echo; echo well' >> hit; \
    echo '#!/bin/sh' > hits; echo 'echo; echo \"{ \\\"hits\\\": $(wc -l < /tmp/hits) }\"' >> hits; \
    touch /tmp/hits; chmod +x hit hits; \
    trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

/// Containers that check the version before it has all the traffic, with what they are told of it.
fn smoke(line: &str) -> String {
    let image = testkit::docker::BUSYBOX;
    format!(
        "metrics: [{{ name: smoke, container: {{ image: \"{image}\", run: [{line}], timeout: 1m, resources: {{ memory: \
         64Mi, cpus: 0.2 }} }}, consecutive_error_limit: 0 }}]"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_documented_role_is_enough_for_checks_and_load_too() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.grant().await?;
    bench.as_service_account("slipway-deployer").await?;
    let (one, two) = (
        bench.image("one", COUNTS).await?,
        bench.image("two", COUNTS).await?,
    );
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let smoke = smoke("\"wget -qO- http://$SLIPWAY_ADDRESS/ | grep two\"");
    let metrics = smoke.trim_end_matches(']');
    let analysis = format!(
        "load: {{ path: /cgi-bin/hit, rate: 20 }}, {metrics}, {{ name: answers, http: {{ url: \
         \"http://{{{{address}}}}/healthz\" }}, pass: result == 200 }}, {{ name: hits, http: {{ url: \
         \"http://{{{{address}}}}/cgi-bin/hits\", json_path: $.hits }}, pass: result >= 10, interval: 500ms, \
         failure_limit: unlimited, consecutive_success_limit: 1 }}]"
    );
    let second = bench.deploy("1.1.0", &two, &analysed(&analysis)).await?;
    green(&bench.outcome(&second).await?);
    let log = bench.log(&second).await?;
    assert!(log.contains("analysis of step 2: pass: "), "{log}");
    assert!(!log.contains("can't be sent"), "{log}");
    assert!(log.contains("`answers` 200 (pass: result == 200)"), "{log}");
    let jobs = bench.cluster.of::<Job>();
    assert_eq!(jobs.list(&ListParams::default()).await?.items.len(), 0);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_fails_takes_the_canary_back_with_its_last_lines() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let smoke = smoke("\"echo 3 orders of $SLIPWAY_VERSION are lost\", \"exit 4\"");
    let second = bench.deploy("1.1.0", &two, &analysed(&smoke)).await?;
    let failure = red(bench.outcome(&second).await?);
    let reason = &failure.reason;
    assert!(reason.contains("4 fail: "), "{reason}");
    assert!(reason.contains("3 orders of 1.1.0 are lost"), "{reason}");
    assert!(reason.contains("1.0.0 serves as before"), "{reason}");
    let absent = analysed(&smoke_of_nothing());
    let third = bench.deploy("1.2.0", &two, &absent).await?;
    let failure = red(bench.outcome(&third).await?);
    let reason = &failure.reason;
    assert!(reason.contains("could not be done"), "{reason}");
    assert!(reason.contains("can't be pulled"), "{reason}");
    bench.finish().await
}

fn smoke_of_nothing() -> String {
    smoke("\"true\"").replace(testkit::docker::BUSYBOX, "127.0.0.1:1/absent:1")
}

#[tokio::test(flavor = "multi_thread")]
async fn what_nobody_counts_there_is_refused_before_anything_begins() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let judged = analysed("errors: { max_increase: 1% }, latency: { max_increase: 20% }");
    // Without a version before it, nothing is judged.
    let first = bench.deploy("1.0.0", &one, &judged).await?;
    green(&bench.outcome(&first).await?);
    let second = bench.deploy("1.1.0", &two, &judged).await?;
    let failure = red(bench.outcome(&second).await?);
    let reason = &failure.reason;
    assert!(
        reason.contains("`errors` and `latency` of the analysis"),
        "{reason}"
    );
    assert!(reason.contains("`prometheus`"), "{reason}");
    assert_eq!(bench.cluster.names::<Deployment>().await?.len(), 1);
    assert_eq!(bench.cluster.versions().await?, ["1.0.0", "1.0.0"]);
    assert!(bench.rollouts().await?.active.is_none());
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_check_that_a_killed_deployer_left_is_removed_by_the_next_one() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let slow = smoke("\"sleep 15\"");
    let second = bench.deploy("1.1.0", &two, &analysed(&slow)).await?;
    let jobs = bench.cluster.of::<Job>();
    let names = async || -> Result<Vec<String>> {
        let list = jobs.list(&ListParams::default()).await?;
        Ok(list.items.iter().map(|job| job.name_any()).collect())
    };
    let before = eventually("the check is under way", async || {
        Ok(Some(names().await?).filter(|names| names.len() == 1))
    })
    .await?;
    bench.kill_deployer().await?;
    assert_eq!(names().await?, before, "nobody is there to remove it");
    bench.start_deployer()?;
    eventually(
        "another check is under way, and that one is gone",
        async || {
            let now = names().await?;
            Ok((now.len() == 1 && now != before).then_some(()))
        },
    )
    .await?;
    green(&bench.finally(&second).await?);
    assert!(names().await?.is_empty());
    bench.finish().await
}
