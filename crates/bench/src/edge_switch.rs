//! Switching all traffic from one version to another at the edge, under load.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use edge::load::Load;
use edge::server::{Edge, Options};
use edge::table::{Backend, FILE_NAME, Readiness, Table};
use http_body_util::{BodyExt as _, Empty, Full};
use hyper::body::Bytes;
use hyper::service::service_fn;
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::net::TcpListener;
use tokio::task::JoinSet;

use crate::report::{Report, ms, quantile};

/// Requests a second that the goal speaks of, and lower ones for machines that can't make so many.
const RATES: [u32; 3] = [5_000, 2_500, 1_000];
const LASTING: Duration = Duration::from_secs(8);
const SWITCHES: u64 = 20;

pub(crate) async fn measure() -> Result<Report> {
    let mut report = Report::new("Switch from one version to another at the edge, under load");
    report.fact(
        "beside the edge, on the same cores",
        "the load and both versions",
    );
    for rate in RATES {
        let (mut switches, load) = under(rate).await?;
        let reached = load.achieved_rate / f64::from(rate);
        let worst = quantile(&mut switches, 1.0);
        report.goal(
            &format!("{SWITCHES} switches at {rate} requests/s, the slowest"),
            format!(
                "{}, {} of {} requests failed ({:.0} % of the rate reached, p99 {} ms)",
                ms(worst),
                load.failed,
                load.requests,
                reached * 100.0,
                load.p99_us / 1000
            ),
            "≤ 50 ms, none failed",
            worst <= Duration::from_millis(50) && load.failed == 0,
        );
        if let Some(error) = load.first_error {
            report.fact("first failure", error);
        }
        if reached > 0.95 {
            break;
        }
    }
    Ok(report)
}

async fn under(rate: u32) -> Result<(Vec<Duration>, edge::load::Measured)> {
    let mut versions = JoinSet::new();
    let backends = [
        version(&mut versions, "blue").await?,
        version(&mut versions, "green").await?,
    ];
    let state = tempfile::tempdir()?;
    write(state.path(), &backends, 1)?;
    let edge = Edge::start(Options {
        state: state.path().to_owned(),
        bind: [127, 0, 0, 1].into(),
        listen: vec![0],
        head_timeout: Duration::from_secs(10),
    })
    .await?;
    let address = edge.status().listening;
    let address = address.first().context("the edge listens nowhere")?;
    let url = format!("http://{address}/");
    until_ready(&edge).await?;
    let load = Load::new(&url, rate, LASTING);
    let (load, switches) = tokio::join!(load.run(), switch(&edge, state.path(), &backends, &url));
    edge.stop().await;
    Ok((switches?, load?))
}

/// Switches to and fro, and measures from the new table's being written until a new request gets the new version.
async fn switch(
    edge: &Edge,
    state: &Path,
    backends: &[Backend; 2],
    url: &str,
) -> Result<Vec<Duration>> {
    let pause = LASTING / u32::try_from(SWITCHES + 1)?;
    let mut samples = Vec::new();
    for generation in 2..2 + SWITCHES {
        tokio::time::sleep(pause).await;
        let began = Instant::now();
        write(state, backends, generation)?;
        edge.reload().await;
        let expected = if generation % 2 == 1 { "blue" } else { "green" };
        let seen = get(url).await?;
        samples.push(began.elapsed());
        ensure!(
            seen == expected,
            "{seen} answered after a switch to {expected}"
        );
    }
    Ok(samples)
}

/// Writes the table of a generation; the odd ones give all traffic to the first backend.
fn write(state: &Path, backends: &[Backend; 2], generation: u64) -> Result<()> {
    let mut backends = backends.clone();
    backends[0].weight = u32::from(generation % 2 == 1);
    backends[1].weight = u32::from(generation.is_multiple_of(2));
    let table = Table::new(generation, backends.into());
    let unfinished = state.join("table.new");
    std::fs::write(&unfinished, serde_json::to_vec(&table)?)?;
    Ok(std::fs::rename(unfinished, state.join(FILE_NAME))?)
}

async fn until_ready(edge: &Edge) -> Result<()> {
    let deadline = Instant::now() + Duration::from_secs(10);
    while !edge.status().backends.iter().all(|backend| backend.ready) {
        ensure!(
            Instant::now() < deadline,
            "the edge does not find its backends ready"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Ok(())
}

async fn get(url: &str) -> Result<String> {
    let client = Client::builder(TokioExecutor::new()).build_http::<Empty<Bytes>>();
    let body = client.get(url.parse()?).await?.into_body();
    Ok(String::from_utf8_lossy(&body.collect().await?.to_bytes()).into_owned())
}

/// A server that answers with its version.
async fn version(tasks: &mut JoinSet<()>, name: &'static str) -> Result<Backend> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    let address = listener.local_addr()?;
    tasks.spawn(serve(listener, name));
    Ok(backend(name, address))
}

fn backend(name: &str, address: SocketAddr) -> Backend {
    Backend {
        name: name.to_owned(),
        address: address.to_string(),
        weight: 1,
        version: name.to_owned(),
        ready: Readiness::Tcp(true),
    }
}

async fn serve(listener: TcpListener, name: &'static str) {
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        // A connection that breaks is the load's to report.
        while connections.try_join_next().is_some() {}
        connections.spawn(hyper::server::conn::http1::Builder::new().serve_connection(
            TokioIo::new(stream),
            service_fn(async |_| {
                Ok::<_, Infallible>(hyper::Response::new(Full::new(Bytes::from_static(
                    name.as_bytes(),
                ))))
            }),
        ));
    }
}
