//! A real OCI registry on a free port of this machine, with storage of its own.

use std::hash::{BuildHasher, RandomState};
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// The names of the distribution project's registry: in Debian, and elsewhere.
const PROGRAMS: [&str; 2] = ["docker-registry", "registry"];
/// What runs in a container where no such program is installed.
const IMAGE: &str = "registry:2";
/// How long a registry may take to answer.
const START_LIMIT: Duration = Duration::from_secs(30);
/// How often another port is tried when somebody else took the free one.
const START_ATTEMPTS: usize = 5;

/// A registry that is stopped, and whose storage is removed, when dropped.
#[derive(Debug)]
pub struct TestRegistry {
    port: u16,
    directory: TempDir,
    running: Option<Running>,
    access: Access,
}

/// Who may use a test registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Access {
    Everyone,
    WithLogin,
}

#[derive(Debug)]
enum Running {
    Process(Child),
    Container(Container),
}

/// A container that is removed with its storage when dropped.
#[derive(Debug)]
struct Container(String);

impl TestRegistry {
    /// The user of a registry that wants a login.
    pub const USERNAME: &str = "ci";
    /// The password of a registry that wants a login.
    pub const PASSWORD: &str = "correct horse";
    /// bcrypt of [`Self::PASSWORD`].
    const HTPASSWD: &str = "ci:$2b$04$txznP.OueeLsCexcExxMkupyTnJ6H6pOYFQtxO4TuAWnATbI.x9e.\n";

    /// Starts a registry that everyone may use, and waits until it answers.
    pub async fn start() -> Result<Self> {
        Self::start_for(Access::Everyone).await
    }

    /// Starts a registry that wants [`Self::USERNAME`] and [`Self::PASSWORD`].
    pub async fn start_with_login() -> Result<Self> {
        Self::start_for(Access::WithLogin).await
    }

    async fn start_for(access: Access) -> Result<Self> {
        let mut attempt = 1;
        loop {
            let directory =
                tempfile::tempdir().context("cannot make a directory for a registry")?;
            let mut registry = Self {
                port: free_port()?,
                directory,
                running: None,
                access,
            };
            match registry.restart().await {
                Ok(()) => return Ok(registry),
                Err(_) if attempt < START_ATTEMPTS => attempt += 1,
                Err(error) => return Err(error),
            }
        }
    }

    /// The address in image references, `127.0.0.1:port`.
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops it. The port and the storage are kept.
    pub async fn stop(&mut self) -> Result<()> {
        match &mut self.running {
            None => {}
            Some(Running::Process(child)) => {
                child.kill().await.context("cannot stop the registry")?;
                self.running = None;
            }
            Some(Running::Container(container)) => docker(&["stop", "--time", "1", &container.0])
                .await
                .map(drop)?,
        }
        Ok(())
    }

    /// Starts it again on the same port, with what it held, and waits until it answers.
    pub async fn restart(&mut self) -> Result<()> {
        self.stop().await?;
        self.running = Some(match self.running.take() {
            Some(Running::Container(container)) => {
                docker(&["start", &container.0]).await?;
                Running::Container(container)
            }
            _ => match PROGRAMS.iter().find_map(|program| find_program(program)) {
                Some(program) => Running::Process(self.start_process(&program)?),
                None => Running::Container(self.start_container().await?),
            },
        });
        self.wait_until_it_answers().await
    }

    fn start_process(&self, program: &Path) -> Result<Child> {
        let directory = self.directory.path();
        let (config, log) = (directory.join("config.yml"), directory.join("log"));
        std::fs::write(&config, self.config()?)
            .context("cannot write the registry's configuration")?;
        let log = std::fs::OpenOptions::new()
            .create(true)
            .append(true)
            .open(log)?;
        Command::new(program)
            .arg("serve")
            .arg(&config)
            .env("OTEL_TRACES_EXPORTER", "none")
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .kill_on_drop(true)
            .spawn()
            .with_context(|| format!("cannot start {}", program.display()))
    }

    fn config(&self) -> Result<String> {
        let storage = self.directory.path().join("storage");
        let mut config = format!(
            "version: 0.1\n\
             log: {{ level: warn }}\n\
             storage:\n  filesystem: {{ rootdirectory: {} }}\n  delete: {{ enabled: true }}\n\
             http: {{ addr: {}, relativeurls: true, headers: {{ X-Test-Registry: [{}] }} }}\n",
            storage.display(),
            self.address(),
            self.identity(),
        );
        if self.access == Access::WithLogin {
            let path = self.write_htpasswd()?;
            config.push_str(&format!(
                "auth: {{ htpasswd: {{ realm: test, path: {} }} }}\n",
                path.display()
            ));
        }
        Ok(config)
    }

    fn write_htpasswd(&self) -> Result<PathBuf> {
        let path = self.directory.path().join("htpasswd");
        std::fs::write(&path, Self::HTPASSWD).context("cannot write the registry's passwords")?;
        Ok(path)
    }

    async fn start_container(&self) -> Result<Container> {
        let publish = format!("127.0.0.1:{}:5000", self.port);
        let mut arguments = vec![
            "run",
            "--detach",
            "--label",
            "slipway.test=registry",
            "--publish",
            &publish,
        ];
        arguments.extend([
            "--env",
            "REGISTRY_STORAGE_DELETE_ENABLED=true",
            "--env",
            "REGISTRY_HTTP_RELATIVEURLS=true",
        ]);
        let mount;
        if self.access == Access::WithLogin {
            mount = format!("{}:/htpasswd:ro", self.write_htpasswd()?.display());
            arguments.extend(["--volume", &mount, "--env", "REGISTRY_AUTH=htpasswd"]);
            arguments.extend(["--env", "REGISTRY_AUTH_HTPASSWD_REALM=test"]);
            arguments.extend(["--env", "REGISTRY_AUTH_HTPASSWD_PATH=/htpasswd"]);
        }
        arguments.push(IMAGE);
        let id = docker(&arguments).await.context(
            "no registry for tests: install docker-registry (Debian), or make the image registry:2 available",
        )?;
        Ok(Container(id.trim().to_owned()))
    }

    async fn wait_until_it_answers(&mut self) -> Result<()> {
        let deadline = Instant::now() + START_LIMIT;
        while !self.answers().await {
            if let Some(Running::Process(child)) = &mut self.running
                && let Some(status) = child.try_wait()?
            {
                bail!("the registry ended at once ({status}): {}", self.log());
            }
            ensure!(
                Instant::now() < deadline,
                "the registry does not answer at {}: {}",
                self.address(),
                self.log()
            );
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Whether this very registry answers, and not another test's that took the port in between.
    async fn answers(&self) -> bool {
        match &self.running {
            Some(Running::Process(_)) => {
                let head = answer(self.port).await.unwrap_or_default();
                is_welcoming(&head) && head.contains(&self.identity())
            }
            // The engine refuses to publish a port that is taken.
            _ => answers(self.port).await,
        }
    }

    /// What a registry of this process says about itself in every answer.
    fn identity(&self) -> String {
        self.directory.path().display().to_string()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }
}

impl Drop for Container {
    fn drop(&mut self) {
        let arguments = ["rm", "--force", "--volumes", &self.0];
        let removed = std::process::Command::new("docker")
            .args(arguments)
            .stdout(Stdio::null())
            .status();
        if let Err(error) = removed {
            eprintln!(
                "the container {} of a test registry was not removed: {error}",
                self.0
            );
        }
    }
}

/// Whether a registry answers, even if only to ask for a login.
async fn answers(port: u16) -> bool {
    matches!(answer(port).await, Ok(head) if is_welcoming(&head))
}

/// The head of what a registry answers.
async fn answer(port: u16) -> Result<String> {
    let asking = async {
        let mut stream = TcpStream::connect(("127.0.0.1", port)).await?;
        let request = b"GET /v2/ HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
        stream.write_all(request).await?;
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await?;
        Ok(String::from_utf8_lossy(&answer).into_owned())
    };
    tokio::time::timeout(Duration::from_secs(2), asking).await?
}

fn is_welcoming(head: &str) -> bool {
    matches!(head.split(' ').nth(1), Some("200" | "401"))
}

/// A port that nobody listens on, below those that systems give to connections: so that it is still free when a stopped
/// registry comes back.
fn free_port() -> Result<u16> {
    let start = RandomState::new().hash_one(std::process::id());
    let candidates = (0..1000)
        .map(|step| 12_000 + u16::try_from(start.wrapping_add(step) % 20_000).unwrap_or(0));
    let free = candidates
        .into_iter()
        .find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.context("no port from 12000 to 31999 is free")
}

fn find_program(name: &str) -> Option<PathBuf> {
    let path = std::env::var_os("PATH")?;
    std::env::split_paths(&path)
        .map(|directory| directory.join(name))
        .find(|candidate| candidate.is_file())
}

async fn docker(arguments: &[&str]) -> Result<String> {
    let output = Command::new("docker")
        .args(arguments)
        .stdin(Stdio::null())
        .output()
        .await;
    let output = output.context("cannot run docker")?;
    let error = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "docker {} failed: {}",
        arguments.join(" "),
        error.trim()
    );
    Ok(String::from_utf8_lossy(&output.stdout).into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_registry_stops_and_comes_back_on_its_port() {
        let mut registry = TestRegistry::start().await.unwrap();
        let port = registry.port;
        assert!(answers(port).await);
        registry.stop().await.unwrap();
        assert!(!answers(port).await);
        registry.restart().await.unwrap();
        assert!(answers(port).await && registry.port == port);
        drop(registry);
        let deadline = Instant::now() + Duration::from_secs(10);
        while answers(port).await {
            assert!(Instant::now() < deadline, "it goes on after being dropped");
            tokio::task::yield_now().await;
        }
    }

    #[tokio::test]
    async fn a_container_stands_in_where_no_program_is_installed() {
        if docker(&["image", "inspect", IMAGE]).await.is_err() {
            eprintln!("left out: this machine has no engine with the image {IMAGE}");
            return;
        }
        let directory = tempfile::tempdir().unwrap();
        let access = Access::WithLogin;
        let mut registry = TestRegistry {
            port: free_port().unwrap(),
            directory,
            running: None,
            access,
        };
        registry.running = Some(Running::Container(
            registry.start_container().await.unwrap(),
        ));
        registry.wait_until_it_answers().await.unwrap();
        registry.stop().await.unwrap();
        assert!(!answers(registry.port).await);
        registry.restart().await.unwrap();
        assert!(matches!(registry.running, Some(Running::Container(_))));
    }
}
