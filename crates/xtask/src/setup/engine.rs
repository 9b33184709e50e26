//! A Docker engine: the one that answers, or one started here.

use std::fs::{self, File};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use super::apt::{self, Package};
use super::machine::{Machine, state_directory};
use super::report::Report;
use crate::process;

const ELSEWHERE: &str = "no engine answers: install Docker (https://docs.docker.com/engine/install/) and start it, or set DOCKER_HOST";

/// Finds an engine or starts one; whether one answers now.
pub(super) async fn provide(machine: &Machine, report: &mut Report) -> bool {
    let step = report.step("docker engine");
    if let Some(version) = version().await {
        step.found(version);
        return true;
    }
    if std::env::var_os("DOCKER_HOST").is_some() {
        step.missing("the engine that DOCKER_HOST names does not answer: start it, or unset DOCKER_HOST");
        return false;
    }
    if !machine.installs() {
        step.missing(ELSEWHERE);
        return false;
    }
    step.note("starting");
    match start(machine).await {
        Ok(version) => {
            step.made(format!("started {version}"));
            true
        }
        Err(error) => {
            step.missing(format!("{error:#}"));
            false
        }
    }
}

async fn version() -> Option<String> {
    let printed = process::ask("docker", ["version", "--format", "{{.Server.Version}}"]).await?;
    Some(printed.trim().to_owned()).filter(|version| !version.is_empty())
}

async fn start(machine: &Machine) -> Result<String> {
    if !(process::in_path("dockerd") && process::in_path("docker")) {
        apt::install(machine, &[Package::named("docker.io"), Package::named("iptables")])
            .await
            .context("could not install docker.io")?;
    }
    if machine.systemd {
        process::run(
            process::command("systemctl", ["start", "docker"]),
            Duration::from_secs(60),
        )
        .await?;
    } else {
        start_detached()?;
    }
    wait_for_answer().await
}

/// Starts `dockerd` in a session of its own, so that it outlives this program and its terminal.
fn start_detached() -> Result<()> {
    let directory = state_directory();
    fs::create_dir_all(&directory)
        .with_context(|| format!("could not create {}", directory.display()))?;
    let path = directory.join("dockerd.log");
    let log = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
    std::process::Command::new("setsid")
        .args(["--fork", "dockerd"])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .status()
        .context("could not start dockerd")?;
    Ok(())
}

async fn wait_for_answer() -> Result<String> {
    let deadline = Instant::now() + Duration::from_secs(60);
    while Instant::now() < deadline {
        if let Some(version) = version().await {
            return Ok(version);
        }
        sleep(Duration::from_millis(200)).await;
    }
    let log = state_directory().join("dockerd.log");
    let text = fs::read_to_string(&log).unwrap_or_default();
    let last = text.lines().last().unwrap_or("it printed nothing");
    bail!("dockerd did not answer within 60 s; {} ends with: {last}", log.display())
}
