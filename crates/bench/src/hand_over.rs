//! From one stage's end to the next one's start, while 1,000 runs are under way.

use std::time::Duration;

use anyhow::Result;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tokio_util::sync::CancellationToken;

use crate::nats::{Server, Sync};
use crate::noop::{self, Idle, Maker};
use crate::report::{Report, median, ms, quantile, ratio};

const RUNS: usize = 1_000;
/// Long enough that 1,000 runs leave the disk half idle.
const STAGE: (Duration, Duration) = (Duration::from_secs(16), Duration::from_secs(24));
/// Until the stages of the runs, which begin together, have spread.
const WARM_UP: Duration = Duration::from_secs(25);
const MEASURING: Duration = Duration::from_secs(30);

pub(crate) async fn measure() -> Result<Report> {
    let server = Server::start(Sync::Always).await?;
    let publish = server.append_latency().await?;
    let stop = CancellationToken::new();
    let idle = Idle::new(STAGE.0, STAGE.1);
    let mut workers = noop::start(&server.bus, &idle, RUNS, &stop);
    let maker = Maker::new(&server.bus);
    stream::iter(0..RUNS)
        .map(|_| maker.begin())
        .buffer_unordered(16)
        .try_collect::<Vec<_>>()
        .await?;
    tokio::time::sleep(WARM_UP).await;
    idle.journal().is_recording = true;
    let before = server.bus.events().last_sequence().await?;
    tokio::time::sleep(MEASURING).await;
    let appends = server.bus.events().last_sequence().await? - before;
    let mut samples = std::mem::take(&mut idle.journal().hand_overs);
    // The runs go with their server; their workers need not give back what they hold.
    workers.shutdown().await;

    let (p50, p99) = (median(&mut samples), quantile(&mut samples, 0.99));
    let mut report = Report::new("Hand-over from one stage's end to the next one's start");
    report.fact("one synced append to an idle server, p50", ms(publish));
    report.fact(
        "measured",
        format!(
            "{} hand-overs of {RUNS} runs under way, {:.0} appends/s",
            samples.len(),
            appends as f64 / MEASURING.as_secs_f64()
        ),
    );
    report.goal(
        "p50",
        format!("{}, {:.1} × one append", ms(p50), ratio(p50, publish)),
        "≤ 3 ×",
        p50 <= publish * 3,
    );
    report.goal("p99", ms(p99), "≤ 10 ms", p99 <= Duration::from_millis(10));
    Ok(report)
}
