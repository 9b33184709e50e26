//! Rollouts that don't succeed, and leave the environment as it was.

use anyhow::Result;
use domain::stage::Outcome;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service};
use serde_json::json;
use testkit::load::Load;

use crate::bench::{Bench, eventually, green, red};
use crate::needs_cluster;
use crate::runs::READY;

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_crashes_is_taken_back_and_its_last_lines_are_kept() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let broken = bench
        .image("broken", "echo no database >&2; exit 3")
        .await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let load = Load::start(bench.reachable().await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &broken, READY).await?;
    let failure = red(bench.outcome(&second).await?);
    load.stop().await.assert_no_failures();
    assert!(
        failure.reason.contains("exit code 3") && failure.reason.contains("CrashLoopBackOff"),
        "{failure:?}"
    );
    assert!(
        failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    assert!(
        failure.last_lines.iter().any(|l| l.contains("no database")),
        "{failure:?}"
    );
    eventually("only the old version is there", async || {
        Ok((bench.cluster.versions().await? == ["1.0.0", "1.0.0"]).then_some(()))
    })
    .await?;
    let rollouts = bench.rollouts().await?;
    let current = rollouts.current().map(|placed| &placed.placement.run);
    assert!(rollouts.active.is_none() && current == Some(&first));
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_image_that_can_not_be_pulled_fails_fast() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let first = bench
        .deploy("1.0.0", &one, "{ port: 8080, drain: 1s, deadline: 100s }")
        .await?;
    green(&bench.outcome(&first).await?);
    let nowhere = format!("sha256:{}", "0".repeat(64)).parse()?;
    let second = bench
        .deploy(
            "1.1.0",
            &nowhere,
            "{ port: 8080, drain: 1s, deadline: 100s }",
        )
        .await?;
    let failure = red(bench.outcome(&second).await?);
    assert!(failure.reason.contains("can't be pulled"), "{failure:?}");
    assert!(
        failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_never_gets_ready_is_taken_back_after_its_deadline() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let mute = bench.image("mute", "echo waiting; sleep 1000").await?;
    let impatient = "{ ready: { http: /healthz }, deadline: 4s, drain: 1s }";
    let run = bench.deploy("1.0.0", &mute, impatient).await?;
    let failure = red(bench.outcome(&run).await?);
    assert!(failure.reason.contains("progress deadline"), "{failure:?}");
    assert!(
        failure
            .reason
            .contains("does not answer its readiness check"),
        "{failure:?}"
    );
    assert!(
        failure.last_lines.iter().any(|line| line == "waiting"),
        "{failure:?}"
    );
    // It was the first: nothing is left.
    assert!(failure.reason.contains("removed again"), "{failure:?}");
    assert_eq!(
        bench.cluster.names::<Deployment>().await?,
        Vec::<String>::new()
    );
    assert_eq!(
        bench.cluster.names::<Service>().await?,
        Vec::<String>::new()
    );
    assert_eq!(
        bench.cluster.names::<ConfigMap>().await?,
        Vec::<String>::new()
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_rollout_goes_back() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, mute) = (
        bench.server("one").await?,
        bench.image("mute", "sleep 1000").await?,
    );
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let second = bench.deploy("1.1.0", &mute, READY).await?;
    eventually("a new pod is there", async || {
        Ok(bench
            .cluster
            .versions()
            .await?
            .contains(&"1.1.0".to_owned())
            .then_some(()))
    })
    .await?;
    bench.cancel(&second).await?;
    let outcome = bench.outcome(&second).await?;
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
    eventually("only the old version is there", async || {
        Ok((bench.cluster.versions().await? == ["1.0.0", "1.0.0"]).then_some(()))
    })
    .await?;
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_quota_does_not_allow_is_said() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    bench.cluster.create_namespace().await?;
    bench
        .cluster
        .apply(&json!({
            "apiVersion": "v1", "kind": "ResourceQuota", "metadata": { "name": "tight" },
            "spec": { "hard": { "pods": "2" } },
        }))
        .await?;
    let one = bench.server("one").await?;
    let run = bench
        .deploy("1.0.0", &one, "{ replicas: 4, drain: 1s, deadline: 100s }")
        .await?;
    let failure = red(bench.outcome(&run).await?);
    assert!(
        failure.reason.contains("exceeded quota: tight"),
        "{failure:?}"
    );
    assert!(
        failure.reason.contains("raise the namespace's quota"),
        "{failure:?}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_no_node_has_room_for_is_said_before_the_deadline() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let huge = "{ resources: { memory: 9000G }, drain: 1s, deadline: 20s }";
    let run = bench.deploy("1.0.0", &one, huge).await?;
    let failure = red(bench.outcome(&run).await?);
    assert!(
        failure.reason.contains("no node takes shop-")
            && failure.reason.contains("Insufficient memory"),
        "{failure:?}"
    );
    assert!(bench.cluster.names::<Deployment>().await?.is_empty());
    bench.finish().await
}
