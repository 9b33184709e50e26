//! Hand-made runs whose stages before the deployment have passed.

use anyhow::{Context as _, Result};
use domain::ids::{Digest, RunId};
use domain::plan::plan;
use domain::run::{Actor, Change, Created, DeployTarget, Event, Kind, Trigger};
use domain::stage::{Artifact, Outcome, StageName, StageResult};
use domain::version::{Level, PlannedVersion};
use jiff::Timestamp;
use testkit::git::GitRepository;

use crate::bench::{Bench, SERVICE};

/// The `deploy` section of a service that is ready when `/healthz` answers.
pub(crate) const READY: &str =
    "{ replicas: 2, ready: { http: /healthz }, drain: 1s, deadline: 100s }";

/// A run to be.
pub(crate) struct Wish<'a> {
    pub(crate) version: &'a str,
    pub(crate) digest: &'a Digest,
    /// The `deploy` section of `slipway.yaml`.
    pub(crate) deploy: &'a str,
    pub(crate) kind: Kind,
    /// Where the code is, if anything of it is needed.
    pub(crate) repository: Option<&'a GitRepository>,
}

impl Bench {
    /// A run that has come to its deployment.
    pub(crate) async fn deploy(
        &self,
        version: &str,
        digest: &Digest,
        deploy: &str,
    ) -> Result<RunId> {
        let wish = Wish {
            version,
            digest,
            deploy,
            kind: Kind::Change,
            repository: None,
        };
        self.submit(wish).await
    }

    /// Back to what an earlier run brought.
    pub(crate) async fn roll_back(
        &self,
        version: &str,
        digest: &Digest,
        deploy: &str,
        origin: &RunId,
    ) -> Result<RunId> {
        let target = DeployTarget {
            environment: self.test.clone(),
            origin: origin.clone(),
            repository: self.platform.development_repository(&SERVICE.parse()?),
            digest: digest.clone(),
            overwrites_changes: false,
        };
        let wish = Wish {
            version,
            digest,
            deploy,
            kind: Kind::Rollback(target),
            repository: None,
        };
        self.submit(wish).await
    }

    /// Appends a run whose stages before the deployment have passed, and puts its job into the queue.
    pub(crate) async fn submit(&self, wish: Wish<'_>) -> Result<RunId> {
        let id = self.plan(&wish).await?;
        let deployment = StageName::Deploy(self.test.clone());
        let run = self.runs.get(&id).await?.context("no run")?;
        let names = run.stages.iter().map(|stage| stage.name.clone());
        for stage in names.take_while(|name| *name != deployment) {
            let (at, worker) = (Timestamp::now(), "hand-made".parse()?);
            let started = Event::StageStarted {
                stage: stage.clone(),
                attempt: 1,
                worker,
                at,
            };
            self.append(&id, started).await?;
            let artifact = (stage == StageName::Image).then(|| Artifact::Image {
                repository: run.change.service.to_string(),
                tag: "run".to_owned(),
                digest: wish.digest.clone(),
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

    pub(crate) async fn plan(&self, wish: &Wish<'_>) -> Result<RunId> {
        let text = format!("service: {SERVICE}\ndeploy: {}\n", wish.deploy);
        let spec = domain::spec::parse("slipway.yaml", &text)
            .map_err(|errors| anyhow::anyhow!("{errors}"))?;
        let id: RunId = format!("run-{}", uuid::Uuid::new_v4().simple()).parse()?;
        let (repository, commit) = match wish.repository {
            Some(repository) => (
                repository.path().display().to_string(),
                repository.git(&["rev-parse", "HEAD"])?.trim().to_owned(),
            ),
            None => (String::new(), "0".repeat(40)),
        };
        let change = Change {
            service: spec.service.clone(),
            kind: wish.kind.clone(),
            repository,
            reference: "main".to_owned(),
            commit,
            path: String::new(),
            subject: "feat: Start".to_owned(),
            author: String::new(),
            trigger: Trigger {
                via: "grpc".to_owned(),
                delivery: String::new(),
                actor: Actor("tests".to_owned()),
            },
        };
        let created = Created {
            run: id.clone(),
            plan: plan(&spec, &self.platform, &change.kind),
            change,
            version: Some(PlannedVersion {
                version: wish.version.parse()?,
                previous: None,
                level: Level::Minor,
                because: "a test".to_owned(),
            }),
            spec,
            reused: Vec::new(),
            at: Timestamp::now(),
        };
        self.append(&id, Event::Created(Box::new(created))).await?;
        Ok(id)
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

    pub(crate) async fn cancel(&self, id: &RunId) -> Result<()> {
        let cancel = Event::CancelRequested {
            by: Actor("tests".to_owned()),
            reason: "not this one".to_owned(),
            at: Timestamp::now(),
        };
        self.append(id, cancel).await
    }
}
