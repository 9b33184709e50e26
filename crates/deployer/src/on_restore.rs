//! Stage `restore:<environment>`: takes the run's version out again, because its tests there stopped.
//!
//! The environment goes back to the version that the run found there, with that version's own configuration, or to
//! nothing where it found nothing. What was deployed after the run stays.

use bus::aggregates::UpdateError;
use container_stage::outcome;
use container_stage::output::Output;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::rollout::{End, Event, Restoration, Rollouts};
use domain::run::{Run, Stage};
use domain::stage::{Outcome, StageName, StageResult};
use jiff::Timestamp;
use worker::{Admit, Work};

use crate::converge::{Converged, Until, converge};
use crate::events::update;
use crate::on_deploy::{TURN, without_abandoned};
use crate::service::Deployer;
use crate::take_back::{Back, take_back};
use crate::voice::Voice;
use crate::wanted::Wanted;

/// Whether what `run` brought may be taken out now.
pub(crate) async fn admit(deployer: &Deployer, run: &Run, environment: &EnvironmentName) -> Admit {
    let key = (environment.clone(), run.change.service.clone());
    let Ok(rollouts) = without_abandoned(deployer, &key).await else {
        return Admit::Later(TURN);
    };
    match rollouts.restoration(&run.id) {
        Restoration::Go | Restoration::Resume | Restoration::Needless => Admit::Now,
        Restoration::Wait { reason } => {
            tracing::debug!(run.id = %run.id, reason, "an environment waits to be put back");
            Admit::Later(TURN)
        }
    }
}

/// Puts the environment back.
pub(crate) async fn on_restore(
    deployer: &Deployer,
    work: &Work,
    environment: &EnvironmentName,
) -> Outcome {
    let output = Output::to(work.log.clone());
    let restored = restore(deployer, work, environment, &Voice::Stage(&output)).await;
    output.finish().await;
    match restored {
        Ok(outcome) => outcome,
        Err(error) => outcome::broken(outcome::chain(&error)),
    }
}

async fn restore(
    deployer: &Deployer,
    work: &Work,
    environment: &EnvironmentName,
    voice: &Voice<'_>,
) -> Result<Outcome, bus::Error> {
    let run = &work.run.id;
    let key = (environment.clone(), work.run.change.service.clone());
    let begun = match begin(deployer, work, &key).await? {
        Ok(begun) => begun,
        Err(instead) => return Ok(instead),
    };
    let (Some(current), Some(placement)) = (begun.current(), begun.restoring.clone()) else {
        return Ok(done(found(&begun, run)));
    };
    let why = why(&work.run, environment);
    let (end, outcome) = if current.placement.run == *run {
        let wanted =
            Wanted::of(&work.created().spec, &placement, environment).at(Some(&current.address));
        voice
            .say(&format!("taking out {}: {why}", wanted.version))
            .await;
        let earlier = begun.clone().without(run);
        let until = Until::Told(&work.stop);
        match take_back(deployer, &wanted, &earlier, &until, voice).await {
            Back::Settled { words, address } => {
                let words = match earlier.current() {
                    Some(_) => words,
                    None => "nothing ran here before".to_owned(),
                };
                let summary = format!("{} was taken out; {words}", wanted.version);
                let reason = format!("{why}; {words}");
                (End::Restored { reason, address }, done(summary))
            }
            Back::Stays(words) => {
                let reason = stays(deployer, &wanted, &words, voice).await;
                let end = End::RolledBack {
                    reason: reason.clone(),
                };
                (end, outcome::red(reason, &[]))
            }
            // It goes on being taken out: by the next attempt, or else by the repair.
            Back::Unsettled(words) => return Ok(outcome::broken(words)),
        }
    } else {
        let address = String::new();
        (
            End::Restored {
                reason: why,
                address,
            },
            done(newer(&begun)),
        )
    };
    let ended = Event::Ended {
        run: run.clone(),
        end,
        at: Timestamp::now(),
    };
    update(&deployer.rollouts, &key, |rollouts| {
        rollouts
            .restoring
            .as_ref()
            .is_some_and(|restoring| restoring.run == *run)
            .then(|| ended.clone())
    })
    .await?;
    Ok(outcome)
}

/// Appends that the version is being taken out, if it is there and this was not said before. Returns the rollouts, or
/// how to end instead.
async fn begin(
    deployer: &Deployer,
    work: &Work,
    key: &(EnvironmentName, ServiceName),
) -> Result<Result<Rollouts, Outcome>, bus::Error> {
    let (empty, run) = (Rollouts::default(), &work.run.id);
    loop {
        without_abandoned(deployer, key).await?;
        let begun = deployer.rollouts.update(key, |rollouts| {
            match rollouts.unwrap_or(&empty).restoration(run) {
                Restoration::Go => Ok(Some(Event::RestoreStarted {
                    run: run.clone(),
                    at: Timestamp::now(),
                })),
                Restoration::Resume | Restoration::Needless => Ok(None),
                Restoration::Wait { reason } => Err(reason),
            }
        });
        match begun.await {
            Ok(begun) => return Ok(Ok(begun.state)),
            Err(UpdateError::Absent) => return Ok(Ok(empty)),
            Err(UpdateError::Bus(error)) => return Err(error),
            Err(UpdateError::Refused(_) | UpdateError::Contended) => {}
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

/// What came before can't be had: the version stays, whole.
async fn stays(deployer: &Deployer, wanted: &Wanted, words: &str, voice: &Voice<'_>) -> String {
    let version = &wanted.version;
    match converge(&deployer.targets, wanted, &Until::End, voice).await {
        Converged::Done { .. } => format!("{words}; {version} stays, though its tests stopped"),
        Converged::Failed { failure, .. } => {
            format!(
                "{words}; nor does {version} come up again: {}",
                failure.reason
            )
        }
        Converged::Interrupted => words.to_owned(),
    }
}

/// Which tests stopped, and how.
fn why(run: &Run, environment: &EnvironmentName) -> String {
    let restore = run.stage(&StageName::Restore(environment.clone()));
    let needs = restore
        .map(|stage| stage.needs.as_slice())
        .unwrap_or_default();
    let stopped = || {
        needs
            .iter()
            .filter_map(|need| run.stage(need))
            .filter(|test| test.state.is_stopped())
    };
    // What was not reached is no reason.
    let began = stopped().find(|test: &&Stage| test.has_begun());
    began.or_else(|| stopped().next()).map_or_else(
        || "its tests stopped".to_owned(),
        |test| format!("{} {}", test.name, test.state.name()),
    )
}

/// What there is to say where the run's version is not there, or not any more.
fn found(rollouts: &Rollouts, run: &RunId) -> String {
    match (rollouts.current(), &rollouts.last_rolled_back) {
        (Some(current), Some((out, _))) if out.run == *run => format!(
            "{} was taken out; {} serves as before",
            out.version, current.placement.version
        ),
        (Some(_), _) => newer(rollouts),
        (None, _) => "it was taken out; nothing ran here before".to_owned(),
    }
}

/// What there is to say where something else was deployed after the run.
fn newer(rollouts: &Rollouts) -> String {
    rollouts.current().map_or_else(String::new, |current| {
        format!(
            "nothing to do: {} of run {} was deployed here meanwhile",
            current.placement.version, current.placement.run
        )
    })
}

fn done(summary: String) -> Outcome {
    Outcome::Succeeded(Box::new(StageResult {
        summary,
        ..StageResult::default()
    }))
}
