//! Canaries that some requests reach whatever the share is, and clients that stay with a version.

use anyhow::Result;
use domain::run::Actor;
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use testkit::load::{Load, LoadHandle};

use crate::bench::{Bench, eventually, green, red};
use crate::canary::{ask, is_paused};
use crate::needs_all;
use crate::runs::READY;

fn me() -> Actor {
    Actor("tests".to_owned())
}

/// A canary that waits for a person at 0 % and at 25 %; clients stay where they are.
fn deploy(testers: &str) -> String {
    format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 2s, deadline: 20s, strategy: {{ canary: \
         {{ steps: [0%, pause, 25%, pause, 50%, pause, 100%], testers: {{ {testers} }}, sticky: shop-version }} }} }}"
    )
}

/// Requests that carry `header`.
fn with(address: &str, name: &'static str, value: &'static str) -> LoadHandle {
    let headers = HeaderMap::from_iter([(
        HeaderName::from_static(name),
        HeaderValue::from_static(value),
    )]);
    Load {
        headers,
        ..Load::new(address, 2, Some(100.0))
    }
    .run()
}

/// Eight clients that keep cookies.
fn clients(address: &str) -> LoadHandle {
    Load {
        keeps_cookies: true,
        ..Load::new(address, 8, Some(100.0))
    }
    .run()
}

/// Lets a load go on until each of its connections must have had many answers.
async fn for_a_while() {
    tokio::time::sleep(std::time::Duration::from_secs(2)).await;
}

/// How many clients went from version to version in this way.
fn went(journeys: &[Vec<String>], way: &[&str]) -> usize {
    journeys.iter().filter(|journey| *journey == way).count()
}

#[tokio::test(flavor = "multi_thread")]
async fn testers_reach_a_canary_that_has_no_share_and_nobody_stays_with_one_that_is_taken_back()
-> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let address = bench.address(&bench.test).await?;
    let anybody = Load::start(address.clone(), 2, Some(100.0));
    let run = bench
        .deploy("1.1.0", &two, &deploy("header: X-Canary=always"))
        .await?;
    is_paused(&bench, &run).await?;
    let tester = with(&address, "x-canary", "always");
    let other = with(&address, "x-canary", "never");
    for_a_while().await;
    for (load, body) in [(tester, "two"), (other, "one"), (anybody, "one")] {
        let report = load.stop().await;
        report.assert_no_failures();
        assert_eq!(report.by_body.keys().collect::<Vec<_>>(), [body]);
    }

    let promote = |rollouts: &domain::rollout::Rollouts| {
        rollouts.promote(&run, &me(), false, Timestamp::now())
    };
    ask(&bench, promote).await?;
    eventually("a quarter goes to the canary", async || {
        let log = bench.log(&run, &bench.test).await?;
        Ok(log.contains("25% of the new clients").then_some(()))
    })
    .await?;
    is_paused(&bench, &run).await?;
    let (tester, clients) = (with(&address, "x-canary", "always"), clients(&address));
    for_a_while().await;
    ask(&bench, |rollouts| {
        rollouts.abort(&run, &me(), "the colour is wrong", Timestamp::now())
    })
    .await?;
    red(bench.outcome(&run, &bench.test).await?);
    for_a_while().await;
    let tester = tester.stop().await;
    tester.assert_no_failures();
    assert_eq!(went(&tester.journeys, &["two", "one"]), 2);
    let clients = clients.stop().await;
    clients.assert_no_failures();
    let (stayed, moved) = (
        went(&clients.journeys, &["one"]),
        went(&clients.journeys, &["two", "one"]),
    );
    assert_eq!((stayed, moved), (6, 2), "{:?}", clients.journeys);
    let log = bench.log(&run, &bench.test).await?;
    assert!(
        log.contains("requests with the header X-Canary=always go to 1.1.0"),
        "{log}"
    );
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn clients_stay_with_their_version_from_step_to_step_until_the_old_one_goes() -> Result<()> {
    needs_all!();
    let mut bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let address = bench.address(&bench.test).await?;
    let run = bench
        .deploy("1.1.0", &two, &deploy("cookie: canary=always"))
        .await?;
    is_paused(&bench, &run).await?;
    let tester = with(&address, "cookie", "canary=always");
    let promote = async || {
        ask(&bench, |rollouts| {
            rollouts.promote(&run, &me(), false, Timestamp::now())
        })
        .await
    };
    let share_is = async |share: &str| {
        let line = format!("{share} of the new clients, who stay there, go to 1.1.0");
        eventually("the share is there", async || {
            let log = bench.log(&run, &bench.test).await?;
            Ok(log.contains(&line).then_some(()))
        })
        .await?;
        is_paused(&bench, &run).await
    };
    promote().await?;
    share_is("25%").await?;
    let old_clients = clients(&address);
    for_a_while().await;
    promote().await?;
    share_is("50%").await?;
    // The others have their places: these are split by the new share alone.
    let new_clients = clients(&address);
    for_a_while().await;
    bench.kill_deployer().await?;
    ask(&bench, |rollouts| {
        rollouts.promote(&run, &me(), false, Timestamp::now())
    })
    .await?;
    bench.start_deployer()?;
    green(&bench.finally(&run, &bench.test).await?);
    for_a_while().await;
    for (clients, new) in [(old_clients, 2), (new_clients, 4)] {
        let report = clients.stop().await;
        report.assert_no_failures();
        let (stayed, moved) = (
            went(&report.journeys, &["two"]),
            went(&report.journeys, &["one", "two"]),
        );
        assert_eq!((stayed, moved), (new, 8 - new), "{:?}", report.journeys);
    }
    let tester = tester.stop().await;
    tester.assert_no_failures();
    assert_eq!(tester.by_body.keys().collect::<Vec<_>>(), ["two"]);
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}
