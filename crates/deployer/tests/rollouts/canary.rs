//! Canaries: a share of the requests first, and back when something is wrong.

use std::time::Duration;

use anyhow::Result;
use domain::ids::RunId;
use domain::rollout::Rollouts;
use domain::run::Actor;
use domain::stage::Outcome;
use jiff::Timestamp;
use testkit::load::Load;

use crate::bench::{Bench, SERVICE, eventually, green, red};
use crate::needs_all;
use crate::runs::READY;

/// A quarter of the requests until a person lets it go on.
pub(crate) const QUARTER: &str = "{ replicas: 2, ready: { http: /healthz }, drain: 2s, deadline: 20s, \
                       strategy: { canary: { steps: [25%, pause, 100%] } } }";

pub(crate) fn me() -> Actor {
    Actor("tests".to_owned())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_lets_a_rolling_update_wait_and_takes_it_back() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, mute) = (
        bench.server("one").await?,
        bench.image("mute", "sleep 1000").await?,
    );
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let patient = READY.replace("deadline: 20s", "deadline: 2m");
    let second = bench.deploy("1.1.0", &mute, &patient).await?;
    eventually("a new replica is there", async || {
        let versions = bench.versions(&bench.test).await?;
        Ok(versions.contains(&"1.1.0".to_owned()).then_some(()))
    })
    .await?;
    ask(&bench, |rollouts| {
        rollouts.pause(&second, &me(), "lunch", Timestamp::now())
    })
    .await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ask(&bench, |rollouts| {
        rollouts.abort(&second, &me(), "the colour is wrong", Timestamp::now())
    })
    .await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    assert!(
        failure
            .reason
            .contains("the colour is wrong; 1.0.0 serves as before"),
        "{failure:?}"
    );
    let log = bench.log(&second, &bench.test).await?;
    assert!(log.contains("paused: lunch"), "{log}");
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

/// Waits until the rollout of `run` waits for a person.
pub(crate) async fn is_paused(bench: &Bench, run: &RunId) -> Result<()> {
    eventually("the rollout is paused", async || {
        let rollouts = bench.rollouts(&bench.test).await?;
        let is_ours = rollouts.active.as_ref().is_some_and(|a| a.run == *run);
        let paused = rollouts.progress.and_then(|progress| progress.paused);
        Ok(paused.filter(|_| is_ours).map(drop))
    })
    .await
}

/// Asks for something as a person does.
pub(crate) async fn ask(
    bench: &Bench,
    what: impl Fn(&Rollouts) -> Result<domain::rollout::Event, domain::run::Refusal>,
) -> Result<()> {
    let key = (bench.test.clone(), SERVICE.parse()?);
    let asked = bench.rollouts.update(&key, |rollouts| {
        what(rollouts.unwrap_or(&Rollouts::default()))
            .map(Some)
            .map_err(|refusal| std::io::Error::other(refusal.why))
    });
    asked.await?;
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_its_share_until_a_person_lets_it_go_on() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let address = bench.address(&bench.test).await?;
    let before = Load::start(address.clone(), 2, Some(200.0));

    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    is_paused(&bench, &second).await?;
    assert_eq!(
        bench.versions(&bench.test).await?.len(),
        3,
        "one canary beside two"
    );
    before.stop().await.assert_no_failures();
    // One load alone: of two, one may get the canary's turns by the beat of the other.
    let share = Load::start(address.clone(), 2, Some(200.0));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let share = share.stop().await;
    share.assert_no_failures();
    let of_two = share.by_body["two"] as f64 / share.total as f64;
    assert!((0.22..0.28).contains(&of_two), "{:?}", share.by_body);

    let after = Load::start(address, 2, Some(200.0));
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), false, Timestamp::now())
    })
    .await?;
    green(&bench.outcome(&second, &bench.test).await?);
    after.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "two");
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    let log = bench.log(&second, &bench.test).await?;
    assert!(
        log.contains("25% of the traffic goes to 1.1.0") && log.contains("waits for a person"),
        "{log}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_crashes_is_taken_back_while_the_version_before_serves() -> Result<()> {
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
    let second = bench.deploy("1.1.0", &crashing, QUARTER).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let report = load.stop().await;
    report.assert_no_failures();
    let aftermath = bench.aftermath(&second, &report, "two").await?;
    aftermath.assert_left_at_once();
    assert!(
        failure.reason.contains("ended") && failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    assert!(
        failure.last_lines.iter().any(|line| line == "out of luck"),
        "{failure:?}"
    );
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    let rollouts = bench.rollouts(&bench.test).await?;
    let (out, reason) = rollouts.last_rolled_back.expect("it was taken back");
    assert_eq!((out.run, reason), (second, failure.reason));
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_person_takes_a_canary_back() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    is_paused(&bench, &second).await?;
    ask(&bench, |rollouts| {
        rollouts.abort(&second, &me(), "the colour is wrong", Timestamp::now())
    })
    .await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    assert!(
        failure.reason.contains("the colour is wrong"),
        "{failure:?}"
    );
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "one");

    // What is cancelled goes back, too.
    let third = bench.deploy("1.2.0", &two, QUARTER).await?;
    is_paused(&bench, &third).await?;
    bench.cancel(&third).await?;
    let outcome = bench.outcome(&third, &bench.test).await?;
    assert!(matches!(outcome, Outcome::Cancelled { .. }), "{outcome:?}");
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployer_goes_on_with_a_canary_where_one_was_killed() -> Result<()> {
    needs_all!();
    let mut bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    is_paused(&bench, &second).await?;
    bench.kill_deployer().await?;
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), false, Timestamp::now())
    })
    .await?;
    let before = bench.containers(&bench.test, "replica").await?;
    bench.start_deployer()?;
    green(&bench.finally(&second, &bench.test).await?);
    load.stop().await.assert_no_failures();
    let after = bench.containers(&bench.test, "replica").await?;
    let stayed = after.iter().filter(|c| before.iter().any(|b| b.id == c.id));
    assert_eq!((after.len(), stayed.count()), (2, 1), "the canary stays");
    assert_eq!(bench.answer(&bench.test).await?, "two");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_that_is_lost_in_the_middle_comes_back_with_the_share_that_it_split() -> Result<()>
{
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    is_paused(&bench, &second).await?;
    let edge = bench.containers(&bench.test, "edge").await?.remove(0);
    bench.engine.remove(&edge.id).await?;
    let of_two = async || -> Result<Option<f64>> {
        let live = bench.live(&bench.test).await?;
        let weight = |r: &proto::deployer::v1::Replica| f64::from(r.weight);
        let all: f64 = live[0].replicas.iter().map(weight).sum();
        let canary = live[0].replicas.iter().filter(|r| r.version == "1.1.0");
        let share = canary.map(weight).sum::<f64>() / all;
        Ok((all > 0.0 && share > 0.0).then_some(share))
    };
    let share = eventually("the canary gets requests again", of_two).await?;
    assert!((0.24..0.26).contains(&share), "{share}");
    is_paused(&bench, &second).await?;

    // All the rest of the steps at once.
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), true, Timestamp::now())
    })
    .await?;
    green(&bench.outcome(&second, &bench.test).await?);
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}
