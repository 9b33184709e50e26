//! Stage `deploy:<environment>`: one rollout from its first event to its last.

use std::collections::HashMap;
use std::time::Duration;

use bus::aggregates::{Log, UpdateError};
use container_stage::outcome;
use container_stage::output::Output;
use domain::ids::{EnvironmentName, ServiceName};
use domain::platform::Target;
use domain::release::Releases;
use domain::rollout::{Admission, End, Event, Placed, Placement, Rollouts};
use domain::run::{Kind, Run};
use domain::stage::{Artifact, Failure, Outcome, StageName, StageResult};
use jiff::Timestamp;
use tokio::time::Instant;
use worker::{Admit, Work};

use crate::admission::neighbour;
use crate::docker::Seen;
use crate::error::TargetError;
use crate::rolling::{Scale, Step, next};
use crate::service::Deployer;
use crate::wanted::{Wanted, deploy_in};

/// How often to look at a rollout that waits for its turn.
const TURN: Duration = Duration::from_secs(1);
/// How often to look at the target while it gets ready.
const LOOK: Duration = Duration::from_millis(200);
/// Looks in a row that may fail before the rollout is given up.
const BLIND: u32 = 30;

/// Whether the rollout of `run` may begin.
pub(crate) async fn admit(deployer: &Deployer, run: &Run, environment: &EnvironmentName) -> Admit {
    let key = (environment.clone(), run.change.service.clone());
    let rollouts = match deployer.rollouts.get(&key).await {
        Ok(rollouts) => rollouts.unwrap_or_default(),
        Err(_) => return Admit::Later(TURN),
    };
    let rollouts = match without_abandoned(deployer, &key, rollouts).await {
        Ok(rollouts) => rollouts,
        Err(_) => return Admit::Later(TURN),
    };
    let others: Vec<_> = deployer
        .active
        .of(&run.change.service)
        .iter()
        .filter(|other| other.id != run.id)
        .filter_map(|other| neighbour(other, environment))
        .collect();
    let wanted = matches!(run.change.kind, Kind::Deploy(_) | Kind::Rollback(_));
    match rollouts.admit(&run.id, run.order, wanted, &others) {
        Admission::Go | Admission::Resume => Admit::Now,
        Admission::Wait { reason } => {
            tracing::debug!(run.id = %run.id, reason, "a rollout waits for its turn");
            Admit::Later(TURN)
        }
        Admission::Overtaken { reason } => Admit::End(Box::new(Outcome::Cancelled { reason })),
    }
}

/// Ends a rollout whose run has ended without it: its deployer was stopped for good before it could say so. The next
/// rollout starts from whatever it left.
async fn without_abandoned(
    deployer: &Deployer,
    key: &(EnvironmentName, ServiceName),
    rollouts: Rollouts,
) -> Result<Rollouts, bus::Error> {
    let Some(active) = &rollouts.active else {
        return Ok(rollouts);
    };
    let run = deployer.runs.get(&active.run).await?;
    let stage = StageName::Deploy(key.0.clone());
    let is_over = run
        .as_ref()
        .and_then(|run| run.stage(&stage))
        .is_none_or(|s| s.finished_at().is_some());
    if !is_over {
        return Ok(rollouts);
    }
    let end = End::RolledBack {
        reason: "its deployer stopped before the end; the next rollout cleans up".to_owned(),
    };
    let ended = Event::Ended {
        run: active.run.clone(),
        end,
        at: Timestamp::now(),
    };
    let is_still = |rollouts: &Rollouts| {
        rollouts
            .active
            .as_ref()
            .is_some_and(|a| a.run == active.run)
    };
    update(&deployer.rollouts, key, |rollouts| {
        is_still(rollouts).then(|| ended.clone())
    })
    .await
}

/// Does the rollout.
pub(crate) async fn on_deploy(
    deployer: &Deployer,
    work: &Work,
    environment: &EnvironmentName,
) -> Outcome {
    let output = Output::to(work.log.clone());
    let rolled = rollout(deployer, work, environment, &output).await;
    output.finish().await;
    match rolled {
        Ok(outcome) => outcome,
        Err(error) => outcome::broken(outcome::chain(&error)),
    }
}

async fn rollout(
    deployer: &Deployer,
    work: &Work,
    environment: &EnvironmentName,
    output: &Output,
) -> Result<Outcome, bus::Error> {
    let key = (environment.clone(), work.run.change.service.clone());
    let placement = match placement(deployer, work, environment).await? {
        Ok(placement) => placement,
        Err(reason) => return Ok(outcome::red(reason, &[])),
    };
    let started = match begin(deployer, work, &key, &placement).await? {
        Ok(started) => started,
        Err(asked) => return Ok(asked),
    };
    let before = started.current().cloned();
    let wanted = wanted(work.created().spec.clone(), &placement, environment);
    output
        .say(&format!(
            "rolling out {} {} to {environment}",
            wanted.service, wanted.version
        ))
        .await;
    let (end, outcome) = match converge(deployer, &wanted, Some(work), output).await {
        Converged::Done { address } => {
            let result = StageResult {
                summary: format!(
                    "{} at {address}, {} ready",
                    wanted.version,
                    replicas(wanted.deploy.replicas)
                ),
                artifact: Some(Artifact::Deployment {
                    address: address.clone(),
                }),
                tests: None,
            };
            (
                End::Completed { address },
                Outcome::Succeeded(Box::new(result)),
            )
        }
        // Another deployer, or this one after its restart, goes on from what is there.
        Converged::Interrupted => {
            return Ok(outcome::broken(
                "the deployer stopped in the middle of the rollout",
            ));
        }
        Converged::Failed { failure, outcome } => {
            output.say(&format!("it failed: {}", failure.reason)).await;
            let reason = failure.reason.clone();
            let back = take_back(deployer, &wanted, before.as_ref(), output).await;
            let text = format!("{reason}; {back}");
            (
                End::RolledBack {
                    reason: text.clone(),
                },
                with_reason(outcome, *failure, text),
            )
        }
    };
    let ended = Event::Ended {
        run: placement.run.clone(),
        end,
        at: Timestamp::now(),
    };
    update(&deployer.rollouts, &key, |rollouts| {
        rollouts
            .active
            .as_ref()
            .is_some_and(|a| a.run == placement.run)
            .then(|| ended.clone())
    })
    .await?;
    Ok(outcome)
}

/// Appends that the rollout begins, or goes on with the one that began before. Two runs may have been admitted at the
/// same moment: only one of them can be the active one, the other waits here.
async fn begin(
    deployer: &Deployer,
    work: &Work,
    key: &(EnvironmentName, ServiceName),
    placement: &Placement,
) -> Result<Result<Rollouts, Outcome>, bus::Error> {
    loop {
        let rollouts = update(&deployer.rollouts, key, |rollouts| {
            rollouts.active.is_none().then(|| Event::Started {
                placement: placement.clone(),
            })
        })
        .await?;
        if rollouts
            .active
            .as_ref()
            .is_some_and(|active| active.run == placement.run)
        {
            return Ok(Ok(rollouts));
        }
        if let Some(asked) = work.stop.outcome() {
            return Ok(Err(asked));
        }
        without_abandoned(deployer, key, rollouts).await?;
        tokio::time::sleep(TURN).await;
    }
}

fn with_reason(how: Ended, failure: Failure, reason: String) -> Outcome {
    let failure = Box::new(Failure {
        reason: reason.clone(),
        ..failure
    });
    match how {
        Ended::Red => Outcome::Failed(failure),
        Ended::Broken => Outcome::Errored {
            failure,
            retryable: true,
        },
        Ended::Stopped => Outcome::Cancelled { reason },
    }
}

/// What a run brings in, or why it may not.
async fn placement(
    deployer: &Deployer,
    work: &Work,
    environment: &EnvironmentName,
) -> Result<Result<Placement, String>, bus::Error> {
    let run = &work.run;
    let created = work.created();
    let place = created.plan.environment(environment);
    if place.is_some_and(|e| matches!(e.target, Target::Kubernetes(_))) {
        return Ok(Err(format!(
            "{environment} is a Kubernetes target, and this version of Slipway deploys to docker targets only; set \
             `target: docker` in platform.yaml"
        )));
    }
    let production = place.is_some_and(|e| e.production);
    let (origin, repository, digest) = match &run.change.kind {
        Kind::Deploy(target) | Kind::Rollback(target) => {
            let promoted = promoted(run);
            let repository =
                promoted.map_or_else(|| target.repository.clone(), |(repository, _)| repository);
            (target.origin.clone(), repository, target.digest.clone())
        }
        Kind::Change | Kind::Proposal { .. } => {
            let built = if production {
                promoted(run)
            } else {
                run.image_digest()
                    .map(|d| (created.plan.development_repository.clone(), d.clone()))
            };
            match built {
                Some((repository, digest)) => (run.id.clone(), repository, digest),
                None => return Ok(Err("the run has no image to deploy here".to_owned())),
            }
        }
    };
    let version = created.version.as_ref().map(|v| v.version.clone());
    if production {
        let releases = deployer
            .releases
            .get(&run.change.service)
            .await?
            .unwrap_or_default();
        if !is_released(&releases, &digest) {
            return Ok(Err(format!(
                "{environment} takes only releases, and {digest} is not one: it was never promoted to the production \
                 registry"
            )));
        }
    }
    Ok(Ok(Placement {
        run: run.id.clone(),
        origin,
        order: run.order,
        version: version.map(|v| v.to_string()).unwrap_or_default(),
        repository,
        digest,
        is_rollback: matches!(run.change.kind, Kind::Rollback(_)),
        at: Timestamp::now(),
    }))
}

fn replicas(count: u32) -> String {
    if count == 1 {
        "1 replica".to_owned()
    } else {
        format!("{count} replicas")
    }
}

fn promoted(run: &Run) -> Option<(String, domain::ids::Digest)> {
    match run.stage(&StageName::Promote)?.artifact()? {
        Artifact::Release {
            repository, digest, ..
        } => Some((repository.clone(), digest.clone())),
        _ => None,
    }
}

fn is_released(releases: &Releases, digest: &domain::ids::Digest) -> bool {
    releases
        .versions
        .values()
        .any(|record| record.release.as_ref().is_some_and(|r| r.digest == *digest))
}

fn wanted(
    spec: domain::spec::ServiceSpec,
    placement: &Placement,
    environment: &EnvironmentName,
) -> Wanted {
    Wanted {
        deploy: deploy_in(&spec, environment),
        service: spec.service,
        environment: environment.clone(),
        version: placement.version.clone(),
        run: placement.run.clone(),
        repository: placement.repository.clone(),
        digest: placement.digest.clone(),
    }
}

/// How a rollout, or going back, ended.
enum Converged {
    Done {
        address: String,
    },
    Failed {
        failure: Box<Failure>,
        outcome: Ended,
    },
    Interrupted,
}

/// Whose fault the end of a rollout is.
#[derive(Clone, Copy)]
enum Ended {
    Red,
    Broken,
    Stopped,
}

fn failed(reason: impl Into<String>, outcome: Ended) -> Converged {
    Converged::Failed {
        failure: Box::new(Failure::because(reason)),
        outcome,
    }
}

/// Looks, decides and acts until the wanted version is there, or can't be. With `work`, stops when that says so.
async fn converge(
    deployer: &Deployer,
    wanted: &Wanted,
    work: Option<&Work>,
    output: &Output,
) -> Converged {
    let batches = wanted.rolling();
    let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    let scale = Scale {
        replicas: count(wanted.deploy.replicas.max(1)),
        surge: count(batches.max_surge.of(wanted.deploy.replicas)),
        unavailable: count(batches.max_unavailable.of(wanted.deploy.replicas)),
    };
    let target = match deployer.docker.prepare(wanted, output).await {
        Ok(target) => target,
        Err(error) => return stopped_by(&error),
    };
    let mut unrouted: HashMap<String, Instant> = HashMap::new();
    let (mut blind, mut last_step, mut progress) = (0, Step::Wait, Instant::now());
    loop {
        if let Some(asked) = work.and_then(|w| w.stop.outcome()) {
            return match asked {
                Outcome::Cancelled { reason } => failed(reason, Ended::Stopped),
                Outcome::Failed(failure) => failed(failure.reason, Ended::Red),
                _ => Converged::Interrupted,
            };
        }
        let acted = async {
            let seen = target.look().await?;
            remember_unrouted(&mut unrouted, &seen);
            let overdue = |name: &str| {
                unrouted
                    .get(name)
                    .is_some_and(|since| since.elapsed() > wanted.drain())
            };
            let step = next(scale, &seen.replicas, overdue);
            target.act(&step, &seen, output).await?;
            Ok::<_, TargetError>((step, seen))
        };
        let step = match acted.await {
            Ok((Step::Done, seen)) => {
                return Converged::Done {
                    address: seen.address,
                };
            }
            Ok((Step::Fail { reason }, seen)) => {
                let mut failure = Failure::because(reason);
                failure.last_lines = seen.last_lines;
                return Converged::Failed {
                    failure: Box::new(failure),
                    outcome: Ended::Red,
                };
            }
            Ok((step, seen)) => {
                if progress.elapsed() > wanted.deadline() {
                    return failed(not_ready(wanted, &seen), Ended::Red);
                }
                blind = 0;
                step
            }
            Err(error) if error.is_users() || blind >= BLIND => return stopped_by(&error),
            Err(error) => {
                blind += 1;
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a step of a rollout is tried again"
                );
                tokio::time::sleep(LOOK * 5).await;
                continue;
            }
        };
        if step != last_step {
            progress = Instant::now();
        }
        if step == Step::Wait {
            tokio::time::sleep(LOOK).await;
        }
        last_step = step;
    }
}

fn stopped_by(error: &TargetError) -> Converged {
    failed(
        outcome::chain(error),
        if error.is_users() {
            Ended::Red
        } else {
            Ended::Broken
        },
    )
}

fn not_ready(wanted: &Wanted, seen: &Seen) -> String {
    let why = seen
        .waiting_for
        .as_deref()
        .unwrap_or("the edge did not say why");
    format!(
        "{} {} did not become ready within {} s: {why}",
        wanted.service,
        wanted.version,
        wanted.deadline().as_secs()
    )
}

fn remember_unrouted(unrouted: &mut HashMap<String, Instant>, seen: &Seen) {
    unrouted.retain(|name, _| {
        seen.replicas
            .iter()
            .any(|r| r.name == *name && !r.is_routed)
    });
    for replica in seen.replicas.iter().filter(|r| !r.is_routed) {
        unrouted
            .entry(replica.name.clone())
            .or_insert_with(Instant::now);
    }
}

/// Brings back what ran before; says in a few words what it did.
async fn take_back(
    deployer: &Deployer,
    wanted: &Wanted,
    before: Option<&Placed>,
    output: &Output,
) -> String {
    let Some(before) = before else {
        return match deployer.docker.remove_service(wanted).await {
            Ok(()) => "nothing ran here before, and it was removed again".to_owned(),
            Err(error) => format!("removing it failed too: {}", outcome::chain(&error)),
        };
    };
    let previous = match deployer.runs.get(&before.placement.origin).await {
        Ok(Some(run)) => run,
        Ok(None) => {
            return "what ran before is not known any more; nothing was taken back".to_owned();
        }
        Err(error) => return format!("what ran before can't be read: {}", outcome::chain(&error)),
    };
    let Some(created) = previous.created else {
        return "what ran before has no plan".to_owned();
    };
    let back = self::wanted(created.spec, &before.placement, &wanted.environment);
    output.say(&format!("going back to {}", back.version)).await;
    match converge(deployer, &back, None, output).await {
        Converged::Done { .. } => format!("{} serves as before", back.version),
        Converged::Failed { failure, .. } => format!(
            "going back to {} failed too: {}",
            back.version, failure.reason
        ),
        Converged::Interrupted => "going back was interrupted".to_owned(),
    }
}

async fn update(
    log: &Log<Rollouts>,
    key: &(EnvironmentName, ServiceName),
    decide: impl Fn(&Rollouts) -> Option<Event>,
) -> Result<Rollouts, bus::Error> {
    let empty = Rollouts::default();
    let decide = |state: Option<&Rollouts>| {
        Ok::<_, std::convert::Infallible>(decide(state.unwrap_or(&empty)))
    };
    match log.update(key, decide).await {
        Ok(updated) => Ok(updated.state),
        Err(UpdateError::Absent | UpdateError::Contended) => {
            Ok(log.get(key).await?.unwrap_or_default())
        }
        Err(UpdateError::Bus(error)) => Err(error),
        Err(UpdateError::Refused(never)) => match never {},
    }
}
