//! What a rollout would change: asked of the target, without changing anything there or on the bus.

pub(crate) mod diff;

use container_stage::outcome::chain;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::rollout::{Placement, Plan, Rollouts, Step};
use domain::spec::Deploy;
use jiff::Timestamp;
use proto::deployer::v1::PreviewDeploymentRequest;
use proto::preview::v1::{ChangeKind, DeploymentPreview, FieldChange, ObjectChange};
use tonic::Status;

use crate::docker;
use crate::error::TargetError;
use crate::kubernetes;
use crate::origin::wanted_of;
use crate::service::Deployer;
use crate::side_by_side::{is_replacing, plan, unjudgeable};
use crate::target::Place;
use crate::wanted::Wanted;
use diff::{Difference, words};

/// Why there is no preview.
#[derive(Debug, thiserror::Error)]
pub(crate) enum PreviewError {
    #[error("{field}: {why}")]
    Field { field: &'static str, why: String },
    #[error(
        "run {origin}, which made {version}, is not known any more, and with it how the service is to run; start a \
         new run of that commit"
    )]
    UnknownOrigin { origin: RunId, version: String },
    #[error("the event store could not be used")]
    Bus(#[from] bus::Error),
    #[error(transparent)]
    Target(#[from] TargetError),
}

impl From<PreviewError> for Status {
    fn from(error: PreviewError) -> Self {
        let text = chain(&error);
        match &error {
            PreviewError::Field { .. } => Self::invalid_argument(text),
            PreviewError::UnknownOrigin { .. } => Self::failed_precondition(text),
            PreviewError::Target(target) if target.is_users() => {
                let details = target.details();
                let lines: Vec<&str> = details.iter().map(String::as_str).collect();
                Self::failed_precondition([&[text.as_str()], lines.as_slice()].concat().join("\n"))
            }
            PreviewError::Target(target) if !target.is_passing() => Self::failed_precondition(text),
            PreviewError::Target(_) | PreviewError::Bus(_) => Self::unavailable(text),
        }
    }
}

/// What somebody wants to know about.
struct Asked {
    placement: Placement,
    service: ServiceName,
    environment: EnvironmentName,
    available: String,
    overwrites: bool,
}

impl Asked {
    fn of(request: PreviewDeploymentRequest) -> Result<Self, PreviewError> {
        fn read<T: std::str::FromStr>(field: &'static str, text: &str) -> Result<T, PreviewError>
        where
            T::Err: std::fmt::Display,
        {
            text.parse().map_err(|error| PreviewError::Field {
                field,
                why: format!("{error}"),
            })
        }
        let origin: RunId = read("origin_run_id", &request.origin_run_id)?;
        let available = match request.available_repository.as_str() {
            "" => request.repository.clone(),
            available => available.to_owned(),
        };
        Ok(Self {
            placement: Placement {
                // There is no run yet.
                run: origin.clone(),
                origin,
                order: 0,
                version: request.version,
                repository: request.repository,
                digest: read("image_digest", &request.image_digest)?,
                is_rollback: request.is_rollback,
                at: Timestamp::now(),
            },
            service: read("service", &request.service)?,
            environment: read("environment", &request.environment)?,
            available,
            overwrites: request.overwrite_changes,
        })
    }
}

/// What bringing a version in would change.
pub(crate) async fn preview(
    deployer: &Deployer,
    request: PreviewDeploymentRequest,
) -> Result<DeploymentPreview, PreviewError> {
    let asked = Asked::of(request)?;
    let (placement, environment) = (&asked.placement, &asked.environment);
    let place = deployer.targets.of(environment)?;
    let origin = deployer.runs.get(&placement.origin).await?;
    let Some(created) = origin.and_then(|run| run.created) else {
        return Err(PreviewError::UnknownOrigin {
            origin: placement.origin.clone(),
            version: placement.version.clone(),
        });
    };
    let key = (environment.clone(), asked.service.clone());
    let rollouts = deployer.rollouts.get(&key).await?.unwrap_or_default();
    let current = rollouts.current();
    let wanted = Wanted::of(&created.spec, placement, environment)
        .at(current.map(|current| current.address.as_str()));
    let plan = plan(deployer, &wanted, placement, &rollouts).await?;
    let before = match current {
        Some(current) => wanted_of(deployer, current, environment).await?,
        None => None,
    };
    let (target, name, objects, may_overwrite) = match place {
        Place::Docker(docker) => {
            let objects = docker::preview(docker, &wanted, before.as_ref()).await?;
            let network = docker::names::network(environment);
            ("docker", network, objects, true)
        }
        Place::Kubernetes(kubernetes, target) => {
            let way = kubernetes::Way {
                available: &asked.available,
                beside: before.as_ref().filter(|_| !is_replacing(&plan)),
            };
            let objects = kubernetes::preview(kubernetes, target, &wanted, &way)
                .await
                .map_err(TargetError::from)?;
            let may_overwrite = asked.overwrites || target.overwrite_changes;
            let namespace = target.namespace(environment);
            ("kubernetes", namespace, objects, may_overwrite)
        }
    };
    let mut notes = waits(&rollouts);
    notes.extend(deployer.targets.notes(&wanted));
    Ok(DeploymentPreview {
        service: asked.service.to_string(),
        environment: environment.to_string(),
        target: target.to_owned(),
        place: name,
        version: placement.version.clone(),
        image_digest: placement.digest.to_string(),
        current_version: current.map_or_else(String::new, |c| c.placement.version.clone()),
        current_image_digest: current.map_or_else(String::new, |c| c.placement.digest.to_string()),
        strategy: strategy(&plan).to_owned(),
        steps: steps(&plan, &wanted.deploy),
        stages: Vec::new(),
        obstacles: unjudgeable(deployer, &wanted, &plan)
            .into_iter()
            .chain(obstacles(&objects, may_overwrite))
            .collect(),
        objects,
        notes,
    })
}

/// What must end first.
fn waits(rollouts: &Rollouts) -> Vec<String> {
    let active = rollouts.active.as_ref().map(|active| {
        format!(
            "the rollout of {} by run {} is under way; this one would wait for its end",
            active.version, active.run
        )
    });
    let restoring = rollouts.restoring.as_ref().map(|restoring| {
        format!(
            "{} of run {} is being taken out again; this rollout would wait for that",
            restoring.version, restoring.run
        )
    });
    active.into_iter().chain(restoring).collect()
}

/// How one version would replace the other.
fn strategy(plan: &Plan) -> &'static str {
    let is = |wanted: fn(&Step) -> bool| plan.steps.iter().any(wanted);
    if is(|step| matches!(step, Step::BringUp)) {
        "bring up"
    } else if is(|step| matches!(step, Step::Roll { .. })) {
        "rolling"
    } else if plan.is_all_at_once() {
        "blue-green"
    } else {
        "canary"
    }
}

fn steps(plan: &Plan, deploy: &Deploy) -> Vec<String> {
    let replicas = deploy.replicas.max(1);
    let count = match replicas {
        1 => "1 replica".to_owned(),
        many => format!("{many} replicas"),
    };
    let one = |step: &Step| match step {
        Step::BringUp | Step::Roll { .. } if deploy.manifests.is_some() => {
            "as the manifests say".to_owned()
        }
        Step::BringUp => format!("bring up {count}"),
        Step::Roll {
            max_surge,
            max_unavailable,
        } => {
            let (more, fewer) = (max_surge.of(replicas), max_unavailable.of(replicas));
            // One of the two must be possible.
            let more = if fewer == 0 { more.max(1) } else { more };
            format!("replace {count}, with at most {more} more and {fewer} fewer meanwhile")
        }
        other => other.to_string(),
    };
    plan.steps.iter().map(one).collect()
}

/// What would stop the rollout, each with what to do.
fn obstacles(objects: &[ObjectChange], may_overwrite: bool) -> Vec<String> {
    let of = |object: &ObjectChange| {
        let name = format!("{} {}", object.kind, object.name);
        if object.change() == ChangeKind::Refused {
            return Some(format!("{name} is refused: {}", object.note));
        }
        let conflict = Some(&object.conflict).filter(|conflict| !conflict.is_empty())?;
        (!may_overwrite).then(|| {
            format!(
                "{name} was changed by somebody else: {conflict}; undo that change, or let Slipway overwrite it \
                 with `--overwrite-changes`"
            )
        })
    };
    objects.iter().filter_map(of).collect()
}

/// Differences as they are told; the values of secret ones are left out.
pub(crate) fn told(
    differences: Vec<Difference>,
    is_secret: impl Fn(&str) -> bool,
) -> Vec<FieldChange> {
    let one = |difference: Difference| {
        let is_secret = is_secret(&difference.path);
        let side = |value: Option<serde_json::Value>| {
            value.map(|value| {
                if is_secret {
                    String::new()
                } else {
                    words(&value)
                }
            })
        };
        FieldChange {
            before: side(difference.before),
            after: side(difference.after),
            path: difference.path,
            is_secret,
        }
    };
    differences.into_iter().map(one).collect()
}

#[cfg(test)]
mod tests;
