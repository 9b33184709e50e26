//! A look at the container engine, and cleaning up there, by the command line client of Docker.

use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};

/// How often a removal is tried: a network keeps the endpoints of containers that are gone for a moment.
const REMOVALS: u32 = 20;
const BETWEEN: Duration = Duration::from_millis(250);

/// Runs `docker` and returns what it printed.
///
/// # Errors
/// When it says that something went wrong.
pub fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .context("docker can't be run")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "docker {}: {}",
        arguments.join(" "),
        error.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

/// Whether the engine has an image.
#[must_use]
pub fn has_image(name: &str) -> bool {
    docker(&["image", "inspect", "--format", "ok", name]).is_ok()
}

/// The containers, running or not, that have all these labels (`name=value`), each as `name image-or-digest state`.
///
/// # Errors
/// When the engine does not answer.
pub fn containers(labels: &[&str]) -> Result<Vec<String>> {
    let filters: Vec<String> = labels
        .iter()
        .map(|label| format!("label={label}"))
        .collect();
    let mut arguments = vec![
        "ps",
        "--all",
        "--no-trunc",
        "--format",
        "{{.Names}} {{.Label \"slipway.digest\"}} {{.State}}",
    ];
    for filter in &filters {
        arguments.extend(["--filter", filter]);
    }
    Ok(docker(&arguments)?.lines().map(str::to_owned).collect())
}

/// Removes the containers, networks and volumes with a label (`name=value`).
pub fn remove_with_label(label: &str) {
    let filter = format!("label={label}");
    remove(
        &["ps", "--all", "--quiet", "--filter", &filter],
        &["rm", "--force", "--volumes"],
    );
    remove(
        &["network", "ls", "--quiet", "--filter", &filter],
        &["network", "rm"],
    );
    remove(
        &["volume", "ls", "--quiet", "--filter", &filter],
        &["volume", "rm", "--force"],
    );
}

/// Removes the images whose names match a pattern such as `127.0.0.1:5000/*`.
pub fn remove_images(pattern: &str) {
    let filter = format!("reference={pattern}");
    remove(
        &["images", "--quiet", "--filter", &filter],
        &["rmi", "--force"],
    );
}

fn remove(list: &[&str], command: &[&str]) {
    let Ok(found) = docker(list) else { return };
    let mut ids: Vec<&str> = found.split_whitespace().collect();
    ids.sort_unstable();
    ids.dedup();
    if ids.is_empty() {
        return;
    }
    let mut attempts = REMOVALS;
    while let Err(error) = docker(&[command, &ids].concat()) {
        attempts -= 1;
        if attempts == 0 {
            eprintln!("not cleaned up: {error:#}");
            return;
        }
        std::thread::park_timeout(BETWEEN);
        let left = docker(list).unwrap_or_default();
        ids.retain(|id| left.split_whitespace().any(|other| other == *id));
        if ids.is_empty() {
            return;
        }
    }
}
