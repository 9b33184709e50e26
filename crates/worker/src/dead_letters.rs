//! Jobs that nobody could do: their stage fails with the reason.

use std::convert::Infallible;
use std::sync::Arc;

use bus::{DeadLetter, DeliveryOptions};
use bus::aggregates::UpdateError;
use domain::ids::RunId;
use domain::run::{Claim, Event, Run};
use domain::stage::{Failure, Outcome, StageName};
use jiff::Timestamp;

use crate::{ACK_WAIT, Error, StageHandler, Worker, job};

pub(crate) async fn consume<H: StageHandler>(worker: &Arc<Worker<H>>) -> Result<(), Error> {
    let options = DeliveryOptions::new(1, ACK_WAIT);
    let mut letters = worker.bus.jobs().dead_letters(options).await?;
    loop {
        let letter = letters.next().await;
        let buried = match bury(worker, &letter).await {
            Ok(()) => letter.ack().await,
            Err(error) => Err(error),
        };
        if let Err(error) = buried {
            tracing::warn!(error = &error as &dyn std::error::Error, "a dead letter will come again");
        }
    }
}

async fn bury<H: StageHandler>(worker: &Worker<H>, letter: &DeadLetter) -> Result<(), bus::Error> {
    tracing::error!(reason = letter.reason, "a job could not be done");
    let Ok((run, stage, attempt)) = job::decode(&letter.payload) else { return Ok(()) };
    // The first event claims a stage that nobody did, the second ends it.
    for _ in 0..2 {
        let decide = |state: Option<&Run>| Ok::<_, Infallible>(next(worker, state, &stage, attempt, &letter.reason));
        match worker.runs.update(&run, decide).await {
            Ok(_) | Err(UpdateError::Absent | UpdateError::Contended) => {}
            Err(UpdateError::Bus(error)) => return Err(error),
            Err(UpdateError::Refused(never)) => match never {},
        }
    }
    Ok(())
}

fn next<H: StageHandler>(
    worker: &Worker<H>,
    run: Option<&Run>,
    stage: &StageName,
    attempt: u32,
    reason: &str,
) -> Option<Event> {
    let (run, now) = (run?, Timestamp::now());
    match run.claim(stage, attempt, &worker.id, now) {
        Claim::Start(event) => Some(event),
        Claim::Held(_) if !is_held(worker, &run.id, stage, attempt) => {
            let failure = Box::new(Failure::because(format!("its job could not be done: {reason}")));
            run.end(stage, attempt, Outcome::Errored { failure, retryable: false }, now)
        }
        Claim::Held(_) | Claim::NotYet(_) | Claim::Over => None,
    }
}

fn is_held<H: StageHandler>(worker: &Worker<H>, run: &RunId, stage: &StageName, attempt: u32) -> bool {
    worker.held.answers(crate::held::question(run, stage, attempt).as_bytes())
}
