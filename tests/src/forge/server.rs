//! Git's own server: what a forge is when it is asked for commits.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};

use crate::eventually;

const START_LIMIT: Duration = Duration::from_secs(20);

/// Serves one repository; dropping it ends the server.
#[derive(Debug)]
pub struct Forge {
    url: String,
    _server: Child,
}

impl Forge {
    /// Serves the repository in this folder, and waits until the server answers.
    ///
    /// # Errors
    /// When it does not.
    pub async fn of(repository: &Path) -> Result<Self> {
        let port = TcpListener::bind(("127.0.0.1", 0))
            .await?
            .local_addr()?
            .port();
        // `git daemon` would start another process that outlives it.
        let server = Command::new(programs().await?.join("git-daemon"))
            .args([
                "--listen=127.0.0.1",
                &format!("--port={port}"),
                "--export-all",
                "--reuseaddr",
            ])
            .arg(format!("--base-path={}", repository.display()))
            .arg(repository)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .context("git-daemon can't be started")?;
        eventually("git-daemon answers", START_LIMIT, async || {
            TcpStream::connect(("127.0.0.1", port)).await?;
            Ok(Some(()))
        })
        .await?;
        Ok(Self {
            url: format!("git://127.0.0.1:{port}/.git"),
            _server: server,
        })
    }

    /// The repository's address.
    #[must_use]
    pub fn url(&self) -> String {
        self.url.clone()
    }
}

async fn programs() -> Result<PathBuf> {
    let output = Command::new("git").arg("--exec-path").output().await?;
    Ok(String::from_utf8(output.stdout)?.trim().into())
}
