//! Stage `deploy:<environment>`: one rollout from its first event to its last.

use std::time::Duration;

use bus::aggregates::UpdateError;
use container_stage::outcome;
use container_stage::output::Output;
use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::{Admission, End, Event, Placement, Rollouts, Step};
use domain::run::Run;
use domain::stage::{Artifact, Failure, Outcome, StageResult};
use jiff::Timestamp;
use worker::{Admit, Work};

use crate::admission::neighbour;
use crate::converge::{Converged, Ended, Until, converge};
use crate::events::{UnderControl, update};
use crate::placement::{is_asked_for, overwrites, placement};
use crate::service::Deployer;
use crate::side_by_side::{is_replacing, plan, roll_out, unjudgeable};
use crate::take_back::{Abandoned, Back, take_back};
use crate::voice::Voice;
use crate::wanted::Wanted;

/// How often to look at a rollout that waits for its turn.
pub(crate) const TURN: Duration = Duration::from_secs(1);
/// What whoever ends an abandoned rollout to begin another says.
const CLEANS_UP: &str = "the next rollout cleans up";

/// Whether the rollout of `run` may begin.
pub(crate) async fn admit(deployer: &Deployer, run: &Run, environment: &EnvironmentName) -> Admit {
    // Before that, an earlier run may be unknown, and be overtaken.
    if !deployer.active.is_caught_up() {
        return Admit::Later(TURN);
    }
    let key = (environment.clone(), run.change.service.clone());
    let Ok(rollouts) = without_abandoned(deployer, &key).await else {
        return Admit::Later(TURN);
    };
    let others: Vec<_> = deployer
        .active
        .of(&run.change.service)
        .iter()
        .filter(|other| other.id != run.id)
        .filter_map(|other| neighbour(other, environment))
        .collect();
    match rollouts.admit(&run.id, run.order, is_asked_for(run), &others) {
        Admission::Go | Admission::Resume => Admit::Now,
        Admission::Wait { reason } => {
            tracing::debug!(run.id = %run.id, reason, "a rollout waits for its turn");
            Admit::Later(TURN)
        }
        Admission::Overtaken { reason } => Admit::End(Box::new(Outcome::Cancelled { reason })),
    }
}

/// The rollouts; an abandoned one is ended. The next rollout starts from whatever it left.
pub(crate) async fn without_abandoned(
    deployer: &Deployer,
    key: &(EnvironmentName, ServiceName),
) -> Result<Rollouts, bus::Error> {
    let rollouts = deployer.rollouts.get(key).await?.unwrap_or_default();
    match Abandoned::of(deployer, key, &rollouts).await? {
        Some(abandoned) => abandoned.end(CLEANS_UP).await,
        None => Ok(rollouts),
    }
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
    let releases = deployer.releases.get(&key.1).await?.unwrap_or_default();
    let placement = match placement(&work.run, work.created(), environment, &releases) {
        Ok(placement) => placement,
        Err(reason) => return Ok(outcome::red(reason, &[])),
    };
    let wanted = Wanted::of(&work.created().spec, &placement, environment);
    let started = match begin(deployer, work, &key, &placement, &wanted).await? {
        Ok(started) => started,
        Err(instead) => return Ok(instead),
    };
    let address = started.current().map(|before| before.address.as_str());
    let wanted = wanted.at(address).overwriting(overwrites(&work.run));
    let voice = Voice::Stage(output);
    voice
        .say(&format!(
            "rolling out {} {} to {environment}",
            wanted.service, wanted.version
        ))
        .await;
    for note in deployer.targets.notes(&wanted) {
        voice.say(&note).await;
    }
    let plan = started.progress.as_ref().map(|progress| &progress.plan);
    if let Some(plan) = plan.filter(|plan| !is_replacing(plan)) {
        let steps: Vec<String> = plan.steps.iter().map(Step::to_string).collect();
        voice.say(&format!("steps: {}", steps.join(", "))).await;
        if let Some(outcome) = roll_out(deployer, work, &key, &wanted, &started, &voice).await? {
            return Ok(outcome);
        }
    }
    let control = UnderControl {
        log: &deployer.rollouts,
        key: &key,
        run: &placement.run,
    };
    let (end, outcome) = match converge(
        &deployer.targets,
        &wanted,
        &Until::Asked(&work.stop, &control),
        &voice,
    )
    .await
    {
        Converged::Done { address, was_there } => (
            End::Completed {
                address: address.clone(),
            },
            succeeded(&wanted, address, was_there),
        ),
        // Another deployer, or this one after its restart, goes on from what is there.
        Converged::Interrupted => {
            return Ok(outcome::broken(
                "the deployer stopped in the middle of the rollout",
            ));
        }
        Converged::Failed { failure, how } => {
            voice.say(&format!("it failed: {}", failure.reason)).await;
            let back = take_back(deployer, &wanted, &started, &Until::End, &voice).await;
            let reason = format!("{}; {}", failure.reason, back.words());
            let outcome = with_reason(how, *failure, reason.clone());
            match back {
                Back::Settled { .. } | Back::Stays(_) => (End::RolledBack { reason }, outcome),
                // The rollout stays the active one: the next attempt goes on with it, or else the repair.
                Back::Unsettled(_) => return Ok(outcome),
            }
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

/// Appends that the rollout begins, or goes on with the one that began before. Admission comes before the claim, so two
/// runs may have been admitted at the same moment: only one of them can be the active one, the other waits here, or
/// finds itself overtaken.
async fn begin(
    deployer: &Deployer,
    work: &Work,
    key: &(EnvironmentName, ServiceName),
    placement: &Placement,
    wanted: &Wanted,
) -> Result<Result<Rollouts, Outcome>, bus::Error> {
    let (empty, asked_for) = (Rollouts::default(), is_asked_for(&work.run));
    let current = |rollouts: &Rollouts| rollouts.current().map(|c| c.placement.clone());
    loop {
        let seen = without_abandoned(deployer, key).await?;
        let plan = plan(deployer, wanted, placement, &seen).await?;
        if let Some(reason) = unjudgeable(deployer, wanted, &plan) {
            return Ok(Err(outcome::red(reason, &[])));
        }
        let begun = deployer.rollouts.update(key, |rollouts| {
            let rollouts = rollouts.unwrap_or(&empty);
            match rollouts.admit(&placement.run, placement.order, asked_for, &[]) {
                Admission::Go if current(rollouts) != current(&seen) => {
                    Err((true, "something else was deployed meanwhile".to_owned()))
                }
                Admission::Go => Ok(Some(Event::Started {
                    placement: placement.clone(),
                    plan: Some(plan.clone()),
                })),
                Admission::Resume => Ok(None),
                Admission::Wait { reason } => Err((true, reason)),
                Admission::Overtaken { reason } => Err((false, reason)),
            }
        });
        match begun.await {
            Ok(begun) => return Ok(Ok(begun.state)),
            Err(UpdateError::Refused((false, reason))) => {
                return Ok(Err(Outcome::Cancelled { reason }));
            }
            Err(UpdateError::Bus(error)) => return Err(error),
            Err(UpdateError::Refused((true, _)) | UpdateError::Absent | UpdateError::Contended) => {
            }
        }
        tokio::select! {
            () = tokio::time::sleep(TURN) => {}
            () = work.stop.token().cancelled() => {}
        }
        if let Some(asked) = work.stop.outcome() {
            return Ok(Err(asked));
        }
    }
}

pub(crate) fn succeeded(wanted: &Wanted, address: String, was_there: bool) -> Outcome {
    let replicas = match wanted.deploy.replicas {
        0 | 1 => "1 replica".to_owned(),
        count => format!("{count} replicas"),
    };
    let already = if was_there { "is there already, " } else { "" };
    // Without a port it takes no traffic.
    let at = match address.as_str() {
        "" => String::new(),
        address => format!("at {address}, "),
    };
    Outcome::Succeeded(Box::new(StageResult {
        summary: format!("{} {already}{at}{replicas} ready", wanted.version),
        artifact: Some(Artifact::Deployment { address }),
        tests: None,
    }))
}

pub(crate) fn with_reason(how: Ended, failure: Failure, reason: String) -> Outcome {
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
