//! Canaries of the same image with another configuration.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use testkit::load::Load;

use crate::bench::{Bench, green, red};
use crate::canary::{QUARTER, ask, is_paused, me};
use crate::needs_all;

/// A web server that answers with a variable.
const GREETS: &str = "printf \"$GREETING\" > /www/index.html; \
                      trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

fn greeting(text: &str) -> String {
    let with = format!("env: {{ GREETING: {text} }}, drain: 2s");
    QUARTER.replace("drain: 2s", &with)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_nothing_but_the_configuration_is_a_canary_and_goes_back_with_it() -> Result<()>
{
    needs_all!();
    let bench = Bench::start().await?;
    let image = bench.image("nothing", GREETS).await?;
    let first = bench.deploy("1.0.0", &image, &greeting("hello")).await?;
    green(&bench.outcome(&first, &bench.test).await?);
    let address = bench.address(&bench.test).await?;
    let load = Load::start(address.clone(), 2, Some(100.0));

    let second = bench.deploy("1.1.0", &image, &greeting("moin")).await?;
    is_paused(&bench, &second).await?;
    tokio::time::sleep(Duration::from_secs(1)).await;
    ask(&bench, |rollouts| {
        rollouts.promote(&second, &me(), false, Timestamp::now())
    })
    .await?;
    green(&bench.outcome(&second, &bench.test).await?);
    let report = load.stop().await;
    report.assert_no_failures();
    assert_eq!(report.by_body.keys().collect::<Vec<_>>(), ["hello", "moin"]);
    assert_eq!(bench.answer(&bench.test).await?, "moin");

    let load = Load::start(address, 2, Some(100.0));
    let third = bench.deploy("1.2.0", &image, &greeting("ahoy")).await?;
    is_paused(&bench, &third).await?;
    tokio::time::sleep(Duration::from_secs(2)).await;
    ask(&bench, |rollouts| {
        rollouts.abort(&third, &me(), "too nautical", Timestamp::now())
    })
    .await?;
    red(bench.outcome(&third, &bench.test).await?);
    tokio::time::sleep(Duration::from_millis(500)).await;
    let report = load.stop().await;
    report.assert_no_failures();
    let aftermath = bench.aftermath(&third, &report, "ahoy").await?;
    aftermath.assert_left_at_once();
    assert_eq!(bench.answer(&bench.test).await?, "moin");
    bench.finish().await
}
