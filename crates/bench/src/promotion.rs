//! Promotion from one registry to another, against `skopeo copy --all` of the same image.

use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use registry::{CopyOptions, Registry, RegistryConfig, RepositoryName, Tag};
use testkit::registry::TestRegistry;
use tokio::process::Command;

use crate::report::{Report, median, ms, ratio};

const ROUNDS: usize = 3;
const IMAGE: &str = "debian:bookworm-slim";

pub(crate) async fn measure() -> Result<Report> {
    let source = TestRegistry::start().await?;
    let from = format!("docker://{}/bench/image:1.0.0", source.address());
    skopeo(&format!("docker-daemon:{IMAGE}"), &from).await?;
    let (mut cold, mut peer_cold, mut there, mut peer_there) =
        (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    // The first round is not counted: it reads the image into memory for all others.
    for round in 0..=ROUNDS {
        let (ours, peers) = (TestRegistry::start().await?, TestRegistry::start().await?);
        let to = format!("docker://{}/bench/image:1.0.0", peers.address());
        let once = [
            promote(&source, &ours).await?,
            skopeo(&from, &to).await?,
            promote(&source, &ours).await?,
            skopeo(&from, &to).await?,
        ];
        if round > 0 {
            cold.push(once[0]);
            peer_cold.push(once[1]);
            there.push(once[2]);
            peer_there.push(once[3]);
        }
    }
    let (cold, peer_cold) = (median(&mut cold), median(&mut peer_cold));
    let (there, peer_there) = (median(&mut there), median(&mut peer_there));
    let mut report = Report::new("Promotion against `skopeo copy --all`, between fresh registries");
    let times = ratio(cold, peer_cold);
    report.goal(
        "an image of two layers or so, median",
        format!("{} over {}: {times:.2} ×", ms(cold), ms(peer_cold)),
        "≤ 0.5 ×",
        times <= 0.5,
    );
    report.goal(
        "already there, median",
        format!("{} (skopeo: {})", ms(there), ms(peer_there)),
        "≤ 50 ms",
        there <= Duration::from_millis(50),
    );
    Ok(report)
}

/// What the registry-promoter does: resolve, copy by digest, write the release tag.
async fn promote(from: &TestRegistry, to: &TestRegistry) -> Result<Duration> {
    let began = Instant::now();
    let source = Registry::new(&RegistryConfig::new(from.address()))?;
    let target = Registry::new(&RegistryConfig::new(to.address()))?;
    let name: RepositoryName = "bench/image".parse()?;
    let tag: Tag = "1.0.0".parse()?;
    let image = source
        .resolve(&name, tag.clone())
        .await?
        .context("the image is not in the source")?;
    let options = CopyOptions {
        include_referrers: true,
        ..CopyOptions::default()
    };
    registry::copy(&source, &name, &image.digest, &target, &name, options).await?;
    registry::tag_release(&target, &name, &tag, &image.digest).await?;
    Ok(began.elapsed())
}

async fn skopeo(from: &str, to: &str) -> Result<Duration> {
    let began = Instant::now();
    let output = Command::new("skopeo")
        .args([
            "copy",
            "--all",
            "--src-tls-verify=false",
            "--dest-tls-verify=false",
        ])
        .args([from, to])
        .stdin(Stdio::null())
        .output()
        .await
        .context("could not start skopeo")?;
    ensure!(
        output.status.success(),
        "`skopeo copy` failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(began.elapsed())
}
