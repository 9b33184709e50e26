//! What somebody changed by hand.

use anyhow::Result;
use domain::run::{DeployTarget, Kind};
use k8s_openapi::api::core::v1::Service;
use kube::api::DeleteParams;
use serde_json::json;

use crate::bench::{Bench, SERVICE, green, red};
use crate::needs_cluster;
use crate::runs::{READY, Wish};

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_is_overwritten_only_where_the_platform_file_says_so() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let by_hand = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": SERVICE },
        "spec": { "replicas": 1 },
    });
    assert_eq!(bench.live().await?[0].note, "");
    bench.cluster.apply(&by_hand).await?;
    let note = bench.live().await?[0].note.clone();
    assert!(
        note.contains("Deployment shop was changed by somebody"),
        "{note}"
    );
    let second = bench.deploy("1.1.0", &two, READY).await?;
    let failure = red(bench.outcome(&second).await?);
    assert!(
        failure.reason.contains("somebody else changed it"),
        "{failure:?}"
    );
    assert!(failure.reason.contains(".spec.replicas"), "{failure:?}");
    // Nothing was changed, and so nothing of theirs was taken back.
    let replicas = bench
        .cluster
        .deployment(SERVICE)
        .await?
        .spec
        .and_then(|s| s.replicas);
    assert_eq!(replicas, Some(1));

    bench.target().overwrite_changes = true;
    bench.start_deployer()?;
    let third = bench.deploy("1.1.0", &two, READY).await?;
    green(&bench.outcome(&third).await?);
    let replicas = bench
        .cluster
        .deployment(SERVICE)
        .await?
        .spec
        .and_then(|s| s.replicas);
    assert_eq!(replicas, Some(2));
    assert_eq!(bench.live().await?[0].note, "");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_somebody_changed_is_undone_when_a_person_asks_for_that() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let by_hand = json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": SERVICE },
        "spec": { "replicas": 1 },
    });
    bench.cluster.apply(&by_hand).await?;
    let services = bench.cluster.of::<Service>();
    services.delete(SERVICE, &DeleteParams::default()).await?;
    let note = bench.live().await?[0].note.clone();
    let command = format!(
        "slipway deploy {SERVICE} --to {} --overwrite-changes",
        bench.test
    );
    assert!(note.contains("Service shop was removed"), "{note}");
    assert!(note.contains(&command), "{note}");

    let again = |overwrites_changes| Wish {
        version: "1.0.0",
        digest: &one,
        deploy: READY,
        kind: Kind::Deploy(DeployTarget {
            environment: bench.test.clone(),
            origin: first.clone(),
            repository: bench
                .platform
                .development_repository(&SERVICE.parse().expect("a name")),
            digest: one.clone(),
            overwrites_changes,
        }),
        repository: None,
    };
    let refused = bench.submit(again(false)).await?;
    let failure = red(bench.outcome(&refused).await?);
    assert!(
        failure.reason.contains("--overwrite-changes"),
        "{failure:?}"
    );
    let repair = bench.submit(again(true)).await?;
    green(&bench.outcome(&repair).await?);
    assert_eq!(bench.live().await?[0].note, "");
    let spec = bench.cluster.deployment(SERVICE).await?.spec;
    assert_eq!(spec.and_then(|spec| spec.replicas), Some(2));
    assert!(services.get_opt(SERVICE).await?.is_some());
    bench.finish().await
}
