//! What is asked for while a canary is under way.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use testkit::load::Load;

use crate::bench::{Bench, green, red};
use crate::canary::{QUARTER, ask, is_paused, me};
use crate::needs_all;
use crate::runs::READY;

/// Long enough for a deployer that does not wait to begin.
async fn nothing_else_begins(bench: &Bench, versions: &[&str]) -> Result<()> {
    tokio::time::sleep(Duration::from_secs(2)).await;
    let mut there = bench.versions(&bench.test).await?;
    there.sort();
    assert_eq!(there, versions);
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_newer_release_waits_for_the_canary_under_way_and_comes_after_it() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two, three) = (
        bench.server("one").await?,
        bench.server("two").await?,
        bench.server("three").await?,
    );
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    is_paused(&bench, &second).await?;
    let third = bench.deploy("1.2.0", &three, QUARTER).await?;
    nothing_else_begins(&bench, &["1.0.0", "1.0.0", "1.1.0"]).await?;
    is_paused(&bench, &second).await?;

    for (run, body) in [(&second, "two"), (&third, "three")] {
        is_paused(&bench, run).await?;
        ask(&bench, |rollouts| {
            rollouts.promote(run, &me(), false, Timestamp::now())
        })
        .await?;
        green(&bench.outcome(run, &bench.test).await?);
        assert_eq!(bench.answer(&bench.test).await?, body);
    }
    load.stop().await.assert_no_failures();
    assert_eq!(bench.versions(&bench.test).await?, ["1.2.0", "1.2.0"]);
    let rollouts = bench.rollouts(&bench.test).await?;
    let came: Vec<_> = rollouts.history.iter().map(|p| &p.placement.run).collect();
    assert_eq!(came, [&first, &second, &third]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rollback_comes_as_soon_as_the_canary_before_it_is_taken_back() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two, three) = (
        bench.server("one").await?,
        bench.server("two").await?,
        bench.server("three").await?,
    );
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let second = bench.deploy("1.1.0", &two, READY).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(100.0));
    let third = bench.deploy("1.2.0", &three, QUARTER).await?;
    is_paused(&bench, &third).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    let back = bench.roll_back("1.0.0", &one, QUARTER, &first).await?;
    nothing_else_begins(&bench, &["1.1.0", "1.1.0", "1.2.0"]).await?;
    ask(&bench, |rollouts| {
        rollouts.abort(&third, &me(), "all of it is wrong", Timestamp::now())
    })
    .await?;
    red(bench.outcome(&third, &bench.test).await?);
    green(&bench.outcome(&back, &bench.test).await?);
    let report = load.stop().await;
    report.assert_no_failures();
    let aftermath = bench.aftermath(&third, &report, "three").await?;
    aftermath.assert_left_at_once();
    assert_eq!(bench.answer(&bench.test).await?, "one");
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn who_asks_for_more_replicas_in_the_middle_gets_them_after_it() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(100.0));
    // The canary brings a third replica, too.
    let three = QUARTER.replace("replicas: 2", "replicas: 3");
    let second = bench.deploy("1.1.0", &two, &three).await?;
    is_paused(&bench, &second).await?;
    let five = QUARTER.replace("replicas: 2", "replicas: 5");
    let third = bench.deploy("1.1.0", &two, &five).await?;
    nothing_else_begins(&bench, &["1.0.0", "1.0.0", "1.1.0"]).await?;
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), false, Timestamp::now())
    })
    .await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let before = bench.containers(&bench.test, "replica").await?;
    green(&bench.outcome(&third, &bench.test).await?);
    let after = bench.containers(&bench.test, "replica").await?;
    let stayed = before.iter().filter(|b| after.iter().any(|a| a.id == b.id));
    assert_eq!((stayed.count(), after.len()), (before.len(), 5));
    assert!(before.len() >= 3, "{before:?}");
    load.stop().await.assert_no_failures();
    bench.finish().await
}
