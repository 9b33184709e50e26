//! Rollouts that don't succeed, and leave the environment as it was.

use anyhow::Result;
use domain::stage::Outcome;
use testkit::load::Load;

use crate::bench::{Bench, eventually, green, red};
use crate::needs_all;
use crate::runs::READY;

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_ends_is_taken_back_and_its_last_lines_are_kept() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let broken = bench
        .image("broken", "echo no database >&2; exit 3")
        .await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);

    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &broken, READY).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert!(
        failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    assert!(
        failure
            .last_lines
            .iter()
            .any(|line| line.contains("no database")),
        "{failure:?}"
    );
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    let rollouts = bench.rollouts(&bench.test).await?;
    assert!(rollouts.active.is_none());
    assert_eq!(
        rollouts.current().map(|placed| &placed.placement.run),
        Some(&first)
    );
    assert_eq!(
        rollouts
            .last_rolled_back
            .map(|(placement, _)| placement.run),
        Some(second)
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_version_that_never_gets_ready_is_taken_back_after_its_deadline() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, mute) = (
        bench.server("one").await?,
        bench.image("mute", "echo waiting; sleep 1000").await?,
    );
    let impatient = "{ ready: { http: /healthz }, deadline: 3s }";
    let first = bench.deploy("1.0.0", &one, impatient).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let second = bench.deploy("1.1.0", &mute, impatient).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    assert!(
        failure.reason.contains("did not become ready within 3 s: "),
        "{failure:?}"
    );
    assert!(
        failure.last_lines.iter().any(|line| line == "waiting"),
        "{failure:?}"
    );
    assert_eq!(bench.answer(&bench.test).await?, "one");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_version_that_fails_leaves_nothing() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let broken = bench.image("broken", "exit 3").await?;
    let run = bench.deploy("1.0.0", &broken, READY).await?;
    let failure = red(bench.outcome(&run, &bench.test).await?);
    assert!(failure.reason.contains("removed again"), "{failure:?}");
    for role in ["replica", "edge"] {
        assert_eq!(bench.containers(&bench.test, role).await?, []);
    }
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_rollout_goes_back() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
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
    bench.cancel(&second).await?;
    let outcome = bench.outcome(&second, &bench.test).await?;
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    assert_eq!(bench.answer(&bench.test).await?, "one");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn production_takes_releases_only() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let stranger = bench.bring("1.0.0", &one, READY, &bench.production).await?;
    let failure = red(bench.outcome(&stranger, &bench.production).await?);
    assert!(
        failure.reason.contains("takes only releases"),
        "{failure:?}"
    );
    assert_eq!(bench.containers(&bench.production, "replica").await?, []);
    bench.release("1.0.0", &one).await?;
    let release = bench.bring("1.0.0", &one, READY, &bench.production).await?;
    green(&bench.outcome(&release, &bench.production).await?);
    let placed = bench.rollouts(&bench.production).await?;
    let placed = placed.current().expect("it is deployed");
    assert!(
        placed.placement.repository.contains("/releases/"),
        "{placed:?}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_without_the_image_is_a_clear_failure() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let nowhere = format!("sha256:{}", "0".repeat(64)).parse()?;
    let run = bench.deploy("1.0.0", &nowhere, READY).await?;
    let failure = red(bench.outcome(&run, &bench.test).await?);
    assert!(failure.reason.contains("sha256:0000"), "{failure:?}");
    let rollouts = bench.rollouts(&bench.test).await?;
    assert!(rollouts.active.is_none() && rollouts.current().is_none());
    let (_, reason) = rollouts.last_rolled_back.expect("it was taken back");
    assert_eq!(reason, failure.reason);
    bench.finish().await
}
