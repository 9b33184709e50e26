//! An image build through the engine as the builder calls it, against `docker build` of the same context.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use engine::{BuildSpec, Context, Engine};
use tokio::process::Command;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::report::{Report, median, ratio};

const ROUNDS: usize = 3;
const FILES: usize = 64;
const FILE_BYTES: usize = 256 * 1024;
const NAME: &str = "slipway-bench:build";
const DOCKERFILE: &str = "FROM debian:bookworm-slim\n\
    COPY . /context\n\
    RUN cat /context/* | sha256sum > /sum && for n in 1 2 3 4 5 6 7 8; do sha256sum /context/*; done > /sums\n\
    RUN cp /sums /copy\n";

pub(crate) async fn measure() -> Result<Report> {
    let files = files();
    let directory = tempfile::tempdir()?;
    for (name, content) in &files {
        std::fs::write(directory.path().join(name), content)?;
    }
    let engine = Engine::connect().await?;
    let (mut ours, mut peers) = (Vec::new(), Vec::new());
    // The first of each is not counted: it warms the caches of the disk.
    for round in 0..=ROUNDS {
        let (ours_once, peer_once) = (
            build(&engine, &files).await?,
            docker(directory.path()).await?,
        );
        if round > 0 {
            ours.push(ours_once);
            peers.push(peer_once);
        }
    }
    engine.remove_image(NAME).await?;
    let (ours, peer) = (median(&mut ours), median(&mut peers));
    let times = ratio(ours, peer);
    let mut report = Report::new("Image build against `docker build`, nothing from the cache");
    report.goal(
        "median",
        format!(
            "{:.2} s over {:.2} s: {times:.2} ×",
            ours.as_secs_f64(),
            peer.as_secs_f64()
        ),
        "≤ 1.03 ×",
        times <= 1.03,
    );
    Ok(report)
}

fn files() -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::from([("Dockerfile".to_owned(), DOCKERFILE.as_bytes().to_vec())]);
    for number in 0..FILES {
        let content: Vec<u8> = (0..FILE_BYTES / 16)
            .flat_map(|_| uuid::Uuid::new_v4().into_bytes())
            .collect();
        files.insert(format!("file-{number}"), content);
    }
    files
}

async fn build(engine: &Engine, files: &BTreeMap<String, Vec<u8>>) -> Result<Duration> {
    let began = Instant::now();
    let mut spec = BuildSpec::new(Context::Tar(engine::tar_files(files)?));
    spec.tags = vec![NAME.to_owned()];
    spec.no_cache = true;
    let (sink, mut output) = mpsc::channel(256);
    let nobody = CancellationToken::new();
    let (built, ()) = tokio::join!(engine.build_image(spec, sink, &nobody), async {
        while output.recv().await.is_some() {}
    });
    built?;
    Ok(began.elapsed())
}

async fn docker(directory: &Path) -> Result<Duration> {
    let began = Instant::now();
    let status = Command::new("docker")
        .args(["build", "--no-cache", "--progress", "plain", "--tag", NAME])
        .arg(directory)
        .env("DOCKER_BUILDKIT", "1")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .await
        .context("could not start docker")?;
    ensure!(status.success(), "`docker build` failed ({status})");
    Ok(began.elapsed())
}
