//! A deployer as a process of its own, an environment of its own, and runs that have come to their deployment.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bus::aggregates::Log;
use bus::{Bus, BusConfig, LogItem};
use domain::ids::{Digest, EnvironmentName, RunId};
use domain::platform::PlatformSpec;
use domain::rollout::Rollouts;
use domain::run::Run;
use domain::stage::{Failure, Outcome, StageName};
use engine::labels::{self, Labels};
use engine::{BuildSpec, ContainerInfo, Context, Engine};
use proto::deployer::v1::deployer_service_client::DeployerServiceClient;
use proto::deployer::v1::{GetLiveStateRequest, LiveService};
use service_kit::auth::Secret;
use service_kit::grpc::{ShowToken, channel};
use tempfile::TempDir;
use testkit::nats::TestNats;
use testkit::registry::TestRegistry;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

/// The token that opens the deployer's gRPC.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// How long anything may take before the test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// The service that every test deploys.
pub(crate) const SERVICE: &str = "shop";
/// A web server that answers with its version, and ends when it is told to.
const SERVER: &str = "trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

/// Who asks a deployer.
pub(crate) type Questions = DeployerServiceClient<InterceptedService<Channel, ShowToken>>;

pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) runs: Log<Run>,
    pub(crate) rollouts: Log<Rollouts>,
    pub(crate) bus: Bus,
    pub(crate) platform: PlatformSpec,
    /// An environment fed from the development registry.
    pub(crate) test: EnvironmentName,
    /// An environment that takes releases only.
    pub(crate) production: EnvironmentName,
    deployer: Option<Child>,
    port: u16,
    images: std::sync::Mutex<Vec<String>>,
    nats: TestNats,
    registry: TestRegistry,
    directory: TempDir,
}

/// Whether there is all that a rollout needs.
pub(crate) fn is_possible() -> bool {
    if !testkit::docker::engine_answers() {
        return false;
    }
    if edge_binary().is_none() {
        testkit::skip::skip("no static edge binary; name one with SLIPWAY_EDGE_BINARY");
        return false;
    }
    true
}

/// Ends a test where something is missing.
#[macro_export]
macro_rules! needs_all {
    () => {
        if !$crate::bench::is_possible() {
            return Ok(());
        }
    };
}

fn edge_binary() -> Option<PathBuf> {
    let named = std::env::var_os("SLIPWAY_EDGE_BINARY").map(PathBuf::from);
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
        PathBuf::from,
    );
    let triple = format!("{}-unknown-linux-gnu", std::env::consts::ARCH);
    let built = ["release", "debug"].map(|profile| target.join(&triple).join(profile).join("edge"));
    named.into_iter().chain(built).find(|path| path.is_file())
}

impl Bench {
    pub(crate) async fn start() -> Result<Self> {
        testkit::docker::busybox_image()?;
        let (nats, registry) = (TestNats::start().await?, TestRegistry::start().await?);
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let address = registry.address();
        let mut platform = PlatformSpec::default_for_one_machine(&address, &address);
        platform.registries.production.prefix = Some("releases".to_owned());
        let (test, production): (EnvironmentName, EnvironmentName) =
            (format!("t{id}").parse()?, format!("p{id}").parse()?);
        let (of_test, of_production) = (
            platform.environment("test")?.1.clone(),
            platform.environment("production")?.1.clone(),
        );
        platform.environments =
            [(test.clone(), of_test), (production.clone(), of_production)].into();
        let bus = Bus::connect(&BusConfig::new(nats.url(), "tests")).await?;
        let mut bench = Self {
            engine: Engine::connect().await?,
            runs: Log::new(bus.events()),
            rollouts: Log::new(bus.events()),
            bus,
            platform,
            test,
            production,
            deployer: None,
            port: std::net::TcpListener::bind("127.0.0.1:0")?
                .local_addr()?
                .port(),
            images: std::sync::Mutex::default(),
            nats,
            registry,
            directory: tempfile::tempdir()?,
        };
        bench.start_deployer()?;
        Ok(bench)
    }

    /// Starts a deployer; one that runs is killed.
    pub(crate) fn start_deployer(&mut self) -> Result<()> {
        let file = |name: &str| self.directory.path().join(name);
        std::fs::write(file("tokens"), format!("tests {TOKEN}\n"))?;
        // JSON is YAML, too.
        std::fs::write(
            file("platform.yaml"),
            serde_json::to_string(&self.platform)?,
        )?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(file("log"))?;
        let deployer = Command::new(env!("CARGO_BIN_EXE_deployer"))
            .arg(format!("--nats-url={}", self.nats.url()))
            .arg(format!("--platform={}", file("platform.yaml").display()))
            .arg(format!("--token-file={}", file("tokens").display()))
            .arg(format!("--source-cache={}", file("sources").display()))
            .arg(format!("--listen=127.0.0.1:{}", self.port))
            .arg(format!(
                "--edge-binary={}",
                edge_binary().context("no edge")?.display()
            ))
            .env("SHOP_SECRET", "open sesame")
            .stdout(log.try_clone()?)
            .stderr(Stdio::from(log))
            .kill_on_drop(true)
            .spawn()?;
        self.deployer = Some(deployer);
        Ok(())
    }

    /// Ends the deployer as a power failure would.
    pub(crate) async fn kill_deployer(&mut self) -> Result<()> {
        match self.deployer.take() {
            Some(mut deployer) => Ok(deployer.kill().await?),
            None => Ok(()),
        }
    }

    /// The image of a web server that answers `body`, on whatever port it is told.
    pub(crate) async fn server(&self, body: &str) -> Result<Digest> {
        self.image(body, SERVER).await
    }

    /// An image that runs `script`, with a page that says `body`.
    pub(crate) async fn image(&self, body: &str, script: &str) -> Result<Digest> {
        let command = serde_json::to_string(&["sh", "-c", script])?;
        let dockerfile = format!(
            "FROM {}\nCOPY www /www\nEXPOSE 8080\nCMD {command}\n",
            testkit::docker::BUSYBOX
        );
        let files = BTreeMap::from([
            ("Dockerfile".to_owned(), dockerfile.into_bytes()),
            ("www/index.html".to_owned(), body.as_bytes().to_vec()),
            // Tests that end remove their images, and with them layers that another one builds on just now.
            (
                "www/unlike-others".to_owned(),
                uuid::Uuid::new_v4().into_bytes().to_vec(),
            ),
            ("www/healthz".to_owned(), b"well".to_vec()),
            (format!("www/health-of-{body}"), b"well".to_vec()),
            (format!("www/{body}.json"), br#"{"checks": [0.5]}"#.to_vec()),
        ]);
        let mut digest = None;
        let service = SERVICE.parse()?;
        for repository in [
            self.platform.development_repository(&service),
            self.platform.production_repository(&service),
        ] {
            let name = format!("{repository}:{}", uuid::Uuid::new_v4().simple());
            let mut spec = BuildSpec::new(Context::Tar(engine::tar_files(&files)?));
            spec.tags = vec![name.clone()];
            let (sink, mut output) = tokio::sync::mpsc::channel(16);
            let cancel = tokio_util::sync::CancellationToken::new();
            let build = self.engine.build_image(spec, sink, &cancel);
            let (built, ()) = tokio::join!(build, async { while output.recv().await.is_some() {} });
            built?;
            digest = Some(self.engine.push(&name, None, None).await?.parse()?);
            self.images.lock().expect("no panic").push(name);
        }
        digest.context("no image")
    }

    /// Waits until the first attempt at the run's deployment has ended.
    pub(crate) async fn outcome(
        &self,
        run: &RunId,
        environment: &EnvironmentName,
    ) -> Result<Outcome> {
        let stage = StageName::Deploy(environment.clone());
        let ended = eventually("the rollout ends", async || {
            let run = self.runs.get(run).await?;
            let attempt = run
                .as_ref()
                .and_then(|run| run.stage(&stage)?.attempts.first());
            Ok(attempt
                .and_then(|a| a.ended.as_ref())
                .map(|(outcome, _)| outcome.clone()))
        });
        ended.await.with_context(|| self.deployers_words())
    }

    /// Waits until the run's deployment has ended for good.
    pub(crate) async fn finally(
        &self,
        run: &RunId,
        environment: &EnvironmentName,
    ) -> Result<Outcome> {
        use domain::run::StageState;
        let stage = StageName::Deploy(environment.clone());
        let ended = eventually("the stage ends", async || {
            let run = self.runs.get(run).await?;
            let state = run.as_ref().and_then(|run| Some(&run.stage(&stage)?.state));
            Ok(match state {
                Some(StageState::Ended { outcome, .. }) => Some(outcome.clone()),
                _ => None,
            })
        });
        ended.await.with_context(|| self.deployers_words())
    }

    pub(crate) async fn rollouts(&self, environment: &EnvironmentName) -> Result<Rollouts> {
        let key = (environment.clone(), SERVICE.parse()?);
        Ok(self.rollouts.get(&key).await?.unwrap_or_default())
    }

    /// Where the service answers in an environment.
    pub(crate) async fn address(&self, environment: &EnvironmentName) -> Result<String> {
        let rollouts = self.rollouts(environment).await?;
        Ok(rollouts
            .current()
            .context("nothing is deployed")?
            .address
            .clone())
    }

    /// What the service answers.
    pub(crate) async fn answer(&self, environment: &EnvironmentName) -> Result<String> {
        let load = testkit::load::Load::start(self.address(environment).await?, 1, Some(50.0));
        let report = eventually_load(load).await?;
        report.context("no answer")
    }

    /// The containers of an environment that have a role, sorted by name.
    pub(crate) async fn containers(
        &self,
        environment: &EnvironmentName,
        role: &str,
    ) -> Result<Vec<ContainerInfo>> {
        let filter = labels::of([
            (labels::ENVIRONMENT, environment.as_str()),
            (labels::ROLE, role),
        ]);
        let mut found = self.engine.list(&filter).await?;
        found.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(found)
    }

    /// The versions of the replicas that there are.
    pub(crate) async fn versions(&self, environment: &EnvironmentName) -> Result<Vec<String>> {
        let replicas = self.containers(environment, "replica").await?;
        let version =
            |c: &ContainerInfo| c.labels.get(labels::VERSION).cloned().unwrap_or_default();
        Ok(replicas.iter().map(version).collect())
    }

    /// What the deployer answers about an environment.
    pub(crate) async fn live(&self, environment: &EnvironmentName) -> Result<Vec<LiveService>> {
        let mut client = self.questions()?;
        let request = GetLiveStateRequest {
            environment: environment.to_string(),
        };
        Ok(client.get_live_state(request).await?.into_inner().services)
    }

    /// The deployer's gRPC.
    pub(crate) fn questions(&self) -> Result<Questions> {
        let token = ShowToken::new(&Secret::new(TOKEN))?;
        let channel = channel(&format!("http://127.0.0.1:{}", self.port))?;
        Ok(DeployerServiceClient::with_interceptor(channel, token))
    }

    /// Everything that the run's deployment printed.
    pub(crate) async fn log(&self, run: &RunId, environment: &EnvironmentName) -> Result<String> {
        let stage = StageName::Deploy(environment.clone()).to_string();
        let mut reader = self
            .bus
            .logs()
            .read(run.as_str(), Some(&stage), false)
            .await?;
        let mut text = String::new();
        while let Some(item) = reader.next().await {
            if let LogItem::Line(line) = item {
                text.push_str(&String::from_utf8_lossy(&line.bytes));
                text.push('\n');
            }
        }
        Ok(text)
    }

    fn deployers_words(&self) -> String {
        let log = std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!(
            "the deployer said:\n{}",
            lines[lines.len().saturating_sub(30)..].join("\n")
        )
    }

    /// Removes everything that was deployed.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.kill_deployer().await?;
        for environment in [&self.test, &self.production] {
            let all: Labels = labels::of([(labels::ENVIRONMENT, environment.as_str())]);
            eventually("the environment is removed", async || {
                Ok(self.engine.remove_labelled(&all).await.ok())
            })
            .await?;
        }
        let images = std::mem::take(&mut *self.images.lock().expect("no panic"));
        for image in images {
            self.engine.remove_image(&image).await?;
        }
        drop(self.registry);
        Ok(())
    }
}

async fn eventually_load(load: testkit::load::LoadHandle) -> Result<Option<String>> {
    tokio::time::sleep(Duration::from_millis(100)).await;
    let report = load.stop().await;
    Ok(report.by_body.into_keys().next())
}

/// The failure of a red outcome.
pub(crate) fn red(outcome: Outcome) -> Failure {
    match outcome {
        Outcome::Failed(failure) => *failure,
        other => panic!("not red: {other:?}"),
    }
}

/// Fails unless the outcome is green.
pub(crate) fn green(outcome: &Outcome) {
    assert!(
        matches!(outcome, Outcome::Succeeded(_)),
        "not green: {outcome:?}"
    );
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(
    what: &str,
    ask: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(
            Instant::now() < deadline,
            "did not happen within {PATIENCE:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
