//! Deployers that are killed in the middle, and a cluster that is away for a while.

use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Result;
use domain::stage::Outcome;
use testkit::load::Load;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::bench::{Bench, eventually, green};
use crate::needs_cluster;
use crate::runs::READY;

#[tokio::test(flavor = "multi_thread")]
async fn another_deployer_finishes_what_a_killed_one_began() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let load = Load::start(bench.reachable().await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &two, READY).await?;
    eventually("a new pod is there", async || {
        Ok(bench
            .cluster
            .versions()
            .await?
            .contains(&"1.1.0".to_owned())
            .then_some(()))
    })
    .await?;
    bench.kill_deployer().await?;
    bench.start_deployer()?;
    green(&bench.finally(&second).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.versions().await?, ["1.1.0", "1.1.0"]);
    assert_eq!(bench.rollouts().await?.history.len(), 2);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_was_cancelled_while_no_deployer_was_there_is_taken_back() -> Result<()> {
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
    bench.kill_deployer().await?;
    bench.cancel(&second).await?;
    bench.start_deployer()?;
    let outcome = bench.finally(&second).await?;
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
    eventually("the environment is as it was", async || {
        let is_ended = bench.rollouts().await?.active.is_none();
        Ok((is_ended && bench.cluster.versions().await? == ["1.0.0", "1.0.0"]).then_some(()))
    })
    .await?;
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_waits_for_a_cluster_that_is_away_and_goes_on() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    let server = bench.cluster.server()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let door = listener.local_addr()?;
    bench.through(door)?;
    let mut way = JoinSet::new();
    way.spawn(forward(listener, server.clone()));
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first).await?);
    let second = bench.deploy("1.1.0", &two, READY).await?;
    eventually("a new pod is there", async || {
        Ok(bench
            .cluster
            .versions()
            .await?
            .contains(&"1.1.0".to_owned())
            .then_some(()))
    })
    .await?;
    way.shutdown().await;
    tokio::time::sleep(Duration::from_secs(5)).await;
    assert!(bench.rollouts().await?.active.is_some());
    way.spawn(forward(again(door).await?, server));
    green(&bench.outcome(&second).await?);
    assert_eq!(bench.cluster.versions().await?, ["1.1.0", "1.1.0"]);
    way.shutdown().await;
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cluster_that_stays_away_is_no_fault_of_the_team_s() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    let server = bench.cluster.server()?;
    let door = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    bench.through(door)?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let run = bench.deploy("1.0.0", &one, READY).await?;
    match bench.outcome(&run).await? {
        Outcome::Errored { failure, retryable } => {
            let says = failure.reason.contains("the cluster does not answer");
            assert!(says && retryable, "{failure:?}");
        }
        other => panic!("{other:?}"),
    }
    let mut way = JoinSet::new();
    way.spawn(forward(again(door).await?, server));
    green(&bench.finally(&run).await?);
    assert_eq!(bench.cluster.versions().await?, ["1.0.0", "1.0.0"]);
    way.shutdown().await;
    bench.finish().await
}

impl Bench {
    /// Lets the deployer reach the cluster by another address.
    fn through(&mut self, door: SocketAddr) -> Result<()> {
        let mut kubeconfig = self.cluster.config.clone();
        if let Some(cluster) = &mut kubeconfig.clusters[0].cluster {
            cluster.server = Some(format!("https://{door}"));
        }
        let path = self.file("kubeconfig");
        std::fs::write(&path, serde_json::to_string(&kubeconfig)?)?;
        self.target().kubeconfig = Some(format!("file:{}", path.display()).parse()?);
        Ok(())
    }
}

/// Hands connections on to `server`, until it is dropped with all of them.
async fn forward(listener: TcpListener, server: String) {
    let mut open = JoinSet::new();
    while let Ok((mut near, _)) = listener.accept().await {
        let server = server.clone();
        open.spawn(async move {
            if let Ok(mut far) = TcpStream::connect(server).await {
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            }
        });
    }
}

/// The same door again, as soon as it is free.
async fn again(door: SocketAddr) -> Result<TcpListener> {
    eventually("the port is free again", async || {
        Ok(TcpListener::bind(door).await.ok())
    })
    .await
}
