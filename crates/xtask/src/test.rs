//! `cargo xtask test`: every test that this machine can run.

mod skips;

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result};
use serde::Deserialize;
use tokio::io::{AsyncBufReadExt as _, AsyncRead, BufReader};
use tokio::process::Command;

use crate::setup::{self, Purpose, Report};
use crate::{build, process, verify};
use skips::Skips;

/// Sets up, runs all tests and says what was left out; whether all that ran passed.
pub async fn run(root: &Path) -> Result<bool> {
    println!("Setting up:");
    let report = setup::run(root, Purpose::Test).await?;
    let runner = Runner::look().await;
    let skips = Skips::new()?;
    println!("Building:");
    if !verify::passes(root, runner.build()).await? {
        return Ok(false);
    }
    let edge = build::edge(root).await?;
    let slipway = target(root).await?.join("debug/slipway");
    let mut passed = true;
    let mut closing = Vec::new();
    for mut suite in runner.suites() {
        suite
            .current_dir(root)
            .env("SLIPWAY_TEST_BINARY", &slipway)
            .env("SLIPWAY_EDGE_BINARY", &edge)
            .env(skips::VARIABLE, skips.path());
        if report.complete() {
            // Nothing is missing, so a test that would leave itself out has no reason to.
            suite.env("SLIPWAY_TEST_REQUIRE", "1");
        }
        let outcome = watch(suite).await?;
        passed &= outcome.passed;
        closing.extend(outcome.closing);
    }
    conclude(&closing, &report, &skips.read()?);
    Ok(passed)
}

/// Where cargo puts what it builds. The tests of the package `slipway` have had the program itself built there.
async fn target(root: &Path) -> Result<PathBuf> {
    #[derive(Deserialize)]
    struct Metadata {
        target_directory: PathBuf,
    }
    let mut ask = process::cargo(["metadata", "--no-deps", "--format-version", "1"]);
    ask.current_dir(root);
    let told = process::run(ask, process::QUESTION).await?;
    let metadata: Metadata =
        serde_json::from_str(&told).context("`cargo metadata` is unreadable")?;
    Ok(metadata.target_directory)
}

/// The program that runs the tests.
enum Runner {
    Nextest,
    Cargo,
}

impl Runner {
    async fn look() -> Self {
        match process::ask("cargo", ["nextest", "--version"]).await {
            Some(_) => Self::Nextest,
            None => Self::Cargo,
        }
    }

    /// Builds what [`Self::suites`] run.
    fn build(&self) -> &'static [&'static str] {
        match self {
            Self::Nextest => &["nextest", "run", "--workspace", "--no-run"],
            Self::Cargo => &["test", "--workspace", "--no-run"],
        }
    }

    fn suites(&self) -> Vec<Command> {
        let cargo = |arguments: &[&str]| process::cargo(arguments);
        match self {
            // nextest does not run the examples in the documentation.
            Self::Nextest => vec![
                cargo(&[
                    "nextest",
                    "run",
                    "--workspace",
                    "--no-fail-fast",
                    &format!("--test-threads={}", test_threads()),
                ]),
                cargo(&["test", "--workspace", "--doc", "--quiet"]),
            ],
            Self::Cargo => vec![cargo(&["test", "--workspace", "--no-fail-fast"])],
        }
    }
}

/// Half as many again as there are cores: the long tests wait for containers and clusters most of their time.
fn test_threads() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    cores + cores.div_ceil(2)
}

struct Outcome {
    passed: bool,
    closing: Vec<String>,
}

/// Runs a suite, shows what it prints as it comes, and keeps the lines that sum it up.
async fn watch(mut suite: Command) -> Result<Outcome> {
    let mut child = suite
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("could not start cargo")?;
    let output = child.stdout.take().context("the output is piped")?;
    let errors = child.stderr.take().context("the errors are piped")?;
    let (output, errors) = tokio::join!(
        forward(output, std::io::stdout()),
        forward(errors, std::io::stderr())
    );
    let mut closing = output?;
    closing.extend(errors?);
    Ok(Outcome {
        passed: child.wait().await?.success(),
        closing,
    })
}

async fn forward(from: impl AsyncRead + Unpin, mut to: impl Write) -> std::io::Result<Vec<String>> {
    let mut from = BufReader::new(from);
    let mut closing = Vec::new();
    let mut line = Vec::new();
    while from.read_until(b'\n', &mut line).await? > 0 {
        to.write_all(&line)?;
        let text = String::from_utf8_lossy(&line);
        if sums_up(&text) {
            closing.push(text.trim().to_owned());
        }
        line.clear();
    }
    to.flush()?;
    Ok(closing)
}

/// The line of nextest with all numbers, and those of cargo's own runner that say that something ran or failed.
fn sums_up(line: &str) -> bool {
    let line = line.trim_start();
    line.starts_with("Summary [")
        || (line.starts_with("test result:") && !line.contains(" 0 passed; 0 failed;"))
}

fn conclude(closing: &[String], report: &Report, skips: &[(String, usize)]) {
    println!();
    for missing in report.missing() {
        println!("Not on this machine: {missing}");
    }
    for (want, count) in skips {
        println!("Left out {count} of the tests: {want}");
    }
    for line in closing {
        println!("{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lines_that_sum_up_are_known() {
        assert!(sums_up(
            "     Summary [   3.412s] 214 tests run: 214 passed, 0 skipped\n"
        ));
        assert!(sums_up("test result: ok. 3 passed; 0 failed; 0 ignored\n"));
        assert!(!sums_up("test result: ok. 0 passed; 0 failed; 0 ignored\n"));
        assert!(!sums_up(
            "        PASS [   0.004s] xtask test::tests::this\n"
        ));
    }

    #[tokio::test]
    async fn what_a_suite_prints_is_passed_on_whole() {
        let printed = b"running\ntest result: ok. 3 passed; 0 failed\nno end of line";
        let mut shown = Vec::new();
        let closing = forward(&printed[..], &mut shown).await.expect("read");
        assert_eq!(shown, printed);
        assert_eq!(closing, ["test result: ok. 3 passed; 0 failed"]);
    }
}
