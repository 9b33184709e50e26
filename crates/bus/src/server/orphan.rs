//! Ends a server whose owner was killed, and no other process.
//!
//! The note in the data directory names the server's process and its owner's. Process ids are used again by the
//! operating system, so the note alone proves nothing: the process must run with this directory's configuration. Its
//! owner is gone when the process has another parent by now.

use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use tokio::time::Instant;

use super::files::Files;
use super::{STOP_LIMIT, ServerError};

/// Makes sure that no server uses the directory: ends one that was left behind, refuses when its owner lives.
pub(super) async fn make_way(files: &Files) -> Result<(), ServerError> {
    let Some((server, owner)) = files.read_owner() else {
        return Ok(());
    };
    let Some(process) = look_up(server).await.filter(|process| process.uses(files)) else {
        files.remove_owner();
        return Ok(());
    };
    if process.parent == owner {
        let directory = files.directory().display().to_string();
        return Err(ServerError::InUse {
            directory,
            server,
            owner,
        });
    }
    tracing::info!(
        server.pid = server,
        "stopping the NATS server that a killed owner left behind"
    );
    terminate(server).await;
    let deadline = Instant::now() + STOP_LIMIT;
    while look_up(server)
        .await
        .is_some_and(|process| process.uses(files))
    {
        if Instant::now() > deadline {
            return Err(ServerError::Orphan { server });
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    files.remove_owner();
    Ok(())
}

/// Asks a process to end. There is no safe system call for it in the standard library, but everywhere a `kill`.
pub(super) async fn terminate(pid: u32) {
    let killed = Command::new("kill")
        .arg("-TERM")
        .arg(pid.to_string())
        .stdin(Stdio::null())
        .status()
        .await;
    if !killed.as_ref().is_ok_and(std::process::ExitStatus::success) {
        tracing::debug!(server.pid = pid, ?killed, "cannot signal the NATS server");
    }
}

/// A running process.
struct Process {
    parent: u32,
    command_line: String,
}

impl Process {
    fn uses(&self, files: &Files) -> bool {
        self.command_line
            .contains(&files.configuration().display().to_string())
    }
}

async fn look_up(pid: u32) -> Option<Process> {
    let directory = PathBuf::from(format!("/proc/{pid}"));
    if PathBuf::from("/proc/self").exists() {
        let stat = tokio::fs::read_to_string(directory.join("stat"))
            .await
            .ok()?;
        let (state, parent) = parse_stat(&stat)?;
        let command_line = tokio::fs::read(directory.join("cmdline")).await.ok()?;
        let command_line = String::from_utf8_lossy(&command_line).replace('\0', " ");
        return (state != "Z").then_some(Process {
            parent,
            command_line,
        });
    }
    let output = Command::new("ps")
        .args(["-o", "ppid=,command=", "-p", &pid.to_string()])
        .output()
        .await
        .ok()?;
    let text = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    let (parent, command_line) = text.split_once(' ')?;
    Some(Process {
        parent: parent.parse().ok()?,
        command_line: command_line.to_owned(),
    })
}

/// State and parent in `/proc/<pid>/stat`; the name before them is in brackets and may hold anything.
fn parse_stat(stat: &str) -> Option<(&str, u32)> {
    let mut fields = stat.rsplit_once(')')?.1.split_ascii_whitespace();
    Some((fields.next()?, fields.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_is_found_behind_any_name() {
        assert_eq!(parse_stat("12 (a) R 7 (b) S 1 12 12 0"), Some(("S", 1)));
    }
}
