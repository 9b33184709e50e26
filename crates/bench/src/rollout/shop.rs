//! A service, an environment of its own, and a deployer in this process that brings versions of it in.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use bus::aggregates::{self, Aggregate as _, Log};
use bus::{Bus, BusConfig};
use clap::Parser;
use deployer::{Config, Service};
use domain::ids::{Digest, EnvironmentName, RunId};
use domain::platform::{PlatformSpec, Target};
use domain::rollout::{self, Act, Progress, Rollouts};
use domain::run::{Actor, Change, Created, Event, Kind, Run, StageState, Trigger};
use domain::stage::{Artifact, Outcome, StageName, StageResult};
use domain::version::{Level, PlannedVersion};
use engine::{BuildSpec, Engine};
use jiff::Timestamp;
use testkit::nats::TestNats;
use testkit::registry::TestRegistry;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

const SERVICE: &str = "shop";
const PATIENCE: Duration = Duration::from_secs(180);
/// A web server that answers with its page, and ends when it is told to.
const SERVER: &str = "trap 'kill $!; exit 0' TERM; httpd -f -p ${PORT:-8080} -h /www & wait";

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    config: Config,
}

pub(crate) struct Shop {
    bus: Bus,
    runs: Log<Run>,
    rollouts: Log<Rollouts>,
    platform: PlatformSpec,
    environment: EnvironmentName,
    engine: Engine,
    images: std::sync::Mutex<Vec<String>>,
    stop: CancellationToken,
    deployer: JoinSet<Result<()>>,
    _files: tempfile::TempDir,
    _nats: TestNats,
    _registry: TestRegistry,
}

impl Shop {
    pub(crate) async fn open(target: Target) -> Result<Self> {
        testkit::docker::busybox_image()?;
        let (nats, registry) = (TestNats::start().await?, TestRegistry::start().await?);
        let address = registry.address();
        let mut platform = PlatformSpec::default_for_one_machine(&address, &address);
        let name = format!("b{}", &uuid::Uuid::new_v4().simple().to_string()[..12]);
        let environment: EnvironmentName = name.parse()?;
        let mut settings = platform.environment("test")?.1.clone();
        settings.target = target;
        platform.environments = [(environment.clone(), settings)].into();
        let bus = Bus::connect(&BusConfig::new(nats.url(), "bench")).await?;
        let files = tempfile::tempdir()?;
        let tokens = files.path().join("tokens");
        std::fs::write(&tokens, format!("bench {}\n", "0123456789abcdef".repeat(2)))?;
        let config = Arguments::try_parse_from([
            "bench".to_owned(),
            format!("--nats-url={}", nats.url()),
            format!("--token-file={}", tokens.display()),
            format!("--source-cache={}", files.path().join("sources").display()),
        ])?;
        let (stop, mut deployer) = (CancellationToken::new(), JoinSet::new());
        let service = Service::new(config.config, platform.clone(), bus.clone());
        deployer.spawn(service.run(stop.clone()));
        Ok(Self {
            runs: Log::new(bus.events()),
            rollouts: Log::new(bus.events()),
            bus,
            platform,
            environment,
            engine: Engine::connect().await?,
            images: std::sync::Mutex::default(),
            stop,
            deployer,
            _files: files,
            _nats: nats,
            _registry: registry,
        })
    }

    /// An image of a web server that answers `body`.
    pub(crate) async fn image(&self, body: &str) -> Result<Digest> {
        let command = serde_json::to_string(&["sh", "-c", SERVER])?;
        let dockerfile = format!(
            "FROM {}\nCOPY www /www\nEXPOSE 8080\nCMD {command}\n",
            testkit::docker::BUSYBOX
        );
        let files = BTreeMap::from([
            ("Dockerfile".to_owned(), dockerfile.into_bytes()),
            ("www/index.html".to_owned(), body.as_bytes().to_vec()),
        ]);
        let repository = self.platform.development_repository(&SERVICE.parse()?);
        let name = format!("{repository}:{}", uuid::Uuid::new_v4().simple());
        let mut spec = BuildSpec::new(engine::Context::Tar(engine::tar_files(&files)?));
        spec.tags = vec![name.clone()];
        let (sink, mut output) = tokio::sync::mpsc::channel(16);
        let cancel = CancellationToken::new();
        let build = self.engine.build_image(spec, sink, &cancel);
        let (built, ()) = tokio::join!(build, async { while output.recv().await.is_some() {} });
        built?;
        let digest = self.engine.push(&name, None, None).await?.parse()?;
        self.images.lock().expect("no panic").push(name);
        Ok(digest)
    }

    /// Begins a run that has come to its deployment.
    pub(crate) async fn deploy(
        &self,
        version: &str,
        digest: &Digest,
        deploy: &str,
    ) -> Result<RunId> {
        let id: RunId = uuid::Uuid::new_v4().simple().to_string().parse()?;
        let created = self.created(&id, version, deploy)?;
        let deployment = StageName::Deploy(self.environment.clone());
        let stages = created.plan.stages.iter().map(|stage| stage.name.clone());
        let before: Vec<StageName> = stages.take_while(|name| *name != deployment).collect();
        self.append(&id, Event::Created(Box::new(created))).await?;
        for stage in before {
            let (at, worker) = (Timestamp::now(), "bench".parse()?);
            let started = Event::StageStarted {
                stage: stage.clone(),
                attempt: 1,
                worker,
                at,
            };
            self.append(&id, started).await?;
            let artifact = (stage == StageName::Image).then(|| Artifact::Image {
                repository: SERVICE.to_owned(),
                tag: "run".to_owned(),
                digest: digest.clone(),
                engine: String::new(),
            });
            let ended = Event::StageEnded {
                stage,
                attempt: 1,
                outcome: Outcome::Succeeded(Box::new(StageResult {
                    artifact,
                    ..StageResult::default()
                })),
                at,
            };
            self.append(&id, ended).await?;
        }
        let run = self.runs.get(&id).await?.context("no run")?;
        worker::enqueue_ready(&self.bus, &run).await;
        Ok(id)
    }

    fn created(&self, id: &RunId, version: &str, deploy: &str) -> Result<Created> {
        let text = format!("service: {SERVICE}\ndeploy: {deploy}\n");
        let spec = domain::spec::parse("slipway.yaml", &text)
            .map_err(|mistakes| anyhow::anyhow!("{mistakes}"))?;
        let change = Change {
            service: spec.service.clone(),
            kind: Kind::Change,
            repository: "/nowhere".to_owned(),
            reference: "main".to_owned(),
            commit: "0".repeat(40),
            path: String::new(),
            subject: "feat: Be measured".to_owned(),
            author: String::new(),
            trigger: Trigger {
                via: "grpc".to_owned(),
                delivery: id.to_string(),
                actor: Actor("bench".to_owned()),
            },
        };
        Ok(Created {
            run: id.clone(),
            plan: domain::plan::plan(&spec, &self.platform, &change.kind),
            change,
            version: Some(PlannedVersion {
                version: version.parse()?,
                previous: None,
                level: Level::Minor,
                because: "a measurement".to_owned(),
            }),
            spec,
            reused: Vec::new(),
            at: Timestamp::now(),
        })
    }

    async fn append(&self, id: &RunId, event: Event) -> Result<()> {
        loop {
            let expected = self.runs.get(id).await?.map_or(0, |run| run.last_sequence);
            match self.runs.append(id, expected, &event).await {
                Err(bus::AppendError::Conflict { .. }) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    /// Waits until the run's deployment has ended.
    pub(crate) async fn ended(&self, run: &RunId) -> Result<Outcome> {
        let stage = StageName::Deploy(self.environment.clone());
        let outcome = async || {
            let run = self.runs.get(run).await?;
            let state = run.and_then(|run| Some(run.stage(&stage)?.state.clone()));
            anyhow::Ok(match state {
                Some(StageState::Ended { outcome, .. }) => Some(outcome),
                _ => None,
            })
        };
        let ended = async || Ok(outcome().await?.is_some());
        self.eventually("the deployment ends", ended).await?;
        outcome().await?.context("the deployment is gone")
    }

    /// The same, and it is an error if it did not succeed.
    pub(crate) async fn succeeded(&self, run: &RunId) -> Result<()> {
        match self.ended(run).await? {
            Outcome::Succeeded(_) => Ok(()),
            other => anyhow::bail!("the deployment did not succeed: {other:?}"),
        }
    }

    /// Waits until a rollout has come so far.
    pub(crate) async fn until(
        &self,
        run: &RunId,
        is_there: impl Fn(&Progress) -> bool,
    ) -> Result<()> {
        self.eventually("the rollout comes to its step", async || {
            let rollouts = self.rollouts().await?;
            let is_ours = rollouts.active.as_ref().is_some_and(|a| a.run == *run);
            Ok(is_ours && rollouts.progress.as_ref().is_some_and(&is_there))
        })
        .await
    }

    /// When each step of a rollout was entered, in their order.
    pub(crate) async fn entered(&self, run: &RunId) -> Result<Vec<Timestamp>> {
        let key = self.key()?;
        let events = self.bus.events();
        let (mut entered, mut state) = (Vec::new(), None::<Rollouts>);
        for event in events.load(&Rollouts::subject(&key), 0).await? {
            state = aggregates::step(&key, state, event.sequence, &event.payload);
            let is_ours = |r: &&Rollouts| r.active.as_ref().is_some_and(|a| a.run == *run);
            let progress = state
                .as_ref()
                .filter(is_ours)
                .and_then(|r| r.progress.as_ref());
            let at = progress.map(|progress| progress.entered_at);
            entered.extend(at.filter(|at| entered.last() != Some(at)));
        }
        Ok(entered)
    }

    /// Does something with the rollout under way.
    pub(crate) async fn act(&self, run: &RunId, act: Act) -> Result<()> {
        let acted = rollout::Event::Acted {
            run: run.clone(),
            act,
            at: Timestamp::now(),
        };
        let key = self.key()?;
        let update = self.rollouts.update(&key, |_| {
            Ok::<_, std::convert::Infallible>(Some(acted.clone()))
        });
        update.await?;
        Ok(())
    }

    /// Where the service answers on this machine.
    pub(crate) async fn address(&self) -> Result<String> {
        let rollouts = self.rollouts().await?;
        let address = &rollouts.current().context("nothing is deployed")?.address;
        let Some(service) = address.strip_suffix(".svc:8080") else {
            return Ok(format!("{address}/"));
        };
        let (name, namespace) = service
            .trim_start_matches("http://")
            .split_once('.')
            .context("no Service")?;
        let ip = kubectl(&[
            "get",
            "service",
            name,
            "--namespace",
            namespace,
            "--output=jsonpath={.spec.clusterIP}",
        ])
        .await?;
        Ok(format!("http://{ip}:8080/"))
    }

    /// Removes what was deployed, and ends the deployer.
    pub(crate) async fn close(mut self) -> Result<()> {
        self.stop.cancel();
        while let Some(ended) = self.deployer.join_next().await {
            ended??;
        }
        let environment = self.environment.as_str();
        if let Some(Target::Kubernetes(_)) = self
            .platform
            .environments
            .values()
            .map(|e| &e.target)
            .next()
        {
            kubectl(&["delete", "namespace", environment]).await?;
        } else {
            self.remove_containers().await?;
        }
        let images = std::mem::take(&mut *self.images.lock().expect("no panic"));
        for image in images {
            self.engine.remove_image(&image).await?;
        }
        Ok(())
    }

    async fn remove_containers(&self) -> Result<()> {
        let label = engine::labels::of([(engine::labels::ENVIRONMENT, self.environment.as_str())]);
        self.eventually("the environment is removed", async || {
            Ok(self.engine.remove_labelled(&label).await.is_ok())
        })
        .await
    }

    fn key(&self) -> Result<(EnvironmentName, domain::ids::ServiceName)> {
        Ok((self.environment.clone(), SERVICE.parse()?))
    }

    async fn rollouts(&self) -> Result<Rollouts> {
        Ok(self.rollouts.get(&self.key()?).await?.unwrap_or_default())
    }

    async fn eventually(&self, what: &str, ask: impl AsyncFn() -> Result<bool>) -> Result<()> {
        let began = Instant::now();
        while !ask().await? {
            ensure!(began.elapsed() < PATIENCE, "did not happen: {what}");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        Ok(())
    }
}

async fn kubectl(arguments: &[&str]) -> Result<String> {
    let done = tokio::process::Command::new("kubectl")
        .args(arguments)
        .output()
        .await
        .context("kubectl is needed for it")?;
    let words = String::from_utf8_lossy(&done.stderr);
    ensure!(done.status.success(), "kubectl: {}", words.trim());
    Ok(String::from_utf8_lossy(&done.stdout).trim().to_owned())
}
