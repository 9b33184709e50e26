//! Jobs that nobody could do: their stage fails with the reason.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use bus::aggregates::UpdateError;
use bus::{DeadLetter, DeliveryOptions, WorkerState};
use domain::ids::RunId;
use domain::run::{Claim, Run};
use domain::stage::{Failure, Outcome, StageName};
use jiff::Timestamp;

use crate::held::{Taken, question};
use crate::work::Stop;
use crate::{ACK_WAIT, Error, StageHandler, Worker, job};

/// How long to leave a letter alone that can't be dealt with now.
const PAUSE: Duration = Duration::from_secs(2);

pub(crate) async fn consume<H: StageHandler>(worker: &Arc<Worker<H>>) -> Result<(), Error> {
    let options = DeliveryOptions::new(1, ACK_WAIT);
    let mut letters = worker.bus.jobs().dead_letters(options).await?;
    loop {
        let letter = letters.next().await;
        let buried = match bury(worker, &letter).await {
            Ok(true) => letter.ack().await,
            Ok(false) => {
                tokio::time::sleep(PAUSE).await;
                drop(letter);
                Ok(())
            }
            Err(error) => {
                tokio::time::sleep(PAUSE).await;
                Err(error)
            }
        };
        if let Err(error) = buried {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "a dead letter will come again"
            );
        }
    }
}

/// Claims the attempt, if nobody did, and ends it; false if that is not possible yet.
async fn bury<H: StageHandler>(
    worker: &Worker<H>,
    letter: &DeadLetter,
) -> Result<bool, bus::Error> {
    tracing::error!(reason = letter.reason, "a job could not be done");
    let Ok((id, stage, attempt)) = job::decode(&letter.payload) else {
        return Ok(true);
    };
    let key = question(&id, &stage, attempt);
    let _hold = match worker.held.take(&id, &stage, attempt, 0, Stop::default()) {
        Taken::Hold(hold) => hold,
        // Somebody does it after all: this worker.
        Taken::Already => return Ok(true),
        Taken::Closed => return Ok(false),
    };
    loop {
        let Some(run) = worker.runs.get(&id).await? else {
            return Ok(true);
        };
        match run.claim(&stage, attempt, &worker.id, Timestamp::now()) {
            Claim::Over => return Ok(true),
            Claim::NotYet(_) => return Ok(false),
            Claim::Start(started) => {
                match worker.runs.append(&id, run.last_sequence, &started).await {
                    Ok(_) | Err(bus::AppendError::Conflict { .. }) => {}
                    Err(bus::AppendError::Bus(error)) => return Err(error),
                }
            }
            Claim::Held(holder) if holder != worker.id => match worker.ask(&holder, &key).await {
                WorkerState::Holds => return Ok(true),
                WorkerState::Unknown => return Ok(false),
                WorkerState::Free | WorkerState::Gone => {
                    fail(worker, &id, &stage, attempt, &letter.reason).await?;
                }
            },
            Claim::Held(_) => fail(worker, &id, &stage, attempt, &letter.reason).await?,
        }
    }
}

async fn fail<H: StageHandler>(
    worker: &Worker<H>,
    id: &RunId,
    stage: &StageName,
    attempt: u32,
    reason: &str,
) -> Result<(), bus::Error> {
    let failure = Box::new(Failure::because(format!(
        "its job could not be done: {reason}"
    )));
    let outcome = Outcome::Errored {
        failure,
        retryable: false,
    };
    let decide = |run: Option<&Run>| {
        Ok::<_, Infallible>(
            run.and_then(|run| run.end(stage, attempt, outcome.clone(), Timestamp::now())),
        )
    };
    match worker.runs.update(id, decide).await {
        Ok(_) | Err(UpdateError::Absent | UpdateError::Contended) => Ok(()),
        Err(UpdateError::Bus(error)) => Err(error),
        Err(UpdateError::Refused(never)) => match never {},
    }
}
