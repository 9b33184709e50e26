//! What happens with one delivered job.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bus::{Delivery, WorkerState};
use domain::ids::RunId;
use domain::run::Claim;
use domain::stage::StageName;
use futures::FutureExt as _;
use jiff::Timestamp;
use tracing::Instrument as _;

use crate::attempt::{attempt, words};
use crate::end::{end, lose};
use crate::held::{Taken, question};
use crate::work::Stop;
use crate::{Admit, StageHandler, Worker, enqueue_ready, job, span};

/// When to look again at a stage of a worker that does not answer. Whether it is gone is for the sweep to say.
const UNKNOWN: Duration = Duration::from_secs(3);

/// What to do with the delivery.
enum Verdict {
    Done,
    Later(Duration),
    /// Not by this worker.
    Elsewhere,
    Reject(String),
}

pub(crate) async fn on_job<H: StageHandler>(worker: &Arc<Worker<H>>, delivery: Delivery) {
    let verdict = match job::decode(delivery.payload()) {
        Err(why) => Verdict::Reject(why),
        Ok((run, stage, number)) => {
            match AssertUnwindSafe(on_stage(worker, &delivery, &run, &stage, number))
                .catch_unwind()
                .await
            {
                Ok(Ok(Verdict::Later(delay))) => {
                    put_back(worker, &delivery, &run, &stage, number, delay)
                }
                Ok(Ok(verdict)) => verdict,
                Ok(Err(error)) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(run.id = %run, stage.name = %stage, error, "a job is tried again");
                    Verdict::Later(Duration::from_secs(2))
                }
                Err(panic) => Verdict::Reject(format!("the worker panicked: {}", words(&*panic))),
            }
        }
    };
    let told = match verdict {
        Verdict::Done => delivery.ack().await,
        Verdict::Later(after) => delivery.retry_after(after).await,
        Verdict::Elsewhere => delivery.retry_after(Duration::ZERO).await,
        Verdict::Reject(why) => delivery.reject(&why).await,
    };
    if let Err(error) = told {
        tracing::debug!(
            error = &error as &dyn std::error::Error,
            "the job will be delivered again"
        );
    }
}

/// One message for each job that waits is enough.
fn put_back<H: StageHandler>(
    worker: &Worker<H>,
    delivery: &Delivery,
    run: &RunId,
    stage: &StageName,
    number: u32,
    delay: Duration,
) -> Verdict {
    if worker
        .waiting
        .put_back(&question(run, stage, number), delivery.sequence(), delay)
    {
        Verdict::Later(delay)
    } else {
        Verdict::Done
    }
}

/// Claims, does and ends one attempt.
async fn on_stage<H: StageHandler>(
    worker: &Arc<Worker<H>>,
    delivery: &Delivery,
    id: &RunId,
    stage: &StageName,
    number: u32,
) -> Result<Verdict, bus::Error> {
    loop {
        let Some(run) = worker.runs.get(id).await? else {
            return Ok(Verdict::Reject(format!("there is no run {id}")));
        };
        match run.claim(stage, number, &worker.id, Timestamp::now()) {
            Claim::Over => {
                enqueue_ready(&worker.bus, &run).await;
                return Ok(Verdict::Done);
            }
            Claim::NotYet(wait) => return Ok(Verdict::Later(wait.try_into().unwrap_or(UNKNOWN))),
            Claim::Held(holder) => match worker.ask(&holder, &question(id, stage, number)).await {
                WorkerState::Holds => return Ok(Verdict::Done),
                WorkerState::Unknown => return Ok(Verdict::Later(UNKNOWN)),
                WorkerState::Free | WorkerState::Gone => {
                    lose(worker, id, stage, number, &holder).await?;
                }
            },
            Claim::Start(started) => {
                let admit = worker.handler.admit(&run, stage).await;
                if let Admit::Later(after) = admit {
                    return Ok(Verdict::Later(after));
                }
                let stop = Stop::default();
                let hold =
                    match worker
                        .held
                        .take(id, stage, number, run.last_sequence, stop.clone())
                    {
                        Taken::Hold(hold) => hold,
                        Taken::Already => return Ok(Verdict::Done),
                        Taken::Closed => return Ok(Verdict::Elsewhere),
                    };
                let sequence = match worker.runs.append(id, run.last_sequence, &started).await {
                    Ok(sequence) => sequence,
                    Err(bus::AppendError::Conflict { .. }) => continue,
                    Err(bus::AppendError::Bus(error)) => return Err(error),
                };
                let run = Arc::new(run.apply(sequence, started));
                let outcome = match admit {
                    Admit::End(outcome) => *outcome,
                    Admit::Now | Admit::Later(_) => {
                        let span = span::span(id, stage, number);
                        let outcome = attempt(worker, delivery, run, stage, number, &stop)
                            .instrument(span.clone())
                            .await;
                        span::end(&span, &outcome);
                        outcome
                    }
                };
                end(worker, id, stage, number, outcome, hold).await;
                return Ok(Verdict::Done);
            }
        }
    }
}
