//! Rollouts that succeed.

use anyhow::Result;
use testkit::load::Load;

use crate::bench::{Bench, SERVICE, eventually, green};
use crate::needs_all;
use crate::runs::READY;

#[tokio::test(flavor = "multi_thread")]
async fn a_second_version_replaces_the_first_without_a_failed_request() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    assert_eq!(bench.answer(&bench.test).await?, "one");
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);

    let load = Load::start(bench.address(&bench.test).await?, 4, Some(400.0));
    let second = bench.deploy("1.1.0", &two, READY).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(report.by_body.len() == 2, "{:?}", report.by_body);
    assert_eq!(bench.answer(&bench.test).await?, "two");
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);

    let live = bench.live(&bench.test).await?;
    let [shop] = live.as_slice() else {
        panic!("not one service: {live:?}")
    };
    assert_eq!((shop.service.as_str(), shop.note.as_str()), (SERVICE, ""));
    assert_eq!(shop.address, bench.address(&bench.test).await?);
    assert!(
        shop.replicas
            .iter()
            .all(|r| r.ready && r.version == "1.1.0" && r.run_id == second.as_str())
    );
    assert!(bench.live(&bench.production).await?.is_empty());
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_port_readiness_and_configuration_cost_no_request_either() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    // Each version answers only its own readiness check, on its own port.
    let deploy = |port: u16, path: &str, more: &str| {
        format!(
            "{{ port: {port}, replicas: 2, ready: {{ http: {path} }}, drain: 2s, deadline: 20s{more} }}"
        )
    };
    let first = bench
        .deploy("1.0.0", &one, &deploy(8080, "/health-of-one", ""))
        .await?;
    green(&bench.outcome(&first, &bench.test).await?);

    let load = Load::start(bench.address(&bench.test).await?, 4, Some(400.0));
    let second = bench
        .deploy("1.1.0", &two, &deploy(17_070, "/health-of-two", ""))
        .await?;
    green(&bench.outcome(&second, &bench.test).await?);
    assert_eq!(bench.answer(&bench.test).await?, "two");
    let before = bench.containers(&bench.test, "replica").await?;

    let configured = deploy(
        17_070,
        "/health-of-two",
        ", env: { KEY: { secret: env:SHOP_SECRET } }",
    );
    let third = bench.deploy("1.1.0", &two, &configured).await?;
    green(&bench.outcome(&third, &bench.test).await?);
    let after = bench.containers(&bench.test, "replica").await?;
    assert!(
        after.len() == 2
            && after
                .iter()
                .all(|new| before.iter().all(|old| old.id != new.id))
    );

    let back = bench
        .roll_back("1.0.0", &one, &deploy(8080, "/health-of-one", ""), &first)
        .await?;
    green(&bench.outcome(&back, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "one");
    let rollouts = bench.rollouts(&bench.test).await?;
    assert_eq!(
        rollouts.line.len(),
        1,
        "what was rolled back is no way back"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_edge_comes_back_at_its_address_and_a_stopped_replica_with_the_next_rollout()
-> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let address = bench.address(&bench.test).await?;
    let edge = bench.containers(&bench.test, "edge").await?.remove(0);
    bench.engine.remove(&edge.id).await?;
    eventually("the edge serves again", async || {
        let edges = bench.containers(&bench.test, "edge").await?;
        Ok((edges.len() == 1 && bench.answer(&bench.test).await.is_ok()).then_some(()))
    })
    .await?;
    assert_eq!(bench.live(&bench.test).await?[0].address, address);

    let stopped = bench.containers(&bench.test, "replica").await?.remove(0);
    bench
        .engine
        .stop(&stopped.id, std::time::Duration::from_secs(1))
        .await?;
    let again = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&again, &bench.test).await?);
    let replicas = bench.containers(&bench.test, "replica").await?;
    assert!(
        replicas.len() == 2 && replicas.iter().all(|r| r.is_running()),
        "{replicas:?}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_target_does_not_do_is_said_in_the_log() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let run = bench
        .deploy(
            "1.0.0",
            &one,
            "{ strategy: { rolling: { min_ready: 5s } }, manifests: k8s }",
        )
        .await?;
    green(&bench.outcome(&run, &bench.test).await?);
    let log = bench.log(&run, &bench.test).await?;
    assert!(
        log.contains("`min_ready` is for Kubernetes") && log.contains("k8s"),
        "{log}"
    );
    bench.finish().await
}
