//! A deployer as a process of its own, a namespace of its own, and images that the cluster can pull.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bus::aggregates::Log;
use bus::{Bus, BusConfig, LogItem};
use domain::ids::{Digest, EnvironmentName, RunId};
use domain::platform::{KubernetesTarget, PlatformSpec, Target};
use domain::rollout::Rollouts;
use domain::run::{Run, StageState};
use domain::spec::SecretReference;
use domain::stage::{Failure, Outcome, StageName};
use engine::{BuildSpec, Context, Engine};
use proto::deployer::v1::deployer_service_client::DeployerServiceClient;
use proto::deployer::v1::{GetLiveStateRequest, LiveService};
use service_kit::auth::Secret;
use service_kit::grpc::{ShowToken, channel};
use tempfile::TempDir;
use testkit::load::{Load, LoadReport};
use testkit::nats::TestNats;
use testkit::registry::TestRegistry;
use tokio::process::{Child, Command};
use tokio::time::Instant;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

use crate::cluster::Cluster;

/// The token that opens the deployer's gRPC.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// How long anything may take before the test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);
/// The service that every test deploys.
pub(crate) const SERVICE: &str = "shop";
/// Puts what a pod's files say where a pod has them, and becomes the program.
const IN_POD: &str = "mount -t tmpfs none /run
to=/run/secrets/kubernetes.io/serviceaccount
mkdir -p $to
cp \"$1/token\" \"$1/ca.crt\" \"$1/namespace\" $to
shift
exec \"$@\"";
/// A web server that answers with its page, and ends when it is told to.
const SERVER: &str = "trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

/// Who asks a deployer.
pub(crate) type Questions = DeployerServiceClient<InterceptedService<Channel, ShowToken>>;

pub(crate) struct Bench {
    pub(crate) cluster: Cluster,
    pub(crate) runs: Log<Run>,
    pub(crate) rollouts: Log<Rollouts>,
    pub(crate) bus: Bus,
    pub(crate) platform: PlatformSpec,
    /// The environment, and its namespace.
    pub(crate) test: EnvironmentName,
    deployer: Option<Child>,
    port: u16,
    engine: Engine,
    images: std::sync::Mutex<Vec<String>>,
    nats: TestNats,
    registry: TestRegistry,
    directory: TempDir,
}

/// Ends a test where there is no cluster for it.
#[macro_export]
macro_rules! needs_cluster {
    () => {
        if testkit::kubernetes::kubeconfig().is_none() || !testkit::docker::engine_answers() {
            return Ok(());
        }
    };
}

impl Bench {
    pub(crate) async fn start() -> Result<Self> {
        let kubeconfig = testkit::kubernetes::kubeconfig().context("no cluster")?;
        Self::with(KubernetesTarget {
            kubeconfig: Some(SecretReference::File(kubeconfig.display().to_string())),
            ..KubernetesTarget::default()
        })
        .await
    }

    /// With an environment of the test's own on that target. Its namespace is the environment's.
    pub(crate) async fn with(target: KubernetesTarget) -> Result<Self> {
        testkit::docker::busybox_image()?;
        let (nats, registry) = (TestNats::start().await?, TestRegistry::start().await?);
        let id = uuid::Uuid::new_v4().simple().to_string()[..12].to_owned();
        let address = registry.address();
        let mut platform = PlatformSpec::default_for_one_machine(&address, &address);
        platform.registries.production.prefix = Some("releases".to_owned());
        let test: EnvironmentName = format!("t{id}").parse()?;
        let mut environment = platform.environment("test")?.1.clone();
        environment.target = Target::Kubernetes(target);
        platform.environments = [(test.clone(), environment)].into();
        let bus = Bus::connect(&BusConfig::new(nats.url(), "tests")).await?;
        Ok(Self {
            cluster: Cluster::connect(test.as_str()).await?,
            runs: Log::new(bus.events()),
            rollouts: Log::new(bus.events()),
            bus,
            platform,
            test,
            deployer: None,
            port: std::net::TcpListener::bind("127.0.0.1:0")?
                .local_addr()?
                .port(),
            engine: Engine::connect().await?,
            images: std::sync::Mutex::default(),
            nats,
            registry,
            directory: tempfile::tempdir()?,
        })
    }

    /// The target of the environment, to be changed before the deployer starts.
    pub(crate) fn target(&mut self) -> &mut KubernetesTarget {
        match self
            .platform
            .environments
            .values_mut()
            .next()
            .map(|e| &mut e.target)
        {
            Some(Target::Kubernetes(target)) => target,
            other => panic!("not on Kubernetes: {other:?}"),
        }
    }

    /// A file beside the deployer's own.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Starts a deployer; one that runs is killed.
    pub(crate) fn start_deployer(&mut self) -> Result<()> {
        let log = self.prepare()?;
        self.spawn(Command::new(env!("CARGO_BIN_EXE_deployer")), log)
    }

    /// Writes the deployer's files; returns its log.
    fn prepare(&self) -> Result<std::fs::File> {
        std::fs::write(self.file("tokens"), format!("tests {TOKEN}\n"))?;
        // JSON is YAML, too.
        std::fs::write(
            self.file("platform.yaml"),
            serde_json::to_string(&self.platform)?,
        )?;
        let log = std::fs::File::options()
            .create(true)
            .append(true)
            .open(self.file("log"))?;
        Ok(log)
    }

    /// The same, with the files and variables that a pod of the cluster has: in a mount namespace of its own.
    pub(crate) fn start_deployer_in_pod(&mut self) -> Result<()> {
        let log = self.prepare()?;
        let server = self.cluster.server()?;
        let (host, port) = server.rsplit_once(':').context("no port")?;
        let mut pod = Command::new("unshare");
        pod.args(["--mount", "sh", "-ec", IN_POD, "sh"])
            .arg(self.directory.path())
            .arg(env!("CARGO_BIN_EXE_deployer"))
            .env("KUBERNETES_SERVICE_HOST", host)
            .env("KUBERNETES_SERVICE_PORT", port);
        self.spawn(pod, log)
    }

    fn spawn(&mut self, mut command: Command, log: std::fs::File) -> Result<()> {
        let deployer = command
            .arg(format!("--nats-url={}", self.nats.url()))
            .arg(format!(
                "--platform={}",
                self.file("platform.yaml").display()
            ))
            .arg(format!("--token-file={}", self.file("tokens").display()))
            .arg(format!("--source-cache={}", self.file("sources").display()))
            .arg(format!("--listen=127.0.0.1:{}", self.port))
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

    /// The image of a web server that answers `body`.
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
        ]);
        let repository = self.platform.development_repository(&SERVICE.parse()?);
        let name = format!("{repository}:{}", uuid::Uuid::new_v4().simple());
        let mut spec = BuildSpec::new(Context::Tar(engine::tar_files(&files)?));
        spec.tags = vec![name.clone()];
        let (sink, mut output) = tokio::sync::mpsc::channel(16);
        let cancel = tokio_util::sync::CancellationToken::new();
        let build = self.engine.build_image(spec, sink, &cancel);
        let (built, ()) = tokio::join!(build, async { while output.recv().await.is_some() {} });
        built?;
        let digest = self.engine.push(&name, None, None).await?.parse()?;
        self.images.lock().expect("no panic").push(name);
        Ok(digest)
    }

    /// Waits until the first attempt at the run's deployment has ended.
    pub(crate) async fn outcome(&self, run: &RunId) -> Result<Outcome> {
        let stage = StageName::Deploy(self.test.clone());
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
    pub(crate) async fn finally(&self, run: &RunId) -> Result<Outcome> {
        let stage = StageName::Deploy(self.test.clone());
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

    pub(crate) async fn rollouts(&self) -> Result<Rollouts> {
        let key = (self.test.clone(), SERVICE.parse()?);
        Ok(self.rollouts.get(&key).await?.unwrap_or_default())
    }

    /// Where the service is reached, once it is: nodes learn of its pods a moment after they are ready.
    pub(crate) async fn reachable(&self) -> Result<String> {
        let address = self.cluster.address(SERVICE).await?;
        eventually("the service answers", async || {
            let report = briefly(&address).await;
            Ok((report.failed == 0).then_some(()))
        })
        .await?;
        Ok(address)
    }

    /// What the deployer answers about the environment.
    pub(crate) async fn live(&self) -> Result<Vec<LiveService>> {
        let mut client = self.questions()?;
        let request = GetLiveStateRequest {
            environment: self.test.to_string(),
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
    pub(crate) async fn log(&self, run: &RunId) -> Result<String> {
        let stage = StageName::Deploy(self.test.clone()).to_string();
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
        let log = std::fs::read_to_string(self.file("log")).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        format!(
            "the deployer said:\n{}",
            lines[lines.len().saturating_sub(30)..].join("\n")
        )
    }

    /// Removes everything that was deployed.
    pub(crate) async fn finish(mut self) -> Result<()> {
        self.kill_deployer().await?;
        self.cluster.remove_namespace().await?;
        let images = std::mem::take(&mut *self.images.lock().expect("no panic"));
        for image in images {
            // Containers that are just being removed may still use it.
            eventually("the image is removed", async || {
                Ok(self.engine.remove_image(&image).await.ok())
            })
            .await?;
        }
        drop(self.registry);
        Ok(())
    }
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

/// Waits until the service answers this, and nothing else: nodes learn of pods a moment later.
pub(crate) async fn answers(address: &str, words: &str) -> Result<()> {
    eventually(words, async || {
        let report = briefly(address).await;
        let only = report.failed == 0 && report.by_body.keys().all(|body| body.trim() == words);
        Ok(only.then_some(()))
    })
    .await
}

/// A few requests.
async fn briefly(address: &str) -> LoadReport {
    let load = Load::start(address, 1, Some(20.0));
    tokio::time::sleep(Duration::from_millis(300)).await;
    load.stop().await
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
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}
