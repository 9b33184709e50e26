//! Rollouts that fail and wait for a person, because their team wants it so.

use anyhow::{Context as _, Result};
use domain::ids::RunId;
use domain::run::Actor;
use jiff::Timestamp;
use testkit::load::Load;

use crate::bench::{Bench, eventually, green, red};
use crate::canary::ask;
use crate::needs_all;
use crate::runs::READY;

fn me() -> Actor {
    Actor("tests".to_owned())
}

/// Waits until the rollout of `run` waits for a person because it failed, and the log says so; says why.
async fn is_held(bench: &Bench, run: &RunId) -> Result<String> {
    let reason = eventually("the rollout is held", async || {
        let rollouts = bench.rollouts(&bench.test).await?;
        let progress = rollouts.progress.filter(|progress| progress.is_held());
        Ok(progress.and_then(|progress| progress.paused))
    })
    .await?;
    eventually("the log says that it is held", async || {
        let log = bench.log(run, &bench.test).await?;
        Ok(log.contains("held: ").then_some(()))
    })
    .await?;
    Ok(reason.reason)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_crashes_is_held_until_a_person_takes_it_back() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let crashing = bench
        .image(
            "two",
            "httpd -p ${PORT:-8080} -h /www; sleep 5; echo out of luck >&2; exit 3",
        )
        .await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let deploy = "{ replicas: 2, ready: { http: /healthz }, drain: 2s, deadline: 20s, \
                  strategy: { canary: { steps: [25%, pause, 100%], on_failure: hold } } }";
    let second = bench.deploy("1.1.0", &crashing, deploy).await?;
    // It waits for a person at its second step already; the crash is another reason.
    eventually("the log says that it is held", async || {
        let log = bench.log(&second, &bench.test).await?;
        Ok(log.contains("held: ").then_some(()))
    })
    .await?;
    let rollouts = bench.rollouts(&bench.test).await?;
    let progress = rollouts.progress.context("it is under way")?;
    assert!(
        progress.abort.is_none() && progress.paused.is_some(),
        "{progress:?}"
    );
    ask(&bench, |rollouts| {
        rollouts.abort(&second, &me(), "it crashes", Timestamp::now())
    })
    .await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    assert!(
        failure.reason.contains("aborted by tests: it crashes"),
        "{failure:?}"
    );
    load.stop().await.assert_no_failures();
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_whose_analysis_fails_is_held_until_a_person_lets_it_go_on() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let deploy = "{ replicas: 2, ready: { http: /healthz }, drain: 2s, deadline: 20s, \
                  strategy: { canary: { steps: [50%, bake 10m, 100%], on_failure: hold, \
                  analysis: { metrics: [{ name: never, pods: {}, fail: result == 0 }] } } } }";
    let second = bench.deploy("1.1.0", &two, deploy).await?;
    let reason = is_held(&bench, &second).await?;
    assert!(
        reason.contains("the analysis of step 2") && reason.contains("failed"),
        "{reason}"
    );
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), true, Timestamp::now())
    })
    .await?;
    green(&bench.outcome(&second, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}
