//! `slipway up`, running beside this program and after it.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process, test_kill_process};
use tokio::time::{Instant, sleep};

use super::client::Client;
use super::home::{Home, free_port};
use crate::build::Programs;

/// How long `slipway up` may take until its gateway answers; on a first start it starts two registries.
const PATIENCE: Duration = Duration::from_secs(90);
/// How long it may take to stop: it finishes or gives back what it works on.
const FAREWELL: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

/// How the server was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// It ran already.
    Running,
    /// It was started.
    Started,
    /// It ran an older program and was started again.
    Renewed,
}

/// Sees to it that `slipway up` runs the program that was built, and answers.
pub(super) async fn ensure(home: &Home, programs: &Programs, client: &Client) -> Result<Found> {
    let running = running(home);
    if let Some(pid) = running {
        if runs(pid, programs, home) && client.answers().await {
            return Ok(Found::Running);
        }
        stop(home).await?;
    }
    let mut child = start(home, programs)?;
    wait_for_answer(&mut child, home, client).await?;
    Ok(match running {
        Some(_) => Found::Renewed,
        None => Found::Started,
    })
}

/// The program that it runs, if it runs.
pub(super) fn program(home: &Home) -> Option<PathBuf> {
    let pid = running(home)?;
    let program = PathBuf::from(format!("/proc/{}/exe", pid.as_raw_nonzero()));
    program.exists().then_some(program)
}

/// Stops it, if it runs, and waits until it is gone; whether it ran.
pub(super) async fn stop(home: &Home) -> Result<bool> {
    let Some(pid) = running(home) else {
        return Ok(false);
    };
    kill_process(pid, Signal::TERM).context("could not stop `slipway up`")?;
    if !gone(pid, home, FAREWELL).await {
        println!(
            "  slipway up (process {}) does not stop; it is killed",
            pid.as_raw_nonzero()
        );
        kill_process(pid, Signal::KILL).context("could not kill `slipway up`")?;
        gone(pid, home, FAREWELL).await;
    }
    let _ = fs::remove_file(home.pid_file());
    Ok(true)
}

/// The process that the demo started, if it is still that process.
fn running(home: &Home) -> Option<Pid> {
    let text = fs::read_to_string(home.pid_file()).ok()?;
    let pid = Pid::from_raw(text.trim().parse().ok()?)?;
    test_kill_process(pid).ok()?;
    is_ours(pid, home).then_some(pid)
}

/// A process's number may have been given to somebody else since.
fn is_ours(pid: Pid, home: &Home) -> bool {
    let line = fs::read(format!("/proc/{}/cmdline", pid.as_raw_nonzero())).unwrap_or_default();
    let data = home.data().as_os_str().as_encoded_bytes();
    line.split(|byte| *byte == 0)
        .any(|argument| argument == data)
}

/// Whether a process runs the programs as they were built last; a file that was replaced has another path.
fn runs(pid: Pid, programs: &Programs, home: &Home) -> bool {
    let program = fs::read_link(format!("/proc/{}/exe", pid.as_raw_nonzero()));
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    program.is_ok_and(|program| program == programs.slipway)
        && changed(&programs.edge) <= changed(&home.pid_file())
}

async fn gone(pid: Pid, home: &Home, limit: Duration) -> bool {
    let deadline = Instant::now() + limit;
    while test_kill_process(pid).is_ok() && is_ours(pid, home) {
        if Instant::now() > deadline {
            return false;
        }
        sleep(PAUSE).await;
    }
    true
}

/// Starts it in a session of its own, so that it outlives this program and its terminal.
fn start(home: &Home, programs: &Programs) -> Result<Child> {
    let path = home.log();
    let log = File::create(&path).with_context(|| format!("could not write {}", path.display()))?;
    let gateway = free_port(7070, &[])?;
    let nats = free_port(4222, &[gateway])?;
    let mut command = std::process::Command::new("setsid");
    command
        .arg(&programs.slipway)
        .arg("up")
        .arg("--data-dir")
        .arg(home.data())
        .arg("--platform")
        .arg(home.platform_file())
        .arg("--edge-binary")
        .arg(&programs.edge)
        .args(["--listen", &format!("127.0.0.1:{gateway}")])
        .args(["--nats-port", &nats.to_string()])
        .stdin(Stdio::null())
        .stdout(log.try_clone()?)
        .stderr(log);
    for (name, _) in std::env::vars_os() {
        // What the user set for a Slipway of their own is not meant for the demo.
        if name.to_string_lossy().starts_with("SLIPWAY_") {
            command.env_remove(name);
        }
    }
    let child = command.spawn().context("could not start `slipway up`")?;
    let pid_file = home.pid_file();
    fs::write(&pid_file, format!("{}\n", child.id()))
        .with_context(|| format!("could not write {}", pid_file.display()))?;
    Ok(child)
}

async fn wait_for_answer(child: &mut Child, home: &Home, client: &Client) -> Result<()> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = child.try_wait()? {
            bail!("`slipway up` ended ({status}){}", last_words(home));
        }
        // An old address must not be taken for the new one, which is written when everything listens.
        if said_it_is_up(home) && client.answers().await {
            return Ok(());
        }
        if Instant::now() > deadline {
            bail!(
                "`slipway up` did not answer within {} s{}",
                PATIENCE.as_secs(),
                last_words(home)
            );
        }
        sleep(PAUSE).await;
    }
}

fn said_it_is_up(home: &Home) -> bool {
    fs::read_to_string(home.log()).is_ok_and(|log| log.contains("Slipway is up"))
}

fn last_words(home: &Home) -> String {
    const LINES: usize = 12;
    let log = home.log();
    let text = fs::read_to_string(&log).unwrap_or_default();
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    let end = lines[lines.len().saturating_sub(LINES)..].join("\n    ");
    format!("; {} ends with:\n    {end}", log.display())
}
