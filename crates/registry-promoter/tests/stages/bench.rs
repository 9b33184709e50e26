//! A registry-promoter at work, two registries, and runs that have come to their stage.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use bus::aggregates::Log;
use bus::{Bus, BusConfig};
use bytes::Bytes;
use clap::Parser;
use domain::ids::RunId;
use domain::plan::plan;
use domain::platform::PlatformSpec;
use domain::release::Releases;
use domain::run::{Actor, Change, Created, Event, Kind, Run, Trigger};
use domain::spec::ServiceSpec;
use domain::stage::{Artifact, Outcome, StageName, StageResult};
use domain::version::{Level, PlannedVersion};
use jiff::Timestamp;
use registry::{
    Descriptor, Digest, Manifest, Registry, RegistryConfig, RepositoryName, Tag, media_type,
};
use registry_promoter::{Config, Service};
use serde_json::json;
use tempfile::TempDir;
use testkit::nats::TestNats;
use testkit::registry::TestRegistry;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How long anything may take before the test gives up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The service that every test carries.
const SERVICE: &str = "shop";
const COMMIT: &str = "0123456789012345678901234567890123456789";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

pub(crate) struct Bench {
    pub(crate) development: TestRegistry,
    pub(crate) production: TestRegistry,
    pub(crate) runs: Log<Run>,
    bus: Bus,
    platform: PlatformSpec,
    stop: CancellationToken,
    service: JoinHandle<Result<()>>,
    _nats: TestNats,
    _directory: TempDir,
}

impl Bench {
    pub(crate) async fn start() -> Result<Self> {
        let nats = TestNats::start().await?;
        let (development, production) =
            (TestRegistry::start().await?, TestRegistry::start().await?);
        let platform =
            PlatformSpec::default_for_one_machine(&development.address(), &production.address());
        let directory = tempfile::tempdir()?;
        let tokens = directory.path().join("tokens");
        std::fs::write(&tokens, "tests 0123456789abcdef0123456789abcdef\n")?;
        let arguments = [
            "registry-promoter".to_owned(),
            format!("--token-file={}", tokens.display()),
        ];
        let config = Arguments::parse_from(arguments).config;
        let bus = Bus::connect(&BusConfig::new(nats.url(), "tests")).await?;
        let stop = CancellationToken::new();
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let service = Service::new(config, platform.clone(), bus.clone()).with_listener(listener);
        #[expect(clippy::disallowed_methods, reason = "awaited by `finish`")]
        let service = tokio::spawn(service.run(stop.clone()));
        Ok(Self {
            development,
            production,
            runs: Log::new(bus.events()),
            bus,
            platform,
            stop,
            service,
            _nats: nats,
            _directory: directory,
        })
    }

    pub(crate) async fn finish(self) -> Result<()> {
        self.stop.cancel();
        self.service.await?
    }

    /// What is under a tag of the service's repository.
    pub(crate) async fn tagged(&self, server: &TestRegistry, tag: &str) -> Result<Option<Digest>> {
        let tag: Tag = tag.parse()?;
        let found = client(server)?.resolve(&name(), tag).await?;
        Ok(found.map(|found| found.digest))
    }

    /// An image in the development registry that says it is of `version`.
    pub(crate) async fn image(&self, version: &str, seed: &str) -> Result<Manifest> {
        let (registry, name) = (client(&self.development)?, name());
        let layer = Bytes::from(format!("layer of {seed}"));
        let config = json!({
            "architecture": seed, "os": "linux", "rootfs": { "type": "layers", "diff_ids": [] },
            "config": { "Labels": {
                "org.opencontainers.image.title": SERVICE,
                "org.opencontainers.image.version": version,
                "org.opencontainers.image.revision": COMMIT,
            } },
        });
        let config = Bytes::from(serde_json::to_vec(&config)?);
        registry.push_blob(&name, layer.clone()).await?;
        registry.push_blob(&name, config.clone()).await?;
        let manifest = json!({
            "schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST,
            "config": Descriptor::of(media_type::OCI_CONFIG, &config),
            "layers": [Descriptor::of(media_type::OCI_LAYER, &layer)],
        });
        let manifest = Manifest::new(serde_json::to_vec(&manifest)?, media_type::OCI_MANIFEST)?;
        registry.put_manifest(&name, &manifest).await?;
        Ok(manifest)
    }

    /// An index of images for two architectures.
    pub(crate) async fn index(&self, version: &str) -> Result<Digest> {
        let mut manifests = Vec::new();
        for architecture in ["amd64", "arm64"] {
            let image = self.image(version, architecture).await?;
            let mut descriptor = serde_json::to_value(image.descriptor())?;
            descriptor["platform"] = json!({ "architecture": architecture, "os": "linux" });
            manifests.push(descriptor);
        }
        let index = json!({ "schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": manifests });
        let index = Manifest::new(serde_json::to_vec(&index)?, media_type::OCI_INDEX)?;
        client(&self.development)?
            .put_manifest(&name(), &index)
            .await?;
        Ok(index.descriptor().digest)
    }

    /// A run of an image that has come to its publication.
    pub(crate) async fn submit(&self, version: &str, digest: &Digest) -> Result<RunId> {
        let spec = ServiceSpec::for_dockerfile_only(SERVICE.parse()?);
        let run: RunId = format!("run-{}", uuid::Uuid::new_v4().simple()).parse()?;
        let change = Change {
            service: spec.service.clone(),
            kind: Kind::Change,
            repository: "/nowhere".to_owned(),
            reference: "main".to_owned(),
            commit: COMMIT.to_owned(),
            path: String::new(),
            subject: "feat: Start".to_owned(),
            author: String::new(),
            trigger: Trigger {
                via: "grpc".to_owned(),
                delivery: String::new(),
                actor: Actor("tests".to_owned()),
            },
        };
        let planned = PlannedVersion {
            version: version.parse()?,
            previous: None,
            level: Level::Minor,
            because: "a test".to_owned(),
        };
        let created = Created {
            run: run.clone(),
            plan: plan(&spec, &self.platform, &change.kind),
            change,
            version: Some(planned),
            spec,
            reused: Vec::new(),
            at: Timestamp::now(),
        };
        let repository = created.plan.development_repository.clone();
        self.append(&run, Event::Created(Box::new(created))).await?;
        let image = Artifact::Image {
            repository,
            tag: "run".to_owned(),
            digest: digest.as_str().parse()?,
            engine: String::new(),
        };
        self.pass(&run, &StageName::Image, Some(image)).await?;
        self.enqueue(&run).await?;
        Ok(run)
    }

    /// Lets the stages between publication and promotion pass.
    pub(crate) async fn go_on_to_promotion(&self, run: &RunId) -> Result<()> {
        self.pass(run, &StageName::Deploy("test".parse()?), None)
            .await?;
        self.enqueue(run).await
    }

    /// Puts the run's jobs into the queue.
    pub(crate) async fn enqueue(&self, run: &RunId) -> Result<()> {
        let run = self.runs.get(run).await?.context("no run")?;
        worker::enqueue_ready(&self.bus, &run).await;
        Ok(())
    }

    /// Puts the job of an attempt into the queue as if it were another.
    pub(crate) async fn enqueue_again(&self, run: &RunId, stage: &StageName) -> Result<()> {
        use prost::Message as _;
        let job = proto::job::v1::Job {
            run_id: run.to_string(),
            stage: stage.to_string(),
            attempt: 1,
        };
        let (id, job) = (
            uuid::Uuid::new_v4().to_string(),
            Bytes::from(job.encode_to_vec()),
        );
        Ok(self
            .bus
            .jobs()
            .enqueue(bus::JobKind::Promote, None, &id, job)
            .await?)
    }

    async fn pass(&self, run: &RunId, stage: &StageName, artifact: Option<Artifact>) -> Result<()> {
        let (at, worker) = (Timestamp::now(), "hand-made".parse()?);
        let started = Event::StageStarted {
            stage: stage.clone(),
            attempt: 1,
            worker,
            at,
        };
        self.append(run, started).await?;
        let result = StageResult {
            artifact,
            ..StageResult::default()
        };
        let outcome = Outcome::Succeeded(Box::new(result));
        self.append(
            run,
            Event::StageEnded {
                stage: stage.clone(),
                attempt: 1,
                outcome,
                at,
            },
        )
        .await
    }

    async fn append(&self, run: &RunId, event: Event) -> Result<()> {
        loop {
            let expected = self.runs.get(run).await?.map_or(0, |run| run.last_sequence);
            match self.runs.append(run, expected, &event).await {
                Err(bus::AppendError::Conflict { .. }) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// Waits until a stage has ended for good.
    pub(crate) async fn ended(&self, run: &RunId, stage: &StageName) -> Result<Outcome> {
        use domain::run::StageState;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let run = self.runs.get(run).await?.context("no run")?;
            if let Some(StageState::Ended { outcome, .. }) = run.stage(stage).map(|s| &s.state) {
                return Ok(outcome.clone());
            }
            ensure!(Instant::now() < deadline, "{stage} does not end: {run:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    pub(crate) async fn releases(&self) -> Result<Releases> {
        let releases: Log<Releases> = Log::new(self.bus.events());
        Ok(releases.get(&SERVICE.parse()?).await?.unwrap_or_default())
    }
}

fn client(server: &TestRegistry) -> Result<Registry> {
    Ok(Registry::new(&RegistryConfig::new(server.address()))?)
}

fn name() -> RepositoryName {
    SERVICE.parse().expect("a name")
}

/// The artifact of a green outcome.
pub(crate) fn artifact(outcome: Outcome) -> Artifact {
    match outcome {
        Outcome::Succeeded(result) => result.artifact.expect("an artifact"),
        other => panic!("not green: {other:?}"),
    }
}

/// The reason of a red outcome.
pub(crate) fn red(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(failure) => failure.reason,
        other => panic!("not red: {other:?}"),
    }
}
