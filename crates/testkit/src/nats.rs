//! A real NATS server of a test's own, that can be killed and started again.

use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;

const START_LIMIT: Duration = Duration::from_secs(30);

/// A `nats-server` with JetStream and a fsync per message, on a free port of 127.0.0.1, with its data in a temporary
/// directory. Dropping it kills it and removes the data.
#[derive(Debug)]
pub struct TestNats {
    child: Option<Child>,
    directory: TempDir,
    port: u16,
    monitoring_port: u16,
}

impl TestNats {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// When `nats-server` is not in `PATH` or does not start.
    pub async fn start() -> Result<Self> {
        // Another process may take a port between our finding it free and the server's taking it.
        let mut last = None;
        for _ in 0..5 {
            let directory = tempfile::Builder::new().prefix("nats-").tempdir()?;
            let (port, monitoring_port) = (free_port().await?, free_port().await?);
            let mut server = Self {
                child: None,
                directory,
                port,
                monitoring_port,
            };
            server.write_configuration()?;
            match server.restart().await {
                Ok(()) => return Ok(server),
                Err(error) => last = Some(error),
            }
        }
        Err(last.context("no attempt was made")?)
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The address that shows the server's state.
    pub fn monitoring_url(&self) -> String {
        format!("http://127.0.0.1:{}", self.monitoring_port)
    }

    /// Kills the server at once, as a power failure would.
    ///
    /// # Errors
    /// When the operating system cannot.
    pub async fn kill(&mut self) -> Result<()> {
        match self.child.take() {
            Some(mut child) => child.kill().await.context("cannot kill nats-server"),
            None => Ok(()),
        }
    }

    /// Starts the server again (after killing it, if it still runs), on the same port and data.
    ///
    /// # Errors
    /// When it does not start.
    pub async fn restart(&mut self) -> Result<()> {
        self.kill().await?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.directory.path().join("log"))?;
        let child = Command::new("nats-server")
            .arg("--config")
            .arg(self.configuration())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn();
        let child = match child {
            Err(error) if error.kind() == ErrorKind::NotFound => {
                bail!("nats-server is not in PATH; `cargo xtask test` installs it")
            }
            child => self.child.insert(child?),
        };
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if greets(self.port, &server_name(self.port)).await {
                return Ok(());
            }
            if child.try_wait()?.is_some() || Instant::now() > deadline {
                let log =
                    std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
                bail!("nats-server does not take connections:\n{log}");
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    }

    fn configuration(&self) -> PathBuf {
        self.directory.path().join("nats.conf")
    }

    fn write_configuration(&self) -> Result<()> {
        let text = format!(
            "server_name: {}\nlisten: \"127.0.0.1:{}\"\nhttp: \"127.0.0.1:{}\"\nmax_payload: 4MB\n\
             jetstream {{ store_dir: {:?}, sync_interval: always, max_mem: 256MB, max_file: 8GB }}\n",
            server_name(self.port),
            self.port,
            self.monitoring_port,
            self.directory.path().join("store"),
        );
        std::fs::write(self.configuration(), text)
            .context("cannot write the server's configuration")
    }
}

/// Tells our server from another test's that took the port first.
fn server_name(port: u16) -> String {
    format!("test-{}-{port}", std::process::id())
}

async fn free_port() -> Result<u16> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))
        .await?
        .local_addr()?
        .port())
}

async fn greets(port: u16, name: &str) -> bool {
    let greeting = async {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).await.ok()?;
        Some(line)
    };
    let greeting = tokio::time::timeout(Duration::from_secs(1), greeting).await;
    greeting
        .ok()
        .flatten()
        .is_some_and(|line| line.contains(name))
}
