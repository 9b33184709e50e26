//! Canaries that are being taken back, and are kept from going by a request that lasts.

use anyhow::{Context as _, Result};
use domain::ids::RunId;
use domain::stage::Outcome;
use jiff::Timestamp;
use testkit::load::{Load, LoadHandle};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::task::JoinSet;

use crate::bench::{Bench, eventually, green};
use crate::canary::{ask, is_paused, me};
use crate::needs_all;
use crate::runs::READY;

/// A quarter of the requests until a person lets it go on; a request may last.
const DEPLOY: &str = "{ replicas: 2, ready: { http: /healthz }, drain: 40s, deadline: 20s, \
                      strategy: { canary: { steps: [25%, pause, 100%], testers: { header: x-canary=always } } } }";

/// A web server with one page that takes its time.
const SERVER: &str = "mkdir /www/cgi-bin; \
    printf '#!/bin/sh\\nsleep 15; echo; printf late\\n' > /www/cgi-bin/slow; chmod +x /www/cgi-bin/slow; \
    trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

/// Asks the canary for that page, and returns all that comes.
async fn page_that_takes_its_time(address: String) -> Result<String> {
    let host = address.trim_start_matches("http://");
    let mut stream = TcpStream::connect(host).await?;
    let request = format!(
        "GET /cgi-bin/slow HTTP/1.1\r\nhost: {host}\r\nx-canary: always\r\nconnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await?;
    Ok(answer)
}

/// A canary at a quarter, with a load, and with a request that lasts and has come to it.
struct Lasting {
    bench: Bench,
    run: RunId,
    load: LoadHandle,
    slow: JoinSet<Result<String>>,
}

impl Lasting {
    async fn start() -> Result<Self> {
        let bench = Bench::start().await?;
        let one = bench.server("one").await?;
        let two = bench.image("two", SERVER).await?;
        let first = bench.deploy("1.0.0", &one, READY).await?;
        green(&bench.outcome(&first, &bench.test).await?);
        let address = bench.address(&bench.test).await?;
        let load = Load::start(address.clone(), 2, Some(100.0));
        let run = bench.deploy("1.1.0", &two, DEPLOY).await?;
        is_paused(&bench, &run).await?;
        let mut slow = JoinSet::new();
        slow.spawn(page_that_takes_its_time(address));
        tokio::time::sleep(std::time::Duration::from_secs(2)).await;
        ask(&bench, |rollouts| {
            rollouts.abort(&run, &me(), "the colour is wrong", Timestamp::now())
        })
        .await?;
        eventually("the canary has lost its share", async || {
            let live = bench.live(&bench.test).await?;
            let mut canaries = live[0].replicas.iter().filter(|r| r.version == "1.1.0");
            Ok(canaries.all(|r| r.weight == 0).then_some(()))
        })
        .await?;
        Ok(Self {
            bench,
            run,
            load,
            slow,
        })
    }

    /// Whether it is still being taken back.
    async fn is_going_back(&self) -> Result<bool> {
        let rollouts = self.bench.rollouts(&self.bench.test).await?;
        let progress = rollouts.progress.filter(|_| rollouts.active.is_some());
        Ok(progress.is_some_and(|progress| progress.abort.is_some()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployer_finishes_the_way_back_of_a_killed_one() -> Result<()> {
    needs_all!();
    let mut lasting = Lasting::start().await?;
    lasting.bench.kill_deployer().await?;
    assert!(lasting.is_going_back().await?);
    lasting.bench.start_deployer()?;
    let Lasting {
        bench,
        run,
        load,
        mut slow,
    } = lasting;
    let outcome = bench.finally(&run, &bench.test).await?;
    assert!(
        matches!(&outcome, Outcome::Failed(failure) if failure.reason.contains("the colour is wrong")),
        "{outcome:?}"
    );
    let page = slow.join_next().await.context("it was asked for")???;
    assert!(page.contains("late"), "{page}");
    let report = load.stop().await;
    report.assert_no_failures();
    let aftermath = bench.aftermath(&run, &report, "two").await?;
    aftermath.assert_left_at_once();
    assert_eq!(bench.versions(&bench.test).await?, ["1.0.0", "1.0.0"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_is_being_taken_back_begins_again_when_a_person_wants_it() -> Result<()> {
    needs_all!();
    let lasting = Lasting::start().await?;
    assert!(lasting.is_going_back().await?);
    let Lasting {
        bench,
        run,
        load,
        mut slow,
    } = lasting;
    ask(&bench, |rollouts| {
        rollouts.retry(&run, &me(), Timestamp::now())
    })
    .await?;
    is_paused(&bench, &run).await?;
    ask(&bench, |rollouts| {
        rollouts.promote(&run, &me(), false, Timestamp::now())
    })
    .await?;
    green(&bench.outcome(&run, &bench.test).await?);
    let page = slow.join_next().await.context("it was asked for")???;
    assert!(page.contains("late"), "{page}");
    load.stop().await.assert_no_failures();
    assert_eq!(bench.answer(&bench.test).await?, "two");
    assert_eq!(bench.versions(&bench.test).await?, ["1.1.0", "1.1.0"]);
    bench.finish().await
}
