//! An installation of Slipway for one test: `slipway up` with a data directory, registries and environments of its own.

mod asking;
mod cleanup;

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::path::PathBuf;
use std::process::Stdio;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use tempfile::TempDir;
use testkit::registry::TestRegistry;
use tokio::process::{Child, Command};

use crate::binaries::Binaries;
use crate::{docker, eventually, processes};

const START_LIMIT: Duration = Duration::from_secs(60);
const STOP_LIMIT: Duration = Duration::from_secs(60);

/// Who starts an installation with colleagues.
pub const OPERATOR: &str = "ada";

/// What is special about an installation.
#[derive(Debug, Clone, Default)]
pub struct Setup {
    /// How many people must agree before a deployment to production.
    pub approvals: u32,
    /// The secret of the webhooks of all forges.
    pub webhook_secret: Option<String>,
    /// People besides the one who starts it, each with a token.
    pub colleagues: &'static [(&'static str, &'static str)],
    /// Images that the engine must have, besides the small service's.
    pub images: &'static [&'static str],
}

/// Slipway, running. Everything that it made on the engine is removed when it is dropped.
#[derive(Debug)]
pub struct Installation {
    /// The registry for everything that is built.
    pub development: TestRegistry,
    /// The registry for releases.
    pub production: TestRegistry,
    name: String,
    folder: TempDir,
    binaries: Binaries,
    listen: String,
    process: Option<Child>,
    runs: Mutex<BTreeSet<String>>,
}

impl Installation {
    /// Starts one without approvals; see [`Installation::with`].
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn start() -> Result<Option<Self>> {
        Self::with(Setup::default()).await
    }

    /// Starts one with the environments [`Self::test`] and [`Self::live`], and waits until it answers. `None` where
    /// the machine lacks what it takes, after saying so; with `SLIPWAY_TEST_REQUIRE=1` that is a panic.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn with(setup: Setup) -> Result<Option<Self>> {
        if !testkit::docker::engine_answers() || !images_are_there(&setup) {
            return Ok(None);
        }
        testkit::docker::busybox_image()?;
        let mut here = Self {
            development: TestRegistry::start().await?,
            production: TestRegistry::start().await?,
            name: unique_name(),
            folder: tempfile::Builder::new().prefix("slipway-test-").tempdir()?,
            binaries: tokio::task::spawn_blocking(Binaries::find).await??,
            listen: "127.0.0.1:0".to_owned(),
            process: None,
            runs: Mutex::default(),
        };
        here.write_platform(&setup)?;
        here.write_tokens(&setup)?;
        here.up().await?;
        // A gateway that is started again is found where it was.
        here.listen = here.server()?.trim_start_matches("http://").to_owned();
        Ok(Some(here))
    }

    fn write_platform(&self, setup: &Setup) -> Result<()> {
        let mut platform = format!(
            "registries:\n  development: {{ address: \"{}\" }}\n  production: {{ address: \"{}\" }}\n\
             environments:\n  {}: {{}}\n  {}: {{ production: true, approvals: {} }}\n",
            self.development.address(),
            self.production.address(),
            self.test(),
            self.live(),
            setup.approvals,
        );
        if let Some(secret) = &setup.webhook_secret {
            let file = self.path("webhook-secret");
            fs::write(&file, secret)?;
            platform.push_str("webhooks:\n");
            for forge in ["github", "gitlab", "gitea"] {
                platform.push_str(&format!(
                    "  {forge}: {{ secret: \"file:{}\" }}\n",
                    file.display()
                ));
            }
        }
        Ok(fs::write(self.path("platform.yaml"), platform)?)
    }

    fn write_tokens(&self, setup: &Setup) -> Result<()> {
        if setup.colleagues.is_empty() {
            return Ok(());
        }
        fs::create_dir(self.data())?;
        let own = format!("{OPERATOR} 0123456789abcdef0123456789abcdef\n");
        let lines = setup
            .colleagues
            .iter()
            .map(|(name, token)| format!("{name} {token}\n"));
        Ok(fs::write(
            self.data().join("token"),
            own + &lines.collect::<String>(),
        )?)
    }

    /// The name of the environment that comes first.
    #[must_use]
    pub fn test(&self) -> String {
        format!("{}-test", self.name)
    }

    /// The name of the environment that is production.
    #[must_use]
    pub fn live(&self) -> String {
        format!("{}-production", self.name)
    }

    /// The name of a deployment's stage: `deploy:<environment>`.
    #[must_use]
    pub fn deploy(environment: &str) -> String {
        format!("deploy:{environment}")
    }

    /// A file or folder of the installation.
    #[must_use]
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.path("data")
    }

    /// Where the gateway is.
    ///
    /// # Errors
    /// When it did not say so.
    pub fn server(&self) -> Result<String> {
        Ok(fs::read_to_string(self.data().join("endpoint"))?
            .trim()
            .to_owned())
    }

    /// Where NATS is, as `slipway up` says it.
    ///
    /// # Errors
    /// When it did not.
    pub fn nats_url(&self) -> Result<String> {
        let log = self.log();
        let at = log
            .rfind("nats://")
            .context("slipway up does not say where NATS is")?;
        Ok(log[at..]
            .split_whitespace()
            .next()
            .unwrap_or_default()
            .to_owned())
    }

    /// What `slipway up` printed so far.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read(self.path("up.log"))
            .map(|bytes| String::from_utf8_lossy(&bytes).into_owned())
            .unwrap_or_default()
    }

    /// Starts `slipway up`, and waits until it answers.
    ///
    /// # Errors
    /// When it does not come up.
    pub async fn up(&mut self) -> Result<()> {
        ensure!(self.process.is_none(), "it runs already");
        let _ = fs::remove_file(self.data().join("endpoint"));
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.path("up.log"))?;
        let process = Command::new(&self.binaries.slipway)
            .args(["up", "--nats-port", "0", "--listen", &self.listen])
            .args(["--development-registry", &self.development.address()])
            .args(["--production-registry", &self.production.address()])
            .arg("--data-dir")
            .arg(self.data())
            .arg("--platform")
            .arg(self.path("platform.yaml"))
            .arg("--edge-binary")
            .arg(&self.binaries.edge)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .kill_on_drop(true)
            .spawn()?;
        self.process = Some(process);
        eventually("slipway up answers", START_LIMIT, async || {
            if let Some(process) = &mut self.process
                && let Some(status) = process.try_wait()?
            {
                bail!("slipway up ended ({status}): {}", self.log());
            }
            if !self.data().join("endpoint").exists() {
                return Ok(None);
            }
            let answer = self.slipway(&["run", "list"]).await?;
            Ok(answer.good.then_some(()))
        })
        .await
    }

    /// The process id of `slipway up`.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        self.process
            .as_ref()
            .and_then(Child::id)
            .context("slipway up does not run")
    }

    /// Ends `slipway up` as a crash would, in the middle of whatever it does. Its NATS server is left behind.
    ///
    /// # Errors
    /// When it does not run.
    pub async fn kill(&mut self) -> Result<()> {
        let mut process = self.process.take().context("slipway up does not run")?;
        Ok(process.kill().await?)
    }

    /// Asks `slipway up` to end, and waits until it did so in order.
    ///
    /// # Errors
    /// When it does not run, does not end, or ends with an error.
    pub async fn terminate(&mut self) -> Result<()> {
        let mut process = self.process.take().context("slipway up does not run")?;
        processes::terminate(process.id().context("slipway up ended by itself")?);
        let ended = tokio::time::timeout(STOP_LIMIT, process.wait()).await;
        let status = ended.context("slipway up does not end when it is asked to")??;
        ensure!(
            status.success(),
            "slipway up ended with {status}: {}",
            self.log()
        );
        Ok(())
    }
}

fn unique_name() -> String {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    format!(
        "t{:x}{}",
        std::process::id(),
        COUNT.fetch_add(1, Ordering::Relaxed)
    )
}

fn images_are_there(setup: &Setup) -> bool {
    let missing = setup.images.iter().find(|image| !docker::has_image(image));
    if let Some(image) = missing {
        testkit::skip::skip(&format!("no image {image}"));
    }
    missing.is_none()
}
