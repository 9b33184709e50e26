//! What the server and its owners keep in the data directory.

use std::fmt::Write as _;
use std::io;
use std::path::{Path, PathBuf};

use super::ServerError;

const LOG_TAIL_LINES: usize = 15;

/// The files in a data directory.
#[derive(Debug)]
pub(super) struct Files {
    directory: PathBuf,
}

impl Files {
    /// Makes the directory. Its path is made absolute, as the server's command line shows which one it uses.
    pub(super) fn create(directory: &Path) -> Result<Self, ServerError> {
        let failed = |source| ServerError::Files {
            path: directory.display().to_string(),
            source,
        };
        std::fs::create_dir_all(directory).map_err(failed)?;
        Ok(Self {
            directory: directory.canonicalize().map_err(failed)?,
        })
    }

    pub(super) fn directory(&self) -> &Path {
        &self.directory
    }

    pub(super) fn configuration(&self) -> PathBuf {
        self.directory.join("nats.conf")
    }

    pub(super) fn log(&self) -> PathBuf {
        self.directory.join("nats.log")
    }

    fn owner(&self) -> PathBuf {
        self.directory.join("owner")
    }

    /// Writes the server's configuration.
    pub(super) fn write_configuration(
        &self,
        name: &str,
        port: u16,
        monitoring_port: Option<u16>,
    ) -> Result<(), ServerError> {
        let text = configuration(&self.directory, &self.log(), name, port, monitoring_port);
        let path = self.configuration();
        std::fs::write(&path, text).map_err(|source| ServerError::Files {
            path: path.display().to_string(),
            source,
        })
    }

    /// Notes the server's process and ours.
    pub(super) fn write_owner(&self, server: u32) -> Result<(), ServerError> {
        let path = self.owner();
        std::fs::write(&path, format!("{server} {}\n", std::process::id())).map_err(|source| {
            ServerError::Files {
                path: path.display().to_string(),
                source,
            }
        })
    }

    /// The last server's process and its owner's.
    pub(super) fn read_owner(&self) -> Option<(u32, u32)> {
        let text = std::fs::read_to_string(self.owner()).ok()?;
        let (server, owner) = text.trim().split_once(' ')?;
        Some((server.parse().ok()?, owner.parse().ok()?))
    }

    pub(super) fn remove_owner(&self) {
        match std::fs::remove_file(self.owner()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::debug!(%error, "cannot remove the note about the NATS server's process");
            }
            _ => {}
        }
    }

    /// The last lines of the server's log.
    pub(super) fn log_tail(&self) -> String {
        let Ok(log) = std::fs::read(self.log()) else {
            return "(no log)".to_owned();
        };
        let log = String::from_utf8_lossy(&log);
        let mut lines: Vec<&str> = log.lines().rev().take(LOG_TAIL_LINES).collect();
        lines.reverse();
        lines.join("\n")
    }
}

fn configuration(
    directory: &Path,
    log: &Path,
    name: &str,
    port: u16,
    monitoring_port: Option<u16>,
) -> String {
    let mut text = format!(
        "# Written by Slipway at each start; changes are lost.\n\
         server_name: {name}\n\
         listen: \"127.0.0.1:{port}\"\n\
         max_payload: 4MB\n\
         log_file: {log}\n\
         logfile_size_limit: 16MB\n\
         logfile_max_num: 3\n\
         jetstream {{\n  store_dir: {store}\n  sync_interval: always\n}}\n",
        log = quoted(log),
        store = quoted(&directory.join("store")),
    );
    if let Some(port) = monitoring_port {
        writeln!(text, "http: \"127.0.0.1:{port}\"").expect("writing to a String cannot fail");
    }
    text
}

/// A path as a string of the server's configuration language.
fn quoted(path: &Path) -> String {
    format!(
        "\"{}\"",
        path.display()
            .to_string()
            .replace('\\', "\\\\")
            .replace('"', "\\\"")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_server_syncs_every_message_and_listens_on_loopback_only() {
        let text = configuration(
            Path::new("/data \"x\""),
            Path::new("/log"),
            "n",
            4222,
            Some(8222),
        );
        assert!(text.contains("sync_interval: always"), "{text}");
        assert!(
            text.contains("store_dir: \"/data \\\"x\\\"/store\""),
            "{text}"
        );
        assert!(
            text.contains("listen: \"127.0.0.1:4222\"")
                && text.contains("http: \"127.0.0.1:8222\""),
            "{text}"
        );
    }
}
