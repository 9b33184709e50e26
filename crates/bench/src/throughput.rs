//! Whole runs of ten stages that do nothing, per second: what coordination costs.

use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::nats::{Server, Sync};
use crate::noop::{self, Idle, Maker};
use crate::report::Report;

/// Stages of each service, and appends, under way at a time.
const CONCURRENCY: usize = 64;

pub(crate) async fn measure() -> Result<Report> {
    let mut report = Report::new("Durable runs of ten stages that do nothing");
    let durable = runs(Sync::Always, 300).await?;
    let possible = durable.acknowledged / durable.appends;
    report.fact(
        "synced appends that this NATS acknowledges",
        format!("{:.0}/s", durable.acknowledged),
    );
    report.goal(
        "appends of a run",
        format!("{:.1}", durable.appends),
        "≤ 20",
        durable.appends <= 20.0,
    );
    report.goal(
        "runs",
        format!(
            "{:.1}/s, {:.0} % of the {possible:.1}/s that these appends allow",
            durable.rate,
            100.0 * durable.rate / possible
        ),
        "≥ 50 %",
        durable.rate >= possible / 2.0,
    );
    let quick = runs(Sync::Later, 1_000).await?;
    report.goal(
        "runs without an fsync for each message",
        format!(
            "{:.0}/s (this NATS acknowledges {:.0} appends/s)",
            quick.rate, quick.acknowledged
        ),
        "≥ 200/s",
        quick.rate >= 200.0,
    );
    Ok(report)
}

struct Measured {
    acknowledged: f64,
    rate: f64,
    appends: f64,
}

async fn runs(sync: Sync, count: usize) -> Result<Measured> {
    let server = Server::start(sync).await?;
    let acknowledged = server.append_rate(CONCURRENCY).await?;
    let before = server.bus.events().last_sequence().await?;
    let stop = CancellationToken::new();
    let idle = Idle::new(Duration::ZERO, Duration::ZERO);
    let mut workers = noop::start(&server.bus, &idle, CONCURRENCY, &stop);
    let maker = Maker::new(&server.bus);
    let began = Instant::now();
    let ids = stream::iter(0..count)
        .map(|_| maker.begin())
        .buffer_unordered(CONCURRENCY)
        .try_collect::<Vec<_>>()
        .await?;
    maker.wait(&ids).await?;
    let elapsed = began.elapsed();
    let appended = server.bus.events().last_sequence().await? - before;
    stop.cancel();
    while let Some(ended) = workers.join_next().await {
        ended??;
    }
    Ok(Measured {
        acknowledged,
        rate: count as f64 / elapsed.as_secs_f64(),
        appends: appended as f64 / count as f64,
    })
}
