//! Commit order: nothing overtakes, and nothing that was overtaken comes back by itself.

use anyhow::Result;
use domain::run::Kind;
use domain::stage::{Outcome, StageName};

use crate::bench::{Bench, green};
use crate::needs_all;
use crate::runs::{READY, Wish};

#[tokio::test(flavor = "multi_thread")]
async fn the_newer_run_waits_for_the_older_one() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let wish = Wish {
        version: "1.0.0",
        digest: &one,
        deploy: READY,
        kind: Kind::Change,
    };
    let older = bench.plan(&wish).await?;
    let newer = bench.deploy("1.1.0", &two, READY).await?;
    // Long enough for a deployer that does not wait to begin.
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
    assert_eq!(bench.containers(&bench.test, "replica").await?, []);
    bench
        .pass_until(&older, &wish, &StageName::Deploy(bench.test.clone()))
        .await?;
    green(&bench.outcome(&older, &bench.test).await?);
    green(&bench.outcome(&newer, &bench.test).await?);
    let rollouts = bench.rollouts(&bench.test).await?;
    let order: Vec<_> = rollouts
        .history
        .iter()
        .map(|placed| &placed.placement.run)
        .collect();
    assert_eq!(order, [&older, &newer]);
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_run_that_was_overtaken_while_it_was_cancelled_ends_by_itself() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let wish = Wish {
        version: "1.0.0",
        digest: &one,
        deploy: READY,
        kind: Kind::Change,
    };
    let older = bench.plan(&wish).await?;
    bench.cancel(&older).await?;
    let newer = bench.deploy("1.1.0", &two, READY).await?;
    green(&bench.outcome(&newer, &bench.test).await?);
    let retried = domain::run::Event::Retried {
        by: domain::run::Actor("tests".to_owned()),
        at: jiff::Timestamp::now(),
    };
    bench.append(&older, retried).await?;
    bench
        .pass_until(&older, &wish, &StageName::Deploy(bench.test.clone()))
        .await?;
    let outcome = bench.outcome(&older, &bench.test).await?;
    assert!(
        matches!(&outcome, Outcome::Cancelled { reason } if reason.contains("1.1.0")),
        "{outcome:?}"
    );
    assert_eq!(bench.answer(&bench.test).await?, "two");
    bench.finish().await
}
