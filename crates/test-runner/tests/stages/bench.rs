//! A test-runner at work, and runs that have come to the stage under test.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bus::aggregates::Log;
use bus::{Bus, BusConfig, LogItem};
use clap::Parser;
use domain::ids::EnvironmentName;
use domain::plan::plan;
use domain::platform::PlatformSpec;
use domain::run::{Actor, Change, Created, Event, Kind, Run, Trigger};
use domain::stage::{Artifact, Failure, Outcome, StageName, StageResult};
use engine::labels::{self, Labels};
use engine::{BuildSpec, Context, Engine, Removed};
use jiff::Timestamp;
use proto::test_runner::v1::test_runner_service_client::TestRunnerServiceClient;
use proto::test_runner::v1::{Capacity, GetCapacityRequest};
use service_kit::auth::Secret;
use service_kit::grpc::{ShowToken, channel};
use tempfile::TempDir;
use test_runner::{Config, Service};
use testkit::git::GitRepository;
use testkit::nats::TestNats;
use testkit::registry::TestRegistry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The token that opens the test-runner's gRPC.
const TOKEN: &str = "0123456789abcdef0123456789abcdef";
/// How long a stage may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(90);

/// A small service in Python: `/healthz` and `/total` answer; says which port it listens on.
pub(crate) const SERVICE: &str = r#"
import http.server, os
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        code = {'/healthz': 200, '/total': 200, '/': 200}.get(self.path, 404)
        self.send_response(code); self.end_headers(); self.wfile.write(b'42')
    def log_message(self, *a): print('GET', self.path, flush=True)
print('listening on', os.environ['PORT'], flush=True)
http.server.ThreadingHTTPServer(('', int(os.environ['PORT'])), Handler).serve_forever()
"#;

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

/// What a test needs. Each has a run identity of its own, by which all that it started is known.
pub(crate) struct Bench {
    pub(crate) engine: Engine,
    pub(crate) environment: EnvironmentName,
    pub(crate) run: String,
    bus: Bus,
    runs: Log<Run>,
    address: SocketAddr,
    _registry: TestRegistry,
    platform: PlatformSpec,
    stop: CancellationToken,
    service: JoinHandle<Result<()>>,
    _nats: TestNats,
    _directory: TempDir,
}

/// Whether the images are on the engine. If one is not, says so; with `SLIPWAY_TEST_REQUIRE=1` it panics instead.
pub(crate) fn has_images(images: &[&str]) -> bool {
    let missing = |image: &&&str| {
        let inspected = Command::new("docker")
            .args(["image", "inspect", image])
            .output();
        !inspected.is_ok_and(|output| output.status.success())
    };
    skip_unless(
        images
            .iter()
            .find(missing)
            .map(|image| format!("no image {image}")),
    )
}

/// Whether there is an edge to wait with.
pub(crate) fn has_edge() -> bool {
    skip_unless(
        edge_binary()
            .is_none()
            .then(|| "no static edge binary; name one with SLIPWAY_EDGE_BINARY".to_owned()),
    )
}

fn skip_unless(missing: Option<String>) -> bool {
    let Some(missing) = missing else { return true };
    testkit::skip::skip(&missing);
    false
}

fn edge_binary() -> Option<PathBuf> {
    static FOUND: OnceLock<Option<PathBuf>> = OnceLock::new();
    let find = || {
        let named = std::env::var_os("SLIPWAY_EDGE_BINARY").map(PathBuf::from);
        let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(
            || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target")),
            PathBuf::from,
        );
        let built = target.join(format!(
            "{}-unknown-linux-gnu/release/edge",
            std::env::consts::ARCH
        ));
        [named, Some(built)]
            .into_iter()
            .flatten()
            .find(|path| path.is_file())
    };
    FOUND.get_or_init(find).clone()
}

impl Bench {
    pub(crate) async fn start() -> Result<Self> {
        let nats = TestNats::start().await?;
        let registry = TestRegistry::start().await?;
        let id = uuid::Uuid::new_v4().simple().to_string();
        let environment: EnvironmentName = format!("t{}", &id[..12]).parse()?;
        let mut platform =
            PlatformSpec::default_for_one_machine(&registry.address(), "127.0.0.1:1");
        let (_, test) = platform
            .environments
            .shift_remove_index(0)
            .context("no environment")?;
        platform
            .environments
            .shift_insert(0, environment.clone(), test);
        let directory = tempfile::tempdir()?;
        let tokens = directory.path().join("tokens");
        std::fs::write(&tokens, format!("tests {TOKEN}\n"))?;
        let mut arguments = vec![
            "test-runner".to_owned(),
            format!("--token-file={}", tokens.display()),
        ];
        arguments.push(format!(
            "--source-cache={}",
            directory.path().join("source").display()
        ));
        arguments.extend(edge_binary().map(|edge| format!("--edge-binary={}", edge.display())));
        let config = Arguments::parse_from(arguments).config;
        let bus = Bus::connect(&BusConfig::new(nats.url(), "tests")).await?;
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        let service = Service::new(config, platform.clone(), bus.clone()).with_listener(listener);
        #[expect(clippy::disallowed_methods, reason = "awaited by `finish`")]
        let service = tokio::spawn(service.run(stop.clone()));
        Ok(Self {
            engine: Engine::connect().await?,
            environment,
            run: format!("run-{}", &id[..12]),
            runs: Log::new(bus.events()),
            bus,
            address,
            _registry: registry,
            platform,
            stop,
            service,
            _nats: nats,
            _directory: directory,
        })
    }

    /// The labels of everything that this test starts.
    pub(crate) fn labels(&self) -> Labels {
        labels::of([(labels::RUN, &self.run)])
    }

    /// Builds an image of files and pushes it; returns what stage `image` would leave.
    pub(crate) async fn image(&self, files: &[(&str, &str)]) -> Result<Artifact> {
        let files: BTreeMap<String, Vec<u8>> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect();
        let repository = self.platform.development_repository(&"delivery".parse()?);
        let tag = format!("run-{}", self.run);
        let name = format!("{repository}:{tag}");
        let mut spec = BuildSpec::new(Context::Tar(engine::tar_files(&files)?));
        spec.tags = vec![name.clone()];
        let (sink, mut output) = tokio::sync::mpsc::channel(16);
        let cancel = CancellationToken::new();
        let build = self.engine.build_image(spec, sink, &cancel);
        let (built, ()) = tokio::join!(build, async { while output.recv().await.is_some() {} });
        built?;
        let digest = self.engine.push(&name, None, None).await?.parse()?;
        Ok(Artifact::Image {
            repository,
            tag,
            digest,
            engine: self.engine.id().to_owned(),
        })
    }

    /// The image of [`SERVICE`] with another last line of its Dockerfile.
    pub(crate) async fn python_service(&self, last_line: &str) -> Result<Artifact> {
        let dockerfile =
            format!("FROM python:3.11-slim\nCOPY app.py /app.py\nEXPOSE 8080\n{last_line}\n");
        self.image(&[("Dockerfile", &dockerfile), ("app.py", SERVICE)])
            .await
    }

    /// Appends a run of these files whose stages before `stage` have passed, and puts its job into the queue.
    pub(crate) async fn submit(
        &self,
        repository: &GitRepository,
        stage: &StageName,
        artifacts: BTreeMap<StageName, Artifact>,
    ) -> Result<()> {
        let text = std::fs::read_to_string(repository.path().join("slipway.yaml"))?;
        let spec = domain::spec::parse("slipway.yaml", &text)
            .map_err(|errors| anyhow::anyhow!("{errors:?}"))?;
        let id = self.run.parse()?;
        let change = Change {
            service: spec.service.clone(),
            kind: Kind::Change,
            repository: repository.path().display().to_string(),
            reference: "main".to_owned(),
            commit: repository.head()?,
            path: String::new(),
            subject: "feat: Start".to_owned(),
            author: String::new(),
            trigger: Trigger {
                via: "grpc".to_owned(),
                delivery: String::new(),
                actor: Actor("tests".to_owned()),
            },
        };
        let plan = plan(&spec, &self.platform, &change.kind);
        let before: Vec<StageName> = plan
            .stages
            .iter()
            .map(|planned| planned.name.clone())
            .take_while(|name| name != stage)
            .collect();
        ensure!(before.len() < plan.stages.len(), "{stage} is not planned");
        let at = Timestamp::now();
        let mut events = vec![Event::Created(Box::new(Created {
            run: id,
            change,
            version: None,
            spec,
            plan,
            reused: Vec::new(),
            at,
        }))];
        for stage in before {
            let worker = "hand-made".parse()?;
            events.push(Event::StageStarted {
                stage: stage.clone(),
                attempt: 1,
                worker,
                at,
            });
            let result = StageResult {
                artifact: artifacts.get(&stage).cloned(),
                ..StageResult::default()
            };
            events.push(Event::StageEnded {
                stage,
                attempt: 1,
                outcome: Outcome::Succeeded(Box::new(result)),
                at,
            });
        }
        let id = self.run.parse()?;
        for event in events {
            let expected = self.runs.get(&id).await?.map_or(0, |run| run.last_sequence);
            self.runs.append(&id, expected, &event).await?;
        }
        let run = self.runs.get(&id).await?.context("the run is gone")?;
        worker::enqueue_ready(&self.bus, &run).await;
        Ok(())
    }

    /// Does a stage and returns how its first attempt ended.
    pub(crate) async fn outcome(
        &self,
        repository: &GitRepository,
        stage: &StageName,
        artifacts: BTreeMap<StageName, Artifact>,
    ) -> Result<Outcome> {
        self.submit(repository, stage, artifacts).await?;
        self.ended(stage).await
    }

    /// Waits until the first attempt at a stage has ended.
    pub(crate) async fn ended(&self, stage: &StageName) -> Result<Outcome> {
        let id = self.run.parse()?;
        eventually("the stage ends", PATIENCE, async || {
            let run = self.runs.get(&id).await?;
            let attempt = run
                .as_ref()
                .and_then(|run| run.stage(stage)?.attempts.first());
            Ok(attempt
                .and_then(|attempt| attempt.ended.as_ref())
                .map(|(outcome, _)| outcome.clone()))
        })
        .await
    }

    /// Appends one more event to the run.
    pub(crate) async fn append(&self, event: Event) -> Result<()> {
        let id = self.run.parse()?;
        loop {
            let expected = self
                .runs
                .get(&id)
                .await?
                .context("the run is gone")?
                .last_sequence;
            match self.runs.append(&id, expected, &event).await {
                Err(bus::AppendError::Conflict { .. }) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// What the test-runner answers when it is asked for its capacity.
    pub(crate) async fn capacity(&self) -> Result<Capacity> {
        let token = ShowToken::new(&Secret::new(TOKEN))?;
        let channel = channel(&format!("http://{}", self.address))?;
        let mut client = TestRunnerServiceClient::with_interceptor(channel, token);
        Ok(client
            .get_capacity(GetCapacityRequest {})
            .await?
            .into_inner())
    }

    /// Everything that the stage printed.
    pub(crate) async fn log(&self, stage: &StageName) -> Result<String> {
        let mut reader = self
            .bus
            .logs()
            .read(&self.run, Some(&stage.to_string()), false)
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

    /// Ends the test-runner and fails if anything that the stage started is left.
    pub(crate) async fn finish(self) -> Result<()> {
        let left = self.engine.remove_labelled(&self.labels()).await?;
        self.stop.cancel();
        self.service.await??;
        let repository = self.platform.development_repository(&"delivery".parse()?);
        let ours = format!("{repository}:run-{}", self.run);
        self.engine.remove_image(&ours).await?;
        ensure!(left == Removed::default(), "left behind: {left:?}");
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

/// The result of a green outcome.
pub(crate) fn green(outcome: Outcome) -> StageResult {
    match outcome {
        Outcome::Succeeded(result) => *result,
        other => panic!("not green: {other:?}"),
    }
}

/// Asks again and again until there is an answer.
pub(crate) async fn eventually<T>(
    what: &str,
    patience: Duration,
    ask: impl AsyncFn() -> Result<Option<T>>,
) -> Result<T> {
    let deadline = Instant::now() + patience;
    loop {
        if let Some(answer) = ask().await? {
            return Ok(answer);
        }
        ensure!(
            Instant::now() < deadline,
            "did not happen within {patience:?}: {what}"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
