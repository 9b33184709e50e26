//! What was measured on.

use std::fs;

use tokio::process::Command;

/// The machine and the programs, in one line each.
pub(crate) async fn facts() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let cpu = first("/proc/cpuinfo", "model name").unwrap_or_else(|| "unknown".to_owned());
    let memory = first("/proc/meminfo", "MemTotal").unwrap_or_else(|| "unknown".to_owned());
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load = load.split_whitespace().next().unwrap_or("unknown");
    let profile = if cfg!(debug_assertions) {
        "dev: too slow to judge by"
    } else {
        "release"
    };
    let nats = printed("nats-server", &["--version"]).await;
    let docker = printed("docker", &["version", "--format", "{{.Server.Version}}"]).await;
    format!(
        "{cores} cores ({cpu}), memory {memory}, load {load} before\n{nats}; Docker {docker}; profile {profile}"
    )
}

/// The value of the first line of a file of the kernel that begins with `key`.
fn first(path: &str, key: &str) -> Option<String> {
    let text = fs::read_to_string(path).ok()?;
    let line = text.lines().find(|line| line.starts_with(key))?;
    Some(line.split_once(':')?.1.trim().to_owned())
}

async fn printed(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().await;
    output.map_or_else(
        |error| format!("no {program}: {error}"),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}
