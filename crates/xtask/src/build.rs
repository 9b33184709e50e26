//! `cargo xtask build`: the programs that `slipway up` consists of.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use crate::process;

/// The programs.
#[derive(Debug, Clone)]
pub struct Programs {
    /// The command line, with all services.
    pub slipway: PathBuf,
    /// The proxy before deployed services. Statically linked: it is alone in its image.
    pub edge: PathBuf,
}

/// Builds what is not up to date.
pub async fn run(root: &Path) -> Result<Programs> {
    let slipway = executable(process::cargo(["build", "--package", "slipway"]), root).await?;
    let built = edge(root).await?;
    let edge = slipway.with_file_name("slipway-edge");
    if is_older(&edge, &built) {
        copy_stripped(&built, &edge).await?;
    }
    Ok(Programs { slipway, edge })
}

/// Builds the edge, statically linked and with everything that a debugger needs.
pub(crate) async fn edge(root: &Path) -> Result<PathBuf> {
    executable(static_edge().await?, root).await
}

async fn static_edge() -> Result<Command> {
    let about = process::ask("rustc", ["-vV"])
        .await
        .context("`rustc -vV` failed: install the toolchain with rustup")?;
    let host = host(&about).context("`rustc -vV` names no host")?;
    let mut build = process::cargo(["build", "--package", "edge", "--release", "--target", host]);
    let variable = format!(
        "CARGO_TARGET_{}_RUSTFLAGS",
        host.replace('-', "_").to_uppercase()
    );
    build.env(variable, "-C target-feature=+crt-static");
    Ok(build)
}

fn host(about: &str) -> Option<&str> {
    about.lines().find_map(|line| line.strip_prefix("host: "))
}

/// What cargo says of each thing that it built, as far as it matters here.
#[derive(Deserialize)]
struct Message {
    executable: Option<PathBuf>,
}

/// Builds, with cargo's own progress on the terminal, and returns the program that came out.
async fn executable(mut build: Command, root: &Path) -> Result<PathBuf> {
    let shown = process::shown(&build);
    let mut child = build
        .arg("--message-format=json-render-diagnostics")
        .current_dir(root)
        .stdout(Stdio::piped())
        .spawn()
        .context("could not start cargo")?;
    let output = child.stdout.take().context("the output is piped")?;
    let mut lines = BufReader::new(output).lines();
    let mut executable = None;
    while let Some(line) = lines.next_line().await? {
        if let Ok(message) = serde_json::from_str::<Message>(&line) {
            executable = message.executable.or(executable);
        }
    }
    if !child.wait().await?.success() {
        bail!("`{shown}` failed; its messages are above");
    }
    executable.with_context(|| format!("`{shown}` made no program"))
}

fn is_older(file: &Path, than: &Path) -> bool {
    let changed = |path: &Path| fs::metadata(path).and_then(|file| file.modified()).ok();
    changed(file) < changed(than)
}

/// Copies a program without what only a debugger needs, as far as this machine has `strip`.
async fn copy_stripped(from: &Path, to: &Path) -> Result<()> {
    let unfinished = to.with_extension("new");
    fs::copy(from, &unfinished)
        .with_context(|| format!("could not write {}", unfinished.display()))?;
    if process::in_path("strip") {
        process::run(
            process::command("strip", [&unfinished]),
            process::QUESTION * 3,
        )
        .await?;
    }
    fs::rename(&unfinished, to).with_context(|| format!("could not write {}", to.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_read_from_what_rustc_says() {
        let about = "rustc 1.95.0\nbinary: rustc\nhost: x86_64-unknown-linux-gnu\nLLVM version: 22";
        assert_eq!(host(about), Some("x86_64-unknown-linux-gnu"));
    }

    #[test]
    fn a_file_that_is_not_there_is_older() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let (missing, there) = (folder.path().join("missing"), folder.path().join("there"));
        fs::write(&there, "").expect("written");
        assert!(is_older(&missing, &there));
        assert!(!is_older(&there, &there));
    }
}
