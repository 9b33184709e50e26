//! What `deploy` and `rollback` ask for, and the runs that bring it about.

use std::sync::Arc;

use domain::ids::{EnvironmentName, ServiceName};
use domain::plan::plan;
use domain::release::Releases;
use domain::rollout::Rollouts;
use domain::run::{Actor, Change, Created, DeployTarget, Event, Kind, Run, Trigger};
use domain::version::{Level, PlannedVersion};
use jiff::Timestamp;
use proto::gateway::v1::{DeployRequest, RollbackRequest, Run as PublicRun};
use semver::Version;
use uuid::Uuid;

use super::Questions;
use super::runs::short;
use crate::Error;
use crate::intake::run_id;
use crate::placing;

/// A version that somebody wants in an environment.
pub(super) struct Wish {
    pub(super) version: String,
    pub(super) kind: Kind,
    pub(super) actor: Actor,
    pub(super) reason: String,
}

impl Wish {
    /// What is to be brought where.
    pub(super) fn target(&self) -> Result<&DeployTarget, Error> {
        match &self.kind {
            Kind::Deploy(target) | Kind::Rollback(target) => Ok(target),
            Kind::Change | Kind::Proposal { .. } => Err(Error::field(
                "kind",
                "only deploy and rollback bring a version somewhere",
            )),
        }
    }
}

impl Questions {
    pub(super) fn environment(&self, name: &str) -> Result<EnvironmentName, Error> {
        let found = self
            .platform
            .environment(name)
            .map_err(|error| Error::not_found(error.to_string()))?;
        Ok(found.0.clone())
    }

    pub(super) async fn rollouts_of(
        &self,
        environment: &EnvironmentName,
        service: &ServiceName,
    ) -> Result<Rollouts, Error> {
        let key = (environment.clone(), service.clone());
        let history = self.rollouts.get(&key).await?;
        Ok(history.map(|history| history.rollouts).unwrap_or_default())
    }

    pub(super) async fn releases_of(&self, service: &ServiceName) -> Result<Releases, Error> {
        Ok(self.releases.get(service).await?.unwrap_or_default())
    }

    /// What a request to deploy means, and the rollouts that were there before.
    pub(super) async fn deployment(
        &self,
        request: DeployRequest,
        actor: Actor,
    ) -> Result<(Wish, Rollouts), Error> {
        short("reason", &request.reason)?;
        let service: ServiceName = request.service.parse()?;
        let environment = self.environment(&request.environment)?;
        let rollouts = self.rollouts_of(&environment, &service).await?;
        let (version, target) = match request.version.as_str() {
            "" => placing::again(&service, &environment, &rollouts)?,
            asked => {
                let releases = self.releases_of(&service).await?;
                let (version, target) =
                    placing::deployment(&service, asked, &environment, &releases, &self.platform)?;
                (version.to_string(), target)
            }
        };
        let wish = Wish {
            version,
            kind: Kind::Deploy(DeployTarget {
                overwrites_changes: request.overwrite_changes,
                ..target
            }),
            actor,
            reason: request.reason,
        };
        Ok((wish, rollouts))
    }

    /// What a request to go back means, and the rollouts that were there before.
    pub(super) async fn way_back(
        &self,
        request: RollbackRequest,
        actor: Actor,
    ) -> Result<(Wish, Rollouts), Error> {
        short("reason", &request.reason)?;
        let service: ServiceName = request.service.parse()?;
        let environment = self.environment(&request.environment)?;
        let rollouts = self.rollouts_of(&environment, &service).await?;
        let asked = Some(request.version.as_str()).filter(|version| !version.is_empty());
        let back_to = &placing::rollback(&service, &environment, asked, &rollouts)?.placement;
        let target = DeployTarget {
            environment,
            origin: back_to.origin.clone(),
            repository: back_to.repository.clone(),
            digest: back_to.digest.clone(),
            overwrites_changes: request.overwrite_changes,
        };
        let wish = Wish {
            version: back_to.version.clone(),
            kind: Kind::Rollback(target),
            actor,
            reason: request.reason,
        };
        Ok((wish, rollouts))
    }

    /// The run that made the version: its service file is the configuration.
    pub(super) async fn origin(&self, wish: &Wish) -> Result<Arc<Created>, Error> {
        let target = wish.target()?;
        let origin = self.runs.get(&target.origin).await?;
        origin.and_then(|run| run.created).ok_or_else(|| {
            let why = format!(
                "run {}, which made {}, is not known any more, and with it how the service is to run; start a new run \
                 of that commit",
                target.origin, wish.version
            );
            Error::precondition(format!("run {}", target.origin), why)
        })
    }

    /// Starts the run that brings a version in, with the service file of the run that made it.
    pub(super) async fn place(&self, wish: Wish, rollouts: &Rollouts) -> Result<PublicRun, Error> {
        let origin = self.origin(&wish).await?;
        let delivery = Uuid::now_v7().hyphenated().to_string();
        let id = run_id(&delivery, &origin.change.service);
        let version = planned(&wish, rollouts);
        let plan = plan(&origin.spec, &self.platform, &wish.kind);
        let subject = if wish.reason.is_empty() {
            origin.change.subject.clone()
        } else {
            wish.reason.clone()
        };
        let change = Change {
            kind: wish.kind.clone(),
            repository: String::new(),
            reference: wish.version.clone(),
            subject,
            trigger: Trigger {
                via: "grpc".to_owned(),
                delivery,
                actor: wish.actor.clone(),
            },
            ..origin.change.clone()
        };
        let created = Created {
            run: id.clone(),
            change,
            version,
            spec: origin.spec.clone(),
            plan,
            reused: Vec::new(),
            at: Timestamp::now(),
        };
        let run: Run = self
            .intake
            .create(&id, Event::Created(Box::new(created)))
            .await?;
        self.projection.reaches(run.last_sequence).await;
        Ok(proto::view::run(&run))
    }
}

/// The version of the run, and why it is that one.
fn planned(wish: &Wish, rollouts: &Rollouts) -> Option<PlannedVersion> {
    let version: Version = wish.version.parse().ok()?;
    let previous: Option<Version> = rollouts
        .current()
        .and_then(|placed| placed.placement.version.parse().ok());
    let level = match &previous {
        Some(previous) if previous.major != version.major => Level::Major,
        Some(previous) if previous.minor != version.minor => Level::Minor,
        Some(_) => Level::Patch,
        None => Level::Major,
    };
    let what = if matches!(wish.kind, Kind::Rollback(_)) {
        "rollback"
    } else {
        "deployment"
    };
    let because = match wish.reason.as_str() {
        "" => format!("{what} asked for by {}", wish.actor.0),
        reason => format!("{what} asked for by {}: {reason}", wish.actor.0),
    };
    Some(PlannedVersion {
        version,
        previous,
        level,
        because,
    })
}
