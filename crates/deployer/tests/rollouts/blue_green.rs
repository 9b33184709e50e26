//! Blue-green: a whole set beside the other, all the traffic at once, and back at once.

use anyhow::Result;
use testkit::load::Load;

use crate::bench::{Bench, eventually, green, red};
use crate::needs_all;
use crate::runs::READY;

fn keeping(time: &str) -> String {
    format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 2s, deadline: 10s, \
         strategy: {{ blue_green: {{ monitor: 1s, keep_old: {time} }} }} }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn the_old_set_is_kept_for_a_while_and_going_back_to_it_starts_nothing() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, &keeping("10m")).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &two, &keeping("10m")).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    assert_eq!(bench.answer(&bench.test).await?, "two");
    let both = bench.containers(&bench.test, "replica").await?;
    assert_eq!(both.len(), 4, "{both:?}");
    let live = bench.live(&bench.test).await?;
    let weights = |version: &str| -> Vec<u32> {
        let of = live[0].replicas.iter().filter(|r| r.version == version);
        of.map(|r| r.weight).collect()
    };
    assert_eq!(weights("1.0.0"), [0, 0]);
    assert!(weights("1.1.0").iter().all(|weight| *weight > 0));

    // An edge that is made anew does not forget who serves.
    let edge = bench.containers(&bench.test, "edge").await?.remove(0);
    let lasting = load.stop().await;
    lasting.assert_no_failures();
    bench.engine.remove(&edge.id).await?;
    eventually("the edge serves again", async || {
        Ok(bench.answer(&bench.test).await.ok())
    })
    .await?;
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(!report.by_body.contains_key("one"), "{:?}", report.by_body);

    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let back = bench
        .roll_back("1.0.0", &one, &keeping("10m"), &first)
        .await?;
    green(&bench.outcome(&back, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "one");
    let after = bench.containers(&bench.test, "replica").await?;
    assert!(
        after.len() == 2
            && after
                .iter()
                .all(|new| both.iter().any(|old| old.id == new.id)),
        "{after:?}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_kept_set_goes_when_its_time_is_over() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &two, &keeping("2s")).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    assert_eq!(bench.versions(&bench.test).await?.len(), 4);
    eventually("the old set is removed", async || {
        Ok((bench.versions(&bench.test).await? == ["1.1.0", "1.1.0"]).then_some(()))
    })
    .await?;
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "two");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_new_set_that_does_not_get_ready_never_gets_a_request() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let one = bench.server("one").await?;
    // It answers, but not its readiness check.
    let bad = bench
        .image(
            "two",
            "rm /www/healthz; echo no check; httpd -f -p ${PORT:-8080} -h /www",
        )
        .await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &bad, &keeping("10m")).await?;
    let failure = red(bench.outcome(&second, &bench.test).await?);
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(!report.by_body.contains_key("two"), "{:?}", report.by_body);
    assert!(
        failure.reason.contains("404") && failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );
    assert!(
        failure.last_lines.iter().any(|line| line == "no check"),
        "{failure:?}"
    );
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

/// Before the switch, something looks at the page of the new set.
fn validating(page: &str) -> String {
    let image = testkit::docker::BUSYBOX;
    let look = format!("wget -qO- http://$SLIPWAY_ADDRESS/ | grep {page}");
    format!(
        "{{ replicas: 2, ready: {{ http: /healthz }}, drain: 2s, deadline: 20s, strategy: {{ blue_green: {{ \
         monitor: 0s, keep_old: 0s, analysis: {{ metrics: [{{ name: page, container: {{ image: '{image}', \
         run: '{look}' }} }}] }} }} }} }}"
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_seen_at_the_preview_address_decides_whether_traffic_is_switched() -> Result<()> {
    needs_all!();
    let bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let bad = bench.deploy("1.1.0", &two, &validating("three")).await?;
    let failure = red(bench.outcome(&bad, &bench.test).await?);
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(!report.by_body.contains_key("two"), "{:?}", report.by_body);
    assert!(
        failure.reason.contains("grep three") && failure.reason.contains("1.0.0 serves as before"),
        "{failure:?}"
    );

    let good = bench.deploy("1.2.0", &two, &validating("two")).await?;
    green(&bench.outcome(&good, &bench.test).await?);
    assert_eq!(bench.answer(&bench.test).await?, "two");
    assert_eq!(bench.versions(&bench.test).await?, ["1.2.0", "1.2.0"]);
    let log = bench.log(&good, &bench.test).await?;
    assert!(
        log.contains("1.2.0 can be looked at: http://shop-preview."),
        "{log}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployer_switches_where_one_was_killed_and_what_was_kept_before_goes() -> Result<()>
{
    needs_all!();
    let mut bench = Bench::start().await?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let three = bench.server("three").await?;
    let first = bench.deploy("1.0.0", &one, READY).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let load = Load::start(bench.address(&bench.test).await?, 2, Some(200.0));
    let second = bench.deploy("1.1.0", &two, &keeping("10m")).await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let third = bench.deploy("1.2.0", &three, &keeping("10m")).await?;
    eventually("a new replica is there", async || {
        let versions = bench.versions(&bench.test).await?;
        Ok(versions.contains(&"1.2.0".to_owned()).then_some(()))
    })
    .await?;
    bench.kill_deployer().await?;
    bench.start_deployer()?;
    green(&bench.finally(&third, &bench.test).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "three");
    let mut versions = bench.versions(&bench.test).await?;
    versions.sort();
    assert_eq!(versions, ["1.1.0", "1.1.0", "1.2.0", "1.2.0"]);
    bench.finish().await
}
