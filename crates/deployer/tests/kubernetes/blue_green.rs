//! Blue-green: a whole new set beside the old one, and all the traffic at once.

use anyhow::Result;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use testkit::git::GitRepository;
use testkit::load::Load;

use crate::bench::{Bench, SERVICE, answers, eventually, green, red};
use crate::needs_cluster;
use crate::runs::{READY, Wish};

/// Keeps the old set for a minute.
const KEEPING: &str = "{ replicas: 2, ready: { http: /healthz }, drain: 1s, deadline: 60s, \
                       strategy: { blue_green: { monitor: 2s, keep_old: 1m } } }";

#[tokio::test(flavor = "multi_thread")]
async fn all_traffic_switches_at_once_and_back_at_once_while_the_old_set_is_kept() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    // It begins by a rolling update, whose Service leads to all pods of the service.
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let address = bench.reachable().await?;
    let load = Load::start(address.clone(), 2, Some(100.0));
    let second = bench.deploy("1.1.0", &two, KEEPING).await?;
    green(&bench.outcome(&second).await?);
    answers(&address, "two").await?;
    let log = bench.log(&second).await?;
    assert!(log.contains("shop-preview"), "{log}");
    assert_eq!(
        bench.cluster.versions().await?,
        ["1.0.0", "1.0.0", "1.1.0", "1.1.0"],
        "the old set is kept"
    );
    assert_eq!(bench.cluster.names::<Service>().await?, ["shop"]);

    let live = bench.live().await?;
    let kept = live[0].replicas.iter().filter(|r| r.version == "1.0.0");
    assert!(kept.clone().count() == 2 && kept.clone().all(|r| r.ready && r.weight == 0));
    let serving = live[0].replicas.iter().filter(|r| r.weight > 0);
    assert_eq!(serving.filter(|r| r.version == "1.1.0").count(), 2);
    let pods = bench.cluster.pod_names("1.0.0").await?;
    let back = bench.roll_back("1.0.0", &one, READY, &first).await?;
    green(&bench.outcome(&back).await?);
    answers(&address, "one").await?;
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 2]);
    assert_eq!(
        bench.cluster.pod_names("1.0.0").await?,
        pods,
        "they were there"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_kept_goes_when_its_time_is_over() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let briefly = KEEPING.replace("keep_old: 1m", "keep_old: 3s");
    let first = bench.deploy("1.0.0", &one, &briefly).await?;
    green(&bench.outcome(&first).await?);
    let second = bench.deploy("1.1.0", &two, &briefly).await?;
    green(&bench.outcome(&second).await?);
    eventually("the old set is removed", async || {
        let versions = bench.cluster.versions().await?;
        Ok((versions == ["1.1.0"; 2]).then_some(()))
    })
    .await?;
    assert_eq!(bench.cluster.names::<Deployment>().await?.len(), 1);
    answers(&bench.reachable().await?, "two").await?;
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_set_that_never_gets_ready_never_gets_a_request() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, mute) = (
        bench.server("one").await?,
        bench.image("mute", "sleep 1000").await?,
    );
    let short = KEEPING.replace("deadline: 60s", "deadline: 15s");
    let first = bench.deploy("1.0.0", &one, KEEPING).await?;
    green(&bench.outcome(&first).await?);
    let address = bench.reachable().await?;
    let load = Load::start(address.clone(), 2, Some(100.0));
    let second = bench.deploy("1.1.0", &mute, &short).await?;
    let failure = red(bench.outcome(&second).await?);
    assert!(
        failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    assert!(failure.reason.contains("readiness check"), "{failure:?}");
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 2]);
    assert_eq!(bench.cluster.names::<Service>().await?, ["shop"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn manifests_that_can_not_stand_beside_another_version_are_refused_with_the_reason()
-> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let stateful = "apiVersion: apps/v1\nkind: StatefulSet\nmetadata: { name: shop }\nspec:\n  serviceName: shop\n  \
                    selector: { matchLabels: { app: shop } }\n  template:\n    metadata: { labels: { app: shop } }\n    \
                    spec: { containers: [{ name: shop, image: shop }] }\n";
    let repository = GitRepository::with_files(&[("k8s/shop.yaml", stateful)])?;
    let deploy = "{ manifests: k8s, strategy: canary }";
    let run = bench
        .submit(Wish {
            version: "1.0.0",
            digest: &one,
            deploy,
            kind: domain::run::Kind::Change,
            repository: Some(&repository),
        })
        .await?;
    let failure = red(bench.outcome(&run).await?);
    assert!(
        failure
            .reason
            .contains("`canary` needs exactly one Deployment")
            && failure.reason.contains("StatefulSet shop"),
        "{failure:?}"
    );
    assert!(
        bench.cluster.names::<Service>().await?.is_empty(),
        "{SERVICE}"
    );
    bench.finish().await
}
