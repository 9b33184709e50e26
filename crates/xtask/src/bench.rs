//! `cargo xtask bench`: what `crates/bench` measures, built as it is released.

use std::path::Path;

use anyhow::{Context, Result};

use crate::setup::{self, Purpose};
use crate::{build, process};

/// Sets up, builds and measures; `arguments` are passed on. Whether it measured: a goal that was missed is no failure.
pub async fn run(root: &Path, arguments: &[String]) -> Result<bool> {
    println!("Setting up:");
    let report = setup::run(root, Purpose::Bench).await?;
    for missing in report.missing() {
        println!("Left out what needs {missing}");
    }
    println!(
        "\nBuilding (ten minutes the first time: the release profile), then measuring (five minutes):"
    );
    let edge = build::edge(root).await?;
    let mut bench = process::cargo(["run", "--release", "--package", "bench", "--"]);
    let status = bench
        .args(arguments)
        .env("SLIPWAY_EDGE_BINARY", edge)
        .current_dir(root)
        .status()
        .await
        .context("could not start cargo")?;
    Ok(status.success())
}
