//! Programs that a chore starts: each with a time limit, none left behind.

use std::ffi::OsStr;
use std::process::{Output, Stdio};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;
use tokio::time::timeout;

/// For questions that a healthy program answers at once.
pub const QUESTION: Duration = Duration::from_secs(20);
/// For installing and building.
pub const WORK: Duration = Duration::from_secs(30 * 60);

/// A command that dies with this program and reads nothing from the terminal.
pub fn command<S: AsRef<OsStr>>(
    program: impl AsRef<OsStr>,
    arguments: impl IntoIterator<Item = S>,
) -> Command {
    let mut command = Command::new(program);
    command
        .args(arguments)
        .stdin(Stdio::null())
        .kill_on_drop(true);
    command
}

/// Cargo, without what `cargo run` told this program about itself: build scripts that look at such variables would run
/// again each time.
pub fn cargo<S: AsRef<OsStr>>(arguments: impl IntoIterator<Item = S>) -> Command {
    const TOLD: [&str; 6] = [
        "CARGO_PKG_",
        "CARGO_MANIFEST_",
        "CARGO_BIN_",
        "CARGO_CRATE_",
        "CARGO_PRIMARY_",
        "OUT_DIR",
    ];
    let mut command = command("cargo", arguments);
    for (name, _) in std::env::vars_os() {
        if TOLD
            .iter()
            .any(|told| name.to_string_lossy().starts_with(told))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Runs a command to its end and returns what it printed; a failure carries its last lines.
pub async fn run(mut command: Command, limit: Duration) -> Result<String> {
    let shown = shown(&command);
    let output = timeout(limit, command.output())
        .await
        .with_context(|| format!("`{shown}` did not end within {} s", limit.as_secs()))?
        .with_context(|| format!("could not start `{shown}`"))?;
    if !output.status.success() {
        bail!(
            "`{shown}` failed ({}){}",
            output.status,
            last_lines(&output)
        );
    }
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Feeds what one command prints to another, both to their end.
pub async fn pipe(mut from: Command, mut to: Command, limit: Duration) -> Result<()> {
    let mut producer = from
        .stdout(Stdio::piped())
        .spawn()
        .with_context(|| format!("could not start `{}`", shown(&from)))?;
    let output: Stdio = producer
        .stdout
        .take()
        .context("a piped command has an output")?
        .try_into()?;
    to.stdin(output);
    run(to, limit).await?;
    let status = producer.wait().await?;
    if !status.success() {
        bail!("`{}` failed ({status})", shown(&from));
    }
    Ok(())
}

/// Asks a program a question: what it printed, or nothing when it isn't there, fails or hangs.
pub async fn ask<S: AsRef<OsStr>>(
    program: &str,
    arguments: impl IntoIterator<Item = S>,
) -> Option<String> {
    run(command(program, arguments), QUESTION).await.ok()
}

/// Whether a program of this name is in `PATH`, or in the system directories that a user's `PATH` may lack.
pub fn in_path(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .chain(["/usr/sbin".into(), "/sbin".into()])
        .any(|directory| directory.join(program).is_file())
}

/// A command as a person would type it.
pub fn shown(command: &Command) -> String {
    let command = command.as_std();
    std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(OsStr::to_string_lossy)
        .collect::<Vec<_>>()
        .join(" ")
}

fn last_lines(output: &Output) -> String {
    const LINES: usize = 15;
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    text.push_str(&String::from_utf8_lossy(&output.stderr));
    let lines: Vec<_> = text.lines().filter(|line| !line.is_empty()).collect();
    lines[lines.len().saturating_sub(LINES)..]
        .iter()
        .map(|line| format!("\n  {line}"))
        .collect()
}
