//! The handle on an engine: connecting to it, and calling it with a time limit.

use std::{env, fmt, future::Future, path::Path, sync::Arc, time::Duration};

use bollard::Docker;
use tokio_util::task::TaskTracker;

use crate::{Error, Result};

/// What `docker` uses where nothing else is said.
const DEFAULT_HOST: &str = "unix:///var/run/docker.sock";
/// The time limit of a call that should be answered at once.
pub(crate) const QUICK: Duration = Duration::from_secs(30);
/// The time limit of a call that moves data or waits for the kernel.
pub(crate) const SLOW: Duration = Duration::from_secs(300);
/// The client library's own limit is above all of ours: it would also cut builds and waits that take their time.
const LIBRARY_TIMEOUT: Duration = Duration::from_secs(7 * 24 * 3600);

/// A Docker engine. Cloning is cheap; clones share the connection settings and the background clean-up.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    docker: Docker,
    host: String,
    id: String,
    version: String,
    tasks: TaskTracker,
}

impl Engine {
    /// Connects to the engine that `DOCKER_HOST` names, otherwise to the default socket (also of a rootless engine).
    pub async fn connect() -> Result<Self> {
        let host = env::var("DOCKER_HOST").unwrap_or_else(|_| default_host());
        Self::connect_to(&host).await
    }

    /// Connects to the engine at an address: `unix://PATH`, `tcp://HOST:PORT`, `https://HOST:PORT`.
    pub async fn connect_to(host: &str) -> Result<Self> {
        let unreachable = |source| Error::Unreachable {
            host: host.to_owned(),
            source: Box::new(source),
        };
        let docker = Docker::connect_with_host(host).map_err(|source| match source {
            bollard::errors::Error::SocketNotFoundError(_) => unreachable(source),
            source => Error::BadHost {
                host: host.to_owned(),
                source: Box::new(source),
            },
        })?;
        let greet = async {
            let docker = docker
                .with_timeout(LIBRARY_TIMEOUT)
                .negotiate_version()
                .await?;
            let info = docker.info().await?;
            Ok((docker, info))
        };
        let (docker, info) = within("say who it is", QUICK, async {
            greet.await.map_err(unreachable)
        })
        .await?;
        Ok(Self {
            inner: Arc::new(Inner {
                docker,
                host: host.to_owned(),
                id: info.id.unwrap_or_default(),
                version: info.server_version.unwrap_or_default(),
                tasks: TaskTracker::new(),
            }),
        })
    }

    /// The engine's own id: two workers with the same id share images and containers.
    pub fn id(&self) -> &str {
        &self.inner.id
    }

    /// The engine's version, e.g. `20.10.24`.
    pub fn version(&self) -> &str {
        &self.inner.version
    }

    /// The address it was reached at.
    pub fn host(&self) -> &str {
        &self.inner.host
    }

    /// Whether the engine answers now.
    pub async fn ping(&self) -> Result<()> {
        self.call("answer a ping", QUICK, self.docker().ping())
            .await?;
        Ok(())
    }

    /// Waits for clean-ups that run in the background (a step or an archive that was dropped half-way). Call it last.
    pub async fn close(&self) {
        self.inner.tasks.close();
        self.inner.tasks.wait().await;
    }

    pub(crate) fn docker(&self) -> &Docker {
        &self.inner.docker
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    /// Makes one call, with a limit. `doing` completes "the engine could not …".
    pub(crate) async fn call<T>(
        &self,
        doing: &str,
        limit: Duration,
        call: impl Future<Output = Result<T, bollard::errors::Error>>,
    ) -> Result<T> {
        within(doing, limit, async {
            call.await.map_err(|error| Error::of(doing, error))
        })
        .await
    }
}

impl fmt::Debug for Engine {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Engine")
            .field("host", &self.inner.host)
            .field("id", &self.inner.id)
            .field("version", &self.inner.version)
            .finish()
    }
}

/// Limits how long we wait for the engine.
pub(crate) async fn within<T>(
    doing: &str,
    limit: Duration,
    future: impl Future<Output = Result<T>>,
) -> Result<T> {
    match tokio::time::timeout(limit, future).await {
        Ok(result) => result,
        Err(_) => Err(Error::NoAnswer {
            doing: doing.to_owned(),
            limit,
        }),
    }
}

/// The system's engine, otherwise a rootless one or Docker Desktop's.
fn default_host() -> String {
    let rootless = env::var("XDG_RUNTIME_DIR").map(|dir| format!("{dir}/docker.sock"));
    let desktop = env::var("HOME").map(|home| format!("{home}/.docker/run/docker.sock"));
    let candidates = [rootless, desktop];
    let system = DEFAULT_HOST.trim_start_matches("unix://");
    if Path::new(system).exists() {
        return DEFAULT_HOST.to_owned();
    }
    candidates
        .into_iter()
        .flatten()
        .find(|path| Path::new(path).exists())
        .map_or_else(|| DEFAULT_HOST.to_owned(), |path| format!("unix://{path}"))
}
