//! Environments: what runs there; deploy and roll back, or see what that would change.

use domain::ids::{EnvironmentName, ServiceName};
use domain::platform::{self, Target};
use domain::rollout::Rollouts;
use domain::run::Actor;
use proto::deployer::v1::{LiveService, LiveState};
use proto::event::time::to_wire;
use proto::gateway::v1::environment_service_server::EnvironmentService;
use proto::gateway::v1::{
    DeployRequest, DeployedService, Environment, GetEnvironmentRequest, ListEnvironmentsRequest,
    ListEnvironmentsResponse, RollbackRequest, Run as PublicRun,
};
use proto::preview::v1::DeploymentPreview;
use service_kit::grpc::caller;
use tonic::{Request, Response, Status};

use super::Questions;
use super::watch::standing;
use crate::Error;

#[tonic::async_trait]
impl EnvironmentService for Questions {
    async fn list_environments(
        &self,
        _: Request<ListEnvironmentsRequest>,
    ) -> Result<Response<ListEnvironmentsResponse>, Status> {
        self.projection.caught_up().await?;
        let shown = self
            .platform
            .environments
            .iter()
            .map(|(name, environment)| self.show(name, environment));
        Ok(Response::new(ListEnvironmentsResponse {
            environments: futures::future::join_all(shown).await,
        }))
    }

    async fn get_environment(
        &self,
        request: Request<GetEnvironmentRequest>,
    ) -> Result<Response<Environment>, Status> {
        let name = request.into_inner().name;
        let (name, environment) = self
            .platform
            .environment(&name)
            .map_err(|e| Error::not_found(e.to_string()))?;
        self.projection.caught_up().await?;
        Ok(Response::new(self.show(name, environment).await))
    }

    async fn deploy(&self, request: Request<DeployRequest>) -> Result<Response<PublicRun>, Status> {
        let actor = Actor(caller(&request)?.0);
        let (wish, rollouts) = self.deployment(request.into_inner(), actor).await?;
        Ok(Response::new(self.place(wish, &rollouts).await?))
    }

    async fn rollback(
        &self,
        request: Request<RollbackRequest>,
    ) -> Result<Response<PublicRun>, Status> {
        let actor = Actor(caller(&request)?.0);
        let (wish, rollouts) = self.way_back(request.into_inner(), actor).await?;
        Ok(Response::new(self.place(wish, &rollouts).await?))
    }

    async fn preview_deploy(
        &self,
        request: Request<DeployRequest>,
    ) -> Result<Response<DeploymentPreview>, Status> {
        let actor = Actor(caller(&request)?.0);
        let (wish, _) = self.deployment(request.into_inner(), actor).await?;
        Ok(Response::new(self.preview(&wish).await?))
    }

    async fn preview_rollback(
        &self,
        request: Request<RollbackRequest>,
    ) -> Result<Response<DeploymentPreview>, Status> {
        let actor = Actor(caller(&request)?.0);
        let (wish, _) = self.way_back(request.into_inner(), actor).await?;
        Ok(Response::new(self.preview(&wish).await?))
    }
}

impl Questions {
    async fn show(
        &self,
        name: &EnvironmentName,
        environment: &platform::Environment,
    ) -> Environment {
        let live = self.parts.live_state(name).await;
        let rollouts = self.projection.rollouts();
        let here = rollouts.iter().filter(|((of, _), _)| of == name);
        let services = here.filter_map(|((_, service), history)| {
            let rollouts = &history.rollouts;
            let wanted = self.replicas_wanted(name, rollouts);
            deployed(service, rollouts, wanted, live.as_ref())
        });
        Environment {
            name: name.to_string(),
            production: environment.production,
            approvals: environment.approvals,
            target: match environment.target {
                Target::Docker(_) => "docker",
                Target::Kubernetes(_) => "kubernetes",
            }
            .to_owned(),
            services: services.collect(),
        }
    }
}

impl Questions {
    /// How many replicas the service file asks for of what runs there, or is just coming. `None` if the run that made it
    /// is not known any more.
    fn replicas_wanted(&self, name: &EnvironmentName, rollouts: &Rollouts) -> Option<u32> {
        let current = rollouts.current().map(|placed| &placed.placement);
        let Some(placement) = current.or(rollouts.active.as_ref()) else {
            return Some(0);
        };
        let origin = self.projection.run(&placement.origin)?;
        let deploy = origin.created.as_ref()?.spec.deploy.clone();
        Some(
            deploy
                .unwrap_or_default()
                .in_environment(name)
                .replicas
                .max(1),
        )
    }
}

/// A service as its rollouts and, where it can be asked, the deployer tell. `None` for one that never came.
fn deployed(
    service: &ServiceName,
    rollouts: &Rollouts,
    wanted: Option<u32>,
    live: Option<&Result<LiveState, String>>,
) -> Option<DeployedService> {
    let current = rollouts.current();
    if current.is_none() && rollouts.active.is_none() && rollouts.last_rolled_back.is_none() {
        return None;
    }
    let there: Option<&LiveService> = live
        .and_then(|l| l.as_ref().ok())
        .and_then(|l| l.services.iter().find(|s| s.service == service.as_str()));
    let replicas = there
        .map(|live| live.replicas.as_slice())
        .unwrap_or_default();
    let ready = replicas.iter().filter(|replica| replica.ready).count();
    let placement = current.map(|placed| &placed.placement);
    let address = there
        .map(|live| live.address.clone())
        .filter(|address| !address.is_empty());
    Some(DeployedService {
        service: service.to_string(),
        version: placement.map(|p| p.version.clone()).unwrap_or_default(),
        image_digest: placement.map(|p| p.digest.to_string()).unwrap_or_default(),
        address: address
            .or_else(|| current.map(|placed| placed.address.clone()))
            .unwrap_or_default(),
        replicas_ready: u32::try_from(ready).unwrap_or(u32::MAX),
        // A replica that is gone is not there to be counted.
        replicas: wanted.unwrap_or(u32::try_from(replicas.len()).unwrap_or(u32::MAX)),
        is_live_known: matches!(live, Some(Ok(_))),
        deployed_at: current.map(|placed| to_wire(placed.at)),
        run_id: placement.map(|p| p.run.to_string()).unwrap_or_default(),
        previous_version: rollouts
            .previous()
            .map(|placed| placed.placement.version.clone())
            .unwrap_or_default(),
        note: note(rollouts, live, there),
    })
}

/// What is under way or wrong.
fn note(
    rollouts: &Rollouts,
    live: Option<&Result<LiveState, String>>,
    there: Option<&LiveService>,
) -> String {
    let mut notes: Vec<String> = Vec::new();
    if let Some(active) = &rollouts.active {
        let step = standing(rollouts, &active.run)
            .map_or_else(String::new, |rollout| format!(", {}", rollout.standing));
        notes.push(format!(
            "{} is being rolled out by run {}{step}",
            active.version, active.run
        ));
    } else if let Some(restoring) = &rollouts.restoring {
        notes.push(format!(
            "{} is being taken out again, because its tests in run {} stopped",
            restoring.version, restoring.run
        ));
    } else if let Some((placement, reason)) = &rollouts.last_rolled_back
        && rollouts
            .current()
            .is_none_or(|current| current.placement.at < placement.at)
    {
        notes.push(format!(
            "{} of run {} was taken back: {reason}",
            placement.version, placement.run
        ));
    }
    match (live, there) {
        (Some(Err(why)), _) => notes.push(format!(
            "what really runs is not known, the deployer does not answer ({why})"
        )),
        (Some(Ok(_)), Some(live)) if !live.note.is_empty() => notes.push(live.note.clone()),
        (Some(Ok(_)), None) if rollouts.current().is_some() => {
            notes.push("nothing of it runs".to_owned());
        }
        (None, _) => {
            notes.push("what really runs is not known: the gateway knows no deployer".to_owned());
        }
        (Some(Ok(_)), _) => {}
    }
    notes.join("; ")
}
