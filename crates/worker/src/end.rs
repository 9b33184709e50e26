//! The end of an attempt, appended however long the bus is away.

use std::convert::Infallible;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bus::aggregates::{UpdateError, Updated};
use domain::ids::{RunId, WorkerId};
use domain::run::Run;
use domain::stage::{Failure, Outcome, StageName};
use jiff::Timestamp;

use crate::held::Hold;
use crate::{StageHandler, Worker, enqueue_ready};

/// Appends the outcome and enqueues what became ready.
pub(crate) async fn end<H: StageHandler>(
    worker: &Worker<H>,
    id: &RunId,
    stage: &StageName,
    attempt: u32,
    outcome: Outcome,
    hold: Hold,
) {
    let at = Timestamp::now();
    let mut appended = append(worker, id, stage, attempt, &outcome, at).await;
    if let Err(error) = &appended {
        // Too large, for one. Without its end, the stage would be done again and again.
        let reason = format!("its outcome could not be recorded: {error}");
        let instead = Outcome::Errored {
            failure: Box::new(Failure::because(reason)),
            retryable: false,
        };
        appended = append(worker, id, stage, attempt, &instead, at).await;
    }
    drop(hold);
    match appended {
        Ok(updated) => {
            let state = updated
                .state
                .stage(stage)
                .map_or("unknown", |s| s.state.name());
            tracing::info!(run.id = %id, stage.name = %stage, stage.state = state, "stage ended");
            enqueue_ready(&worker.bus, &updated.state).await;
        }
        Err(error) => {
            let error = &error as &dyn std::error::Error;
            tracing::error!(error, run.id = %id, stage.name = %stage, "an outcome is lost");
        }
    }
}

/// Tries until the bus takes it, or says that it never will.
async fn append<H: StageHandler>(
    worker: &Worker<H>,
    id: &RunId,
    stage: &StageName,
    attempt: u32,
    outcome: &Outcome,
    at: Timestamp,
) -> Result<Updated<Run>, UpdateError<Infallible>> {
    let decide =
        |run: Option<&Run>| Ok(run.and_then(|run| run.end(stage, attempt, outcome.clone(), at)));
    let back_off = ExponentialBuilder::default()
        .with_max_delay(Duration::from_secs(5))
        .without_max_times()
        .with_jitter();
    (|| worker.runs.update(id, decide))
        .retry(back_off)
        .when(may_pass)
        .notify(|error, _| tracing::warn!(%error, run.id = %id, stage.name = %stage, "the outcome waits for the bus"))
        .await
}

fn may_pass(error: &UpdateError<Infallible>) -> bool {
    match error {
        UpdateError::Bus(error) => error.is_retryable(),
        UpdateError::Contended => true,
        UpdateError::Absent | UpdateError::Refused(_) => false,
    }
}

/// Ends the attempt of a worker that is gone, so that the next one can begin.
pub(crate) async fn lose<H: StageHandler>(
    worker: &Worker<H>,
    id: &RunId,
    stage: &StageName,
    attempt: u32,
    holder: &WorkerId,
) -> Result<(), bus::Error> {
    let decide = |run: Option<&Run>| {
        Ok::<_, Infallible>(run.and_then(|run| run.lost(stage, attempt, holder, Timestamp::now())))
    };
    match worker.runs.update(id, decide).await {
        Ok(updated) if updated.appended => {
            tracing::warn!(run.id = %id, stage.name = %stage, worker.id = %holder, "the worker of a stage is gone");
            enqueue_ready(&worker.bus, &updated.state).await;
        }
        Ok(_) | Err(UpdateError::Absent | UpdateError::Contended) => {}
        Err(UpdateError::Bus(error)) => return Err(error),
        Err(UpdateError::Refused(never)) => match never {},
    }
    Ok(())
}
