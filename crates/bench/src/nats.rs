//! A real NATS server, with or without an fsync for each message, and how fast it acknowledges.

use std::net::TcpListener;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use bus::{Bus, BusConfig, EventSubject};
use bytes::Bytes;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use tempfile::TempDir;
use tokio::process::{Child, Command};

use crate::report::median;

/// About what an event of a run has.
const EVENT_BYTES: usize = 200;

/// When a message is on the disk.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sync {
    /// Before it is acknowledged.
    Always,
    /// Some time later: a power failure loses acknowledged messages.
    Later,
}

/// A server, killed and removed when it is dropped.
pub(crate) struct Server {
    _child: Child,
    _directory: TempDir,
    pub bus: Bus,
}

impl Server {
    pub(crate) async fn start(sync: Sync) -> Result<Self> {
        let directory = tempfile::tempdir()?;
        let port = TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port();
        let interval = match sync {
            Sync::Always => "always",
            Sync::Later => "2m",
        };
        let configuration = directory.path().join("nats.conf");
        std::fs::write(
            &configuration,
            format!(
                "listen: \"127.0.0.1:{port}\"\nmax_payload: 4MB\n\
                 jetstream {{ store_dir: {:?}, sync_interval: {interval}, max_mem: 512MB, max_file: 8GB }}\n",
                directory.path().join("data")
            ),
        )?;
        let child = Command::new("nats-server")
            .arg("--config")
            .arg(&configuration)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("could not start nats-server")?;
        let bus = connect(&format!("nats://127.0.0.1:{port}")).await?;
        Ok(Self {
            _child: child,
            _directory: directory,
            bus,
        })
    }

    /// Half of the appends, one after the other, take at most this.
    pub(crate) async fn append_latency(&self) -> Result<Duration> {
        let mut samples = Vec::new();
        for number in 0..200 {
            let began = Instant::now();
            self.append(number).await?;
            samples.push(began.elapsed());
        }
        Ok(median(&mut samples))
    }

    /// Appends that the server acknowledges in a second when `concurrency` are under way.
    pub(crate) async fn append_rate(&self, concurrency: usize) -> Result<f64> {
        const APPENDS: u32 = 4_000;
        let began = Instant::now();
        stream::iter(0..APPENDS)
            .map(|number| self.append(number))
            .buffer_unordered(concurrency)
            .try_collect::<Vec<()>>()
            .await?;
        Ok(f64::from(APPENDS) / began.elapsed().as_secs_f64())
    }

    async fn append(&self, number: u32) -> Result<()> {
        let id = format!("{number}-{}", uuid::Uuid::new_v4().simple());
        // A list that no run has, so that no worker reads it.
        let subject = EventSubject::Release(format!("bench-{id}"));
        let payload = Bytes::from(vec![b'x'; EVENT_BYTES]);
        self.bus.events().append(&subject, 0, &id, payload).await?;
        Ok(())
    }
}

async fn connect(url: &str) -> Result<Bus> {
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        match Bus::connect(&BusConfig::new(url, "bench")).await {
            Ok(bus) => return Ok(bus),
            Err(error) if Instant::now() > deadline => {
                bail!("nats-server does not answer: {error}")
            }
            Err(_) => tokio::time::sleep(Duration::from_millis(50)).await,
        }
    }
}
