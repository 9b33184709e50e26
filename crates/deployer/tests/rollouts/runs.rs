//! Hand-made runs whose stages before the deployment have passed.

use anyhow::{Context as _, Result, ensure};
use bus::aggregates::Log;
use domain::ids::{Digest, EnvironmentName, RunId};
use domain::plan::plan;
use domain::release::{self, Releases};
use domain::run::{Actor, Change, Created, DeployTarget, Event, Kind, Trigger};
use domain::stage::{Artifact, Outcome, StageName, StageResult};
use domain::version::{Level, PlannedVersion};
use jiff::Timestamp;

use crate::bench::{Bench, SERVICE};

/// The `deploy` section of a service that is ready when `/healthz` answers.
pub(crate) const READY: &str =
    "{ replicas: 2, ready: { http: /healthz }, drain: 2s, deadline: 20s }";

/// A run to be.
pub(crate) struct Wish<'a> {
    pub(crate) version: &'a str,
    pub(crate) digest: &'a Digest,
    /// The `deploy` section of `slipway.yaml`, and what follows it.
    pub(crate) deploy: &'a str,
    pub(crate) kind: Kind,
}

impl Bench {
    /// A run that has come to its deployment in the test environment.
    pub(crate) async fn deploy(
        &self,
        version: &str,
        digest: &Digest,
        deploy: &str,
    ) -> Result<RunId> {
        let test = self.test.clone();
        self.bring(version, digest, deploy, &test).await
    }

    /// A run that has come to its deployment in an environment.
    pub(crate) async fn bring(
        &self,
        version: &str,
        digest: &Digest,
        deploy: &str,
        environment: &EnvironmentName,
    ) -> Result<RunId> {
        let wish = Wish {
            version,
            digest,
            deploy,
            kind: Kind::Change,
        };
        self.submit(wish, &StageName::Deploy(environment.clone()))
            .await
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
        };
        self.submit(wish, &StageName::Deploy(self.test.clone()))
            .await
    }

    /// Appends a run whose stages before `stage` have passed, and puts its job into the queue.
    pub(crate) async fn submit(&self, wish: Wish<'_>, stage: &StageName) -> Result<RunId> {
        let id = self.plan(&wish).await?;
        self.pass_until(&id, &wish, stage).await?;
        Ok(id)
    }

    /// Appends a run none of whose stages has begun.
    pub(crate) async fn plan(&self, wish: &Wish<'_>) -> Result<RunId> {
        let text = format!("service: {SERVICE}\ndeploy: {}\n", wish.deploy);
        let spec = domain::spec::parse("slipway.yaml", &text)
            .map_err(|errors| anyhow::anyhow!("{errors}"))?;
        let id: RunId = format!("run-{}", uuid::Uuid::new_v4().simple()).parse()?;
        let change = Change {
            service: spec.service.clone(),
            kind: wish.kind.clone(),
            repository: "/nowhere".to_owned(),
            reference: "main".to_owned(),
            commit: "0".repeat(40),
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

    /// Lets the stages before `stage` pass, and puts the jobs that became ready into the queue.
    pub(crate) async fn pass_until(
        &self,
        id: &RunId,
        wish: &Wish<'_>,
        stage: &StageName,
    ) -> Result<()> {
        let run = self.runs.get(id).await?.context("no run")?;
        let names = run.stages.iter().map(|stage| stage.name.clone());
        let before: Vec<StageName> = names.take_while(|name| name != stage).collect();
        ensure!(before.len() < run.stages.len(), "{stage} is not planned");
        for stage in before {
            let at = Timestamp::now();
            let worker = "hand-made".parse()?;
            self.append(
                id,
                Event::StageStarted {
                    stage: stage.clone(),
                    attempt: 1,
                    worker,
                    at,
                },
            )
            .await?;
            let artifact = self.artifact(&stage, wish)?;
            let outcome = Outcome::Succeeded(Box::new(StageResult {
                artifact,
                ..StageResult::default()
            }));
            self.append(
                id,
                Event::StageEnded {
                    stage,
                    attempt: 1,
                    outcome,
                    at,
                },
            )
            .await?;
        }
        let run = self.runs.get(id).await?.context("no run")?;
        worker::enqueue_ready(&self.bus, &run).await;
        Ok(())
    }

    fn artifact(&self, stage: &StageName, wish: &Wish<'_>) -> Result<Option<Artifact>> {
        let (service, digest) = (SERVICE.parse()?, wish.digest.clone());
        Ok(match stage {
            StageName::Image => Some(Artifact::Image {
                repository: self.platform.development_repository(&service),
                tag: "run".to_owned(),
                digest,
                engine: self.engine.id().to_owned(),
            }),
            StageName::Promote => Some(Artifact::Release {
                repository: self.platform.production_repository(&service),
                tag: wish.version.to_owned(),
                digest,
            }),
            _ => None,
        })
    }

    /// Appends one more event to a run.
    pub(crate) async fn append(&self, id: &RunId, event: Event) -> Result<()> {
        loop {
            let expected = self.runs.get(id).await?.map_or(0, |run| run.last_sequence);
            match self.runs.append(id, expected, &event).await {
                Err(bus::AppendError::Conflict { .. }) => {}
                other => return Ok(other.map(drop)?),
            }
        }
    }

    pub(crate) async fn cancel(&self, id: &RunId) -> Result<()> {
        let by = Actor("tests".to_owned());
        let reason = "not this one".to_owned();
        self.append(
            id,
            Event::CancelRequested {
                by,
                reason,
                at: Timestamp::now(),
            },
        )
        .await
    }

    /// Records that a digest was promoted.
    pub(crate) async fn release(&self, version: &str, digest: &Digest) -> Result<()> {
        let service = SERVICE.parse()?;
        let releases: Log<Releases> = Log::new(self.bus.events());
        let released = release::Event::Released {
            run: "promoted".parse()?,
            version: version.parse()?,
            repository: self.platform.production_repository(&service),
            digest: digest.clone(),
            commit: String::new(),
            at: Timestamp::now(),
        };
        let expected = releases.get(&service).await?.map_or(0, |r| r.last_sequence);
        releases.append(&service, expected, &released).await?;
        Ok(())
    }
}
