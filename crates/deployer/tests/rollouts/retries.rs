//! Canaries that failed, and begin again.

use anyhow::Result;
use domain::run::Event;
use jiff::Timestamp;
use testkit::load::Load;

use crate::bench::{Bench, eventually, green, red};
use crate::canary::{QUARTER, ask, is_paused, me};
use crate::needs_all;
use crate::runs::READY;

#[tokio::test(flavor = "multi_thread")]
async fn a_run_whose_canary_was_taken_back_brings_it_again_when_it_is_retried() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    is_paused(&bench, &second).await?;
    ask(&bench, |rollouts| {
        rollouts.abort(&second, &me(), "not today", Timestamp::now())
    })
    .await?;
    red(bench.outcome(&second, &bench.test).await?);
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);

    let (by, at) = (me(), Timestamp::now());
    bench.append(&second, Event::Retried { by, at }).await?;
    is_paused(&bench, &second).await?;
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), false, Timestamp::now())
    })
    .await?;
    green(&bench.finally(&second, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "two");
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_held_begins_again_once_what_it_missed_is_there() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    let needy = bench
        .image(
            "two",
            "wget -q -O /dev/null http://shop:8080/flag || { echo no flag >&2; exit 3; }; touch /www/flag; \
             trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait",
        )
        .await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(100.0));
    let held = QUARTER.replace("steps:", "on_failure: hold, steps:");
    let second = bench.deploy("1.1.0", &needy, &held).await?;
    eventually("the rollout is held", async || {
        let rollouts = bench.rollouts(&bench.test).await?;
        let is_held = rollouts.progress.is_some_and(|progress| progress.is_held());
        Ok(is_held.then_some(()))
    })
    .await?;
    for replica in bench.containers(&bench.test, "replica").await? {
        let is_old = replica.labels.values().any(|value| value == "1.0.0");
        if is_old {
            let hoist = engine::ExecSpec::new(["touch", "/www/flag"]);
            assert_eq!(bench.engine.exec(&replica.id, hoist).await?.code, 0);
        }
    }
    ask(&bench, |rollouts| {
        rollouts.retry(&second, &me(), Timestamp::now())
    })
    .await?;
    eventually("a quarter goes to it", async || {
        let log = bench.log(&second, &bench.test).await?;
        Ok(log
            .contains("25% of the traffic goes to 1.1.0")
            .then_some(()))
    })
    .await?;
    is_paused(&bench, &second).await?;
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), false, Timestamp::now())
    })
    .await?;
    green(&bench.outcome(&second, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "two");
    bench.finish().await
}
