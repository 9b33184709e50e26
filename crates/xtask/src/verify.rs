//! `cargo xtask verify`: what the continuous integration runs.

use std::path::Path;

use anyhow::{Context, Result};

use crate::{process, test};

const FORMAT: &[&str] = &["fmt", "--all", "--", "--check"];
const LINT: &[&str] = &[
    "clippy",
    "--workspace",
    "--all-targets",
    "--",
    "-D",
    "warnings",
];
const DENY: &[&str] = &["deny", "--all-features", "check"];

/// Checks format, lints, dependencies and tests, and stops at the first that isn't in order; whether all were.
pub async fn run(root: &Path) -> Result<bool> {
    let dependencies_checked = process::ask("cargo", ["deny", "--version"]).await.is_some();
    if !(passes(root, FORMAT).await? && passes(root, LINT).await?) {
        return Ok(false);
    }
    if dependencies_checked && !passes(root, DENY).await? {
        return Ok(false);
    }
    let passed = test::run(root).await?;
    if !dependencies_checked {
        println!(
            "Not checked: dependencies against deny.toml (install cargo-deny: `cargo install --locked cargo-deny`)"
        );
    }
    Ok(passed)
}

/// Runs cargo with its output on the terminal, and tells whether it succeeded.
pub(crate) async fn passes(root: &Path, arguments: &[&str]) -> Result<bool> {
    println!("$ cargo {}", arguments.join(" "));
    let status = process::cargo(arguments)
        .current_dir(root)
        .status()
        .await
        .context("could not start cargo")?;
    Ok(status.success())
}
