//! A Docker engine: the one that answers, or one started here.

use std::fs::{self, File};
use std::path::PathBuf;
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::time::{Instant, sleep};

use super::apt::{self, Package};
use super::machine::{Machine, state_directory};
use super::report::Report;
use crate::process;

/// How long an engine may take to start.
const PATIENCE: Duration = Duration::from_secs(60);
const ELSEWHERE: &str = "no engine answers: install Docker (https://docs.docker.com/engine/install/) and start it, or set DOCKER_HOST";

/// Finds an engine or starts one; whether one answers now.
pub(super) async fn provide(machine: &Machine, report: &mut Report) -> bool {
    let step = report.step("docker engine");
    if let Some(version) = version().await {
        step.found(version);
        return true;
    }
    if std::env::var_os("DOCKER_HOST").is_some() {
        step.missing(
            "the engine that DOCKER_HOST names does not answer: start it, or unset DOCKER_HOST",
        );
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
        apt::install(
            machine,
            &[Package::named("docker.io"), Package::named("iptables")],
        )
        .await
        .context("could not install docker.io")?;
    }
    let mut dockerd = if machine.systemd {
        let systemctl = process::command("systemctl", ["start", "docker"]);
        process::run(systemctl, Duration::from_secs(60)).await?;
        None
    } else {
        Some(start_detached()?)
    };
    wait_for_answer(&mut dockerd).await
}

/// Starts `dockerd` in a session of its own, so that it outlives this program and its terminal.
fn start_detached() -> Result<Child> {
    let path = log_file();
    let directory = state_directory();
    fs::create_dir_all(&directory)
        .with_context(|| format!("could not create {}", directory.display()))?;
    let log = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
    std::process::Command::new("setsid")
        .arg("dockerd")
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log)
        .spawn()
        .context("could not start dockerd")
}

async fn wait_for_answer(dockerd: &mut Option<Child>) -> Result<String> {
    let deadline = Instant::now() + PATIENCE;
    while Instant::now() < deadline {
        if let Some(version) = version().await {
            return Ok(version);
        }
        if let Some(dockerd) = dockerd
            && let Some(status) = dockerd.try_wait()?
        {
            bail!("dockerd ended ({status}){}", last_words());
        }
        sleep(Duration::from_millis(200)).await;
    }
    bail!(
        "dockerd did not answer within {} s{}",
        PATIENCE.as_secs(),
        last_words()
    )
}

fn log_file() -> PathBuf {
    state_directory().join("dockerd.log")
}

/// The end of what dockerd wrote: the reason is seldom in its very last line.
fn last_words() -> String {
    const LINES: usize = 4;
    let log = log_file();
    let text = fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let end = lines[lines.len().saturating_sub(LINES)..].join("\n    ");
    format!("; {} ends with:\n    {end}", log.display())
}
