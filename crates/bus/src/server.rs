//! A NATS server as a child process, for running all of Slipway on one machine.
//!
//! The server listens on 127.0.0.1 only, keeps its data in a directory of its own, and syncs every message before it
//! acknowledges it. It ends with its owner: by [`NatsServer::stop`], when the handle is dropped, or, when the owner
//! was killed, when the next owner starts on the same directory.

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{Child, Command};
use tokio::time::Instant;

use self::files::Files;

mod files;
mod orphan;

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(15);
const OLDEST: (u32, u32) = (2, 10);

/// How to run a server.
#[derive(Debug, Clone)]
pub struct NatsServerConfig {
    /// The program; a name without a slash is looked up in `PATH`.
    pub binary: PathBuf,
    /// Where the server keeps its data, configuration, log and process id. Created when missing.
    pub data_directory: PathBuf,
    /// The port for clients; a free one when `None`.
    pub port: Option<u16>,
    /// Whether to show the server's state on another free port of 127.0.0.1.
    pub monitoring: bool,
}

impl NatsServerConfig {
    /// `nats-server` from `PATH`, on free ports, with monitoring.
    pub fn new(data_directory: impl Into<PathBuf>) -> Self {
        Self {
            binary: "nats-server".into(),
            data_directory: data_directory.into(),
            port: None,
            monitoring: true,
        }
    }
}

/// Why a server does not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServerError {
    /// The program is not there.
    #[error(
        "cannot find {binary}; install nats-server 2.10 or later (Debian, Ubuntu: `apt-get install nats-server`; macOS: \
         `brew install nats-server`; others: https://github.com/nats-io/nats-server/releases), or name a running one"
    )]
    Missing {
        /// What was looked for.
        binary: String,
    },
    /// The program is too old to sync every message.
    #[error(
        "{binary} is version {found}; Slipway needs nats-server 2.10 or later, install a newer one"
    )]
    TooOld {
        /// The program.
        binary: String,
        /// What it says its version is.
        found: String,
    },
    /// The program cannot be run.
    #[error("cannot run {binary}")]
    Run {
        /// The program.
        binary: String,
        /// Why.
        source: io::Error,
    },
    /// A file in the data directory cannot be read or written.
    #[error("cannot use {path} for the NATS server")]
    Files {
        /// The file or directory.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// No port is free, or the one asked for is not.
    #[error("cannot listen on port {port} of 127.0.0.1 for the NATS server")]
    Port {
        /// The port; 0 for any.
        port: u16,
        /// Why.
        source: io::Error,
    },
    /// The data directory is in use.
    #[error(
        "a NATS server (process {server}) started by process {owner} uses {directory}; stop that first"
    )]
    InUse {
        /// The data directory.
        directory: String,
        /// The process id of the server.
        server: u32,
        /// The process id of its owner.
        owner: u32,
    },
    /// A server that a killed owner left behind does not stop.
    #[error("the NATS server left behind as process {server} does not stop; end it by hand")]
    Orphan {
        /// The process id of the server.
        server: u32,
    },
    /// The server ended, or did not answer in time.
    #[error("the NATS server did not start ({what}); the end of {log} says:\n{tail}")]
    NotReady {
        /// What it did instead.
        what: String,
        /// Its log file.
        log: String,
        /// The last lines of the log.
        tail: String,
    },
}

/// A running server. Dropping it kills the server, which loses nothing that was acknowledged.
#[derive(Debug)]
pub struct NatsServer {
    child: Child,
    files: Files,
    port: u16,
    monitoring_port: Option<u16>,
}

impl NatsServer {
    /// Starts a server and waits until it takes connections.
    ///
    /// # Errors
    /// When the program is missing, too old, or does not come up; the error says what to do.
    pub async fn start(config: NatsServerConfig) -> Result<Self, ServerError> {
        let binary = config.binary.display().to_string();
        check_version(&config.binary, &binary).await?;
        let files = Files::create(&config.data_directory)?;
        orphan::make_way(&files).await?;
        let port = free_port(config.port).await?;
        let monitoring_port = if config.monitoring {
            Some(free_port(None).await?)
        } else {
            None
        };
        let name = format!("slipway-{}", uuid::Uuid::new_v4().simple());
        files.write_configuration(&name, port, monitoring_port)?;
        let child = Command::new(&config.binary)
            .arg("--config")
            .arg(files.configuration())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // Ctrl-C on the terminal is for the owner, which then stops the server last.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .map_err(|source| ServerError::Run { binary, source })?;
        let mut server = Self {
            child,
            files,
            port,
            monitoring_port,
        };
        if let Some(pid) = server.child.id() {
            server.files.write_owner(pid)?;
        }
        server.wait_until_ready(&name).await?;
        Ok(server)
    }

    /// The address for clients.
    pub fn url(&self) -> String {
        format!("nats://127.0.0.1:{}", self.port)
    }

    /// The address that shows the server's state.
    pub fn monitoring_url(&self) -> Option<String> {
        self.monitoring_port
            .map(|port| format!("http://127.0.0.1:{port}"))
    }

    /// Waits until the server ends by itself, which it should not.
    ///
    /// # Errors
    /// When the operating system cannot say.
    pub async fn exited(&mut self) -> io::Result<ExitStatus> {
        self.child.wait().await
    }

    /// Asks the server to stop, and kills it when it has not within 15 seconds.
    ///
    /// # Errors
    /// When the operating system cannot end it.
    pub async fn stop(mut self) -> io::Result<()> {
        if let Some(pid) = self.child.id() {
            orphan::terminate(pid).await;
            if tokio::time::timeout(STOP_LIMIT, self.child.wait())
                .await
                .is_err()
            {
                tracing::warn!(
                    server.pid = pid,
                    "the NATS server does not stop; killing it"
                );
                self.child.kill().await?;
            }
        }
        self.files.remove_owner();
        Ok(())
    }

    async fn wait_until_ready(&mut self, name: &str) -> Result<(), ServerError> {
        let deadline = Instant::now() + START_LIMIT;
        loop {
            if greeting(self.port)
                .await
                .is_some_and(|info| info.contains(name))
            {
                return Ok(());
            }
            let what = match self.child.try_wait() {
                Ok(Some(status)) => format!("it ended with {status}"),
                Ok(None) if Instant::now() < deadline => {
                    tokio::time::sleep(Duration::from_millis(20)).await;
                    continue;
                }
                Ok(None) => format!("it took no connections within {START_LIMIT:?}"),
                Err(error) => format!("its state is unknown: {error}"),
            };
            let (log, tail) = (
                self.files.log().display().to_string(),
                self.files.log_tail(),
            );
            return Err(ServerError::NotReady { what, log, tail });
        }
    }
}

/// Fails when the program is missing or too old.
async fn check_version(program: &Path, binary: &str) -> Result<(), ServerError> {
    let output = Command::new(program)
        .arg("--version")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await;
    let output = output.map_err(|source| match source.kind() {
        io::ErrorKind::NotFound => ServerError::Missing {
            binary: binary.to_owned(),
        },
        _ => ServerError::Run {
            binary: binary.to_owned(),
            source,
        },
    })?;
    let said = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    if version(&said).is_some_and(|version| version >= OLDEST) {
        return Ok(());
    }
    Err(ServerError::TooOld {
        binary: binary.to_owned(),
        found: said,
    })
}

/// Major and minor version in `nats-server: v2.10.27`.
fn version(said: &str) -> Option<(u32, u32)> {
    let mut parts = said.rsplit_once('v')?.1.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// The port, if it is free; some free port when none is asked for.
async fn free_port(wanted: Option<u16>) -> Result<u16, ServerError> {
    let port = wanted.unwrap_or(0);
    let bound = TcpListener::bind((Ipv4Addr::LOCALHOST, port))
        .await
        .and_then(|listener| listener.local_addr());
    Ok(bound
        .map_err(|source| ServerError::Port { port, source })?
        .port())
}

/// The first line that the server on a port says.
async fn greeting(port: u16) -> Option<String> {
    let read = async {
        let connection = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await.ok()?;
        let mut line = String::new();
        BufReader::new(connection).read_line(&mut line).await.ok()?;
        Some(line)
    };
    tokio::time::timeout(Duration::from_secs(1), read)
        .await
        .ok()?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_read_from_what_the_program_says() {
        assert_eq!(version("nats-server: v2.10.27"), Some((2, 10)));
        assert_eq!(version("nats-server: v2.9.10-beta.1"), Some((2, 9)));
        assert_eq!(version("something else"), None);
    }
}
