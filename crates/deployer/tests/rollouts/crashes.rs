//! Deployers that are killed in the middle.

use anyhow::Result;
use domain::stage::Outcome;
use testkit::load::Load;

use crate::bench::{Bench, eventually, green};
use crate::needs_all;
use crate::runs::READY;

#[tokio::test(flavor = "multi_thread")]
async fn another_deployer_finishes_what_a_killed_one_began() -> Result<()> {
    needs_all!();
    let mut bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &two, READY).await?;
    eventually("a new replica is there", async || {
        Ok(bench
            .versions(&bench.test)
            .await?
            .contains(&"1.1.0".to_owned())
            .then_some(()))
    })
    .await?;
    bench.kill_deployer().await?;
    bench.start_deployer()?;
    green(&bench.finally(&second, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    assert_eq!(bench.rollouts(&bench.test).await?.history.len(), 2);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollout_that_was_cancelled_while_no_deployer_was_there_is_taken_back() -> Result<()> {
    needs_all!();
    let mut bench = Bench::start().await?;
    let (one, mute) = (
        bench.server("one").await?,
        bench.image("mute", "sleep 1000").await?,
    );
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let second = bench.deploy("1.1.0", &mute, READY).await?;
    eventually("a new replica is there", async || {
        Ok(bench
            .versions(&bench.test)
            .await?
            .contains(&"1.1.0".to_owned())
            .then_some(()))
    })
    .await?;
    bench.kill_deployer().await?;
    bench.cancel(&second).await?;
    bench.start_deployer()?;
    let outcome = bench.finally(&second, &bench.test).await?;
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
    eventually("the environment is as it was", async || {
        let is_ended = bench.rollouts(&bench.test).await?.active.is_none();
        Ok((is_ended && bench.versions(&bench.test).await? == ["1.0.0", "1.0.0"]).then_some(()))
    })
    .await?;
    assert_eq!(bench.answer(&bench.test).await?, "one");
    bench.finish().await
}
