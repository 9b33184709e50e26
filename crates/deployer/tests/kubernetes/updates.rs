//! Rollouts that succeed.

use anyhow::{Context as _, Result};
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use kube::ResourceExt as _;
use testkit::load::Load;

use crate::bench::{Bench, SERVICE, answers, green};
use crate::needs_cluster;
use crate::runs::READY;

#[tokio::test(flavor = "multi_thread")]
async fn a_version_comes_up_and_the_next_one_replaces_it_without_a_failed_request() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let placed = bench.rollouts().await?;
    let placed = placed.current().context("nothing is deployed")?;
    assert_eq!(
        placed.address,
        format!("http://shop.{}.svc:8080", bench.test)
    );

    let load = Load::start(bench.reachable().await?, 4, Some(200.0));
    let second = bench.deploy("1.1.0", &two, READY).await?;
    green(&bench.outcome(&second).await?);
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(report.by_body.contains_key("one") && report.by_body.contains_key("two"));
    assert_eq!(bench.cluster.versions().await?, ["1.1.0", "1.1.0"]);

    let deployment = bench.cluster.deployment(SERVICE).await?;
    assert_eq!(deployment.labels()["app.kubernetes.io/version"], "1.1.0");
    assert_eq!(deployment.annotations()["slipway.run"], second.to_string());
    let live = bench.live().await?;
    let shop = live.first().context("no service is live")?;
    assert_eq!(shop.address, placed.address);
    let ready = shop
        .replicas
        .iter()
        .filter(|r| r.ready && r.version == "1.1.0");
    assert_eq!(
        ready.filter(|r| r.image_digest == two.to_string()).count(),
        2
    );
    assert!(
        bench
            .log(&second)
            .await?
            .contains("applying Deployment shop")
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn configuration_is_rolled_out_and_comes_back_with_its_version() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let image = bench
        .image("x", "echo $GREETING $SECRET > /www/index.html; trap 'kill $!; exit 0' TERM; httpd -f -p $PORT -h /www & wait")
        .await?;
    let with = |greeting: &str| {
        format!(
            "{{ ready: {{ http: /healthz }}, drain: 1s, deadline: 100s, env: {{ GREETING: {greeting}, SECRET: {{ secret: \"env:SHOP_SECRET\" }} }} }}"
        )
    };
    let first = bench.deploy("1.0.0", &image, &with("hello")).await?;
    green(&bench.outcome(&first).await?);
    let address = bench.cluster.address(SERVICE).await?;
    let before = bench.cluster.settings().await?;
    let second = bench.deploy("1.1.0", &image, &with("goodbye")).await?;
    green(&bench.outcome(&second).await?);
    let after = bench.cluster.settings().await?;
    assert!(before != after && after.len() == 1, "{before:?} {after:?}");
    answers(&address, "goodbye open sesame").await?;
    let back = bench
        .roll_back("1.0.0", &image, &with("hello"), &first)
        .await?;
    green(&bench.outcome(&back).await?);
    assert_eq!(bench.cluster.settings().await?, before);
    answers(&address, "hello open sesame").await?;
    assert_eq!(bench.cluster.names::<Secret>().await?.len(), 1);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_release_does_not_have_any_more_is_removed() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let image = bench.server("one").await?;
    let wide = "{ replicas: 2, ready: { http: /healthz }, drain: 1s, env: { A: a } }";
    let first = bench.deploy("1.0.0", &image, wide).await?;
    green(&bench.outcome(&first).await?);
    // Somebody else's, beside ours.
    bench
        .cluster
        .apply(&serde_json::json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": { "name": "shop-env-else" }, "data": {},
        }))
        .await?;
    let maps = || bench.cluster.of::<ConfigMap>();
    let narrow = "{ ready: { http: /healthz }, drain: 1s }";
    let second = bench.deploy("1.1.0", &image, narrow).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(bench.cluster.settings().await?, Vec::<String>::new());
    assert!(maps().get_opt("shop-env-else").await?.is_some());
    let log = bench.log(&second).await?;
    assert!(log.contains("removing PodDisruptionBudget shop"), "{log}");
    assert_eq!(bench.cluster.names::<Service>().await?, ["shop"]);
    // The same again changes nothing.
    let again = bench.deploy("1.1.0", &image, narrow).await?;
    green(&bench.outcome(&again).await?);
    let record: ConfigMap = bench.cluster.of().get("shop-slipway").await?;
    let record = record.data.context("an empty record")?;
    assert!(record["release"].contains(&again.to_string()), "{record:?}");
    bench.finish().await
}
