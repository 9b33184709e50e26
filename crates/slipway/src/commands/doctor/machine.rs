//! What this machine has: Docker, Git, nats-server, room on the disk.

use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::output::doctor::Check;
use crate::token::{data_dir, process_environment};

/// No program that is asked for its version takes longer.
const PATIENCE: Duration = Duration::from_secs(10);
/// The oldest nats-server with `sync_interval: always`.
const OLDEST_NATS: (u32, u32) = (2, 10);
/// Below this, builds fail.
const TOO_LITTLE: u64 = 1 << 30;
/// Below this, they will soon.
const LITTLE: u64 = 5 << 30;

pub(super) async fn docker(needed: bool) -> Check {
    match tokio::time::timeout(PATIENCE, engine::Engine::connect()).await {
        Ok(Ok(engine)) => Check::ok(
            "docker",
            format!("engine {} at {}", engine.version(), engine.host()),
        ),
        Ok(Err(error)) => {
            let why = without_advice(&error);
            let mend = mend_docker(&why);
            Check::bad("docker", needed, why, mend)
        }
        Err(_) => Check::bad(
            "docker",
            needed,
            "the engine does not answer",
            mend_docker(""),
        ),
    }
}

/// What is wrong, without what to do about it: that is said below.
fn without_advice(error: &engine::Error) -> String {
    match error {
        engine::Error::Unreachable { host, source } => {
            let cause = crate::failure::root_cause(source.as_ref());
            format!("no Docker engine answers at {host}: {cause}")
        }
        other => service_kit::cause::chain(other),
    }
}

fn mend_docker(error: &str) -> String {
    if error.to_lowercase().contains("permission denied") {
        "sudo usermod -aG docker $USER, then log in again".to_owned()
    } else {
        "install and start Docker (Debian, Ubuntu: apt-get install docker.io), or set DOCKER_HOST"
            .to_owned()
    }
}

pub(super) async fn git(needed: bool) -> Check {
    match version_of("git").await {
        Ok(version) => Check::ok("git", version),
        Err(why) => Check::bad(
            "git",
            needed,
            why,
            "install git (Debian, Ubuntu: apt-get install git)",
        ),
    }
}

pub(super) async fn nats_server(needed: bool) -> Check {
    const MEND: &str =
        "install nats-server 2.10 or newer (https://nats.io/download), or set SLIPWAY_NATS_URL";
    let name = "nats-server";
    match version_of(name).await {
        Ok(text) => match version_number(&text) {
            Some(version) if version >= OLDEST_NATS => Check::ok(name, text),
            Some(_) => Check::bad(name, needed, format!("{text} is older than 2.10"), MEND),
            None => Check::bad(
                name,
                needed,
                format!("can't tell its version from '{text}'"),
                MEND,
            ),
        },
        Err(why) => Check::bad(name, needed, why, MEND),
    }
}

/// The first line that a program prints about its version.
async fn version_of(program: &str) -> Result<String, String> {
    let output = Command::new(program)
        .arg("--version")
        .kill_on_drop(true)
        .output();
    match tokio::time::timeout(PATIENCE, output).await {
        Ok(Ok(output)) if output.status.success() => {
            let text = String::from_utf8_lossy(&output.stdout);
            Ok(text.lines().next().unwrap_or_default().trim().to_owned())
        }
        Ok(Ok(output)) => Err(format!("{program} --version ended with {}", output.status)),
        Ok(Err(error)) if error.kind() == std::io::ErrorKind::NotFound => {
            Err("is not in PATH".to_owned())
        }
        Ok(Err(error)) => Err(format!("can't be run: {error}")),
        Err(_) => Err("does not answer".to_owned()),
    }
}

/// Major and minor of the first version in a text: `nats-server: v2.10.27` is (2, 10).
pub(super) fn version_number(text: &str) -> Option<(u32, u32)> {
    let start = text.find(|c: char| c.is_ascii_digit())?;
    let mut parts = text[start..].split(|c: char| !c.is_ascii_digit());
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub(super) async fn disk(needed: bool) -> Check {
    let place = existing(&data_dir(&process_environment).unwrap_or_else(|| PathBuf::from("/")));
    // `df -P -k` is what POSIX promises everywhere; asking the kernel would need code for each.
    let output = Command::new("df")
        .args(["-P", "-k"])
        .arg(&place)
        .kill_on_drop(true)
        .output();
    let free = match tokio::time::timeout(PATIENCE, output).await {
        Ok(Ok(output)) => free_bytes(&String::from_utf8_lossy(&output.stdout)),
        _ => None,
    };
    let place = place.display();
    let mend = "free some room; `docker system prune` removes what no container uses";
    match free {
        None => Check::bad(
            "disk",
            false,
            format!("can't tell how much room there is at {place}"),
            "",
        ),
        Some(free) => {
            let detail = format!("{:.1} GiB free at {place}", bytes_as_gib(free));
            match free {
                0..TOO_LITTLE => Check::bad("disk", needed, detail, mend),
                TOO_LITTLE..LITTLE => Check::bad("disk", false, detail, mend),
                _ => Check::ok("disk", detail),
            }
        }
    }
}

fn bytes_as_gib(bytes: u64) -> f64 {
    let tenths = bytes / ((1 << 30) / 10);
    f64::from(u32::try_from(tenths).unwrap_or(u32::MAX)) / 10.0
}

/// The path, or the nearest folder above it that is there.
fn existing(path: &Path) -> PathBuf {
    path.ancestors()
        .find(|p| p.exists())
        .map_or_else(|| PathBuf::from("/"), Path::to_path_buf)
}

/// The column `Available` of what `df -P -k` prints.
fn free_bytes(output: &str) -> Option<u64> {
    let kibibytes: u64 = output
        .lines()
        .nth(1)?
        .split_whitespace()
        .nth(3)?
        .parse()
        .ok()?;
    kibibytes.checked_mul(1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        assert_eq!(version_number("nats-server: v2.10.27"), Some((2, 10)));
        assert_eq!(version_number("nats-server: v2.9.10"), Some((2, 9)));
        assert_eq!(version_number("no number"), None);
    }

    #[test]
    fn the_free_room_is_read_from_df() {
        let output = "Filesystem 1024-blocks Used Available Capacity Mounted on\n/dev/sda1 100 40 60 40% /\n";
        assert_eq!(free_bytes(output), Some(60 * 1024));
        assert_eq!(free_bytes("df: nothing\n"), None);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_said_to_be_missing() {
        assert_eq!(
            version_of("no-such-program-anywhere").await,
            Err("is not in PATH".to_owned())
        );
    }
}
