//! What happens with one delivered job.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use bus::aggregates::UpdateError;
use bus::{Delivery, WorkerState};
use domain::ids::{RunId, WorkerId};
use domain::run::{Claim, Run};
use domain::stage::{Failure, Outcome, StageName};
use jiff::Timestamp;

use crate::held::{Hold, question};
use crate::work::{Stop, Work};
use crate::{Admit, StageHandler, Worker, enqueue_ready, job};

/// When to look again at a stage of a worker that neither answers nor is known to be gone.
const UNKNOWN: Duration = Duration::from_secs(3);
/// Deliveries after which a silent worker counts as gone.
const PATIENCE: u64 = 4;

/// What to do with the delivery.
enum Verdict {
    Done,
    Later(Duration),
    Reject(String),
}

pub(crate) async fn on_job<H: StageHandler>(worker: &Arc<Worker<H>>, delivery: Delivery) {
    let verdict = match job::decode(delivery.payload()) {
        Err(why) => Verdict::Reject(why),
        Ok((run, stage, attempt)) => match on_stage(worker, &delivery, &run, &stage, attempt).await {
            Ok(verdict) => verdict,
            Err(error) => {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(run.id = %run, stage.name = %stage, error, "a job is tried again");
                Verdict::Later(Duration::from_secs(2))
            }
        },
    };
    let told = match verdict {
        Verdict::Done => delivery.ack().await,
        Verdict::Later(after) => delivery.retry_after(after).await,
        Verdict::Reject(why) => delivery.reject(&why).await,
    };
    if let Err(error) = told {
        tracing::debug!(error = &error as &dyn std::error::Error, "the job will be delivered again");
    }
}

/// Claims, does and ends one attempt.
async fn on_stage<H: StageHandler>(
    worker: &Arc<Worker<H>>,
    delivery: &Delivery,
    id: &RunId,
    stage: &StageName,
    attempt: u32,
) -> Result<Verdict, bus::Error> {
    let stop = Stop::default();
    loop {
        let Some(run) = worker.runs.get(id).await? else {
            return Ok(Verdict::Reject(format!("there is no run {id}")));
        };
        match run.claim(stage, attempt, &worker.id, Timestamp::now()) {
            Claim::Over => {
                enqueue_ready(&worker.bus, &run).await;
                return Ok(Verdict::Done);
            }
            Claim::NotYet(wait) => return Ok(Verdict::Later(wait.try_into().unwrap_or(UNKNOWN))),
            Claim::Held(holder) => match holder_of(worker, delivery, id, stage, attempt, &holder).await {
                WorkerState::Holds => return Ok(Verdict::Done),
                WorkerState::Unknown => return Ok(Verdict::Later(UNKNOWN)),
                WorkerState::Free | WorkerState::Gone => lose(worker, id, stage, attempt, &holder).await?,
            },
            Claim::Start(started) => {
                let admit = worker.handler.admit(&run, stage).await;
                if let Admit::Later(after) = admit {
                    return Ok(Verdict::Later(after));
                }
                let Some(hold) = worker.held.take(id, stage, attempt, stop.clone()) else {
                    return Ok(Verdict::Done);
                };
                let expected = run.last_sequence;
                match worker.runs.append(id, expected, &started).await {
                    Ok(sequence) => {
                        let run = Arc::new(run.apply(sequence, started));
                        let outcome = match admit {
                            Admit::End(outcome) => *outcome,
                            _ => attempt_it(worker, delivery, run, stage, attempt, &stop).await,
                        };
                        end(worker, id, stage, attempt, outcome, hold).await;
                        return Ok(Verdict::Done);
                    }
                    Err(bus::AppendError::Conflict { .. }) => {}
                    Err(bus::AppendError::Bus(error)) => return Err(error),
                }
            }
        }
    }
}

async fn holder_of<H: StageHandler>(
    worker: &Worker<H>,
    delivery: &Delivery,
    run: &RunId,
    stage: &StageName,
    attempt: u32,
    holder: &WorkerId,
) -> WorkerState {
    match worker.ask(holder, &question(run, stage, attempt)).await {
        WorkerState::Unknown if delivery.delivered() > PATIENCE => WorkerState::Gone,
        answer => answer,
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
    tracing::warn!(run.id = %id, stage.name = %stage, worker.id = %holder, "the worker of a stage is gone");
    let decide = |run: Option<&Run>| {
        Ok::<_, std::convert::Infallible>(run.and_then(|run| run.lost(stage, attempt, holder, Timestamp::now())))
    };
    match worker.runs.update(id, decide).await {
        Ok(updated) => enqueue_ready(&worker.bus, &updated.state).await,
        Err(UpdateError::Bus(error)) => return Err(error),
        Err(UpdateError::Absent | UpdateError::Contended) => {}
        Err(UpdateError::Refused(never)) => match never {},
    }
    Ok(())
}

/// Lets the handler do one attempt, within its time limit and for as long as the job is ours.
async fn attempt_it<H: StageHandler>(
    worker: &Worker<H>,
    delivery: &Delivery,
    run: Arc<Run>,
    stage: &StageName,
    attempt: u32,
    stop: &Stop,
) -> Outcome {
    let limit = run.created.as_ref().map(|c| c.plan.time_limit(stage)).unwrap_or_default();
    tracing::info!(run.id = %run.id, stage.name = %stage, stage.attempt = attempt, "stage begins");
    if let Some(reason) = run.stop_reason() {
        stop.cancel(&reason);
    }
    let log = match worker.bus.logs().writer(run.id.as_str(), &stage.to_string()) {
        Ok(log) => log,
        Err(error) => return no_log(&error),
    };
    let work = Work {
        stage: stage.clone(),
        attempt,
        worker: worker.id.clone(),
        log: log.clone(),
        stop: stop.clone(),
        time_limit: limit,
        run,
    };
    let alive = delivery.keep_alive();
    let handled = worker.handler.handle(work);
    tokio::pin!(handled);
    let outcome = tokio::select! {
        outcome = &mut handled => Some(outcome),
        () = tokio::time::sleep(limit) => { stop.time_out(limit); None }
        () = alive.lost().cancelled() => { stop.shut_down("the connection to the bus was lost for too long"); None }
        () = stop.token().cancelled() => None,
    };
    let outcome = match outcome {
        Some(outcome) => outcome,
        None => match tokio::time::timeout(H::CLEAN_UP, handled).await {
            Ok(done @ Outcome::Succeeded(_)) => done,
            Ok(other) => stop.outcome().unwrap_or(other),
            Err(_) => stop.outcome().unwrap_or_else(|| stuck(stage)),
        },
    };
    if let Err(error) = log.finish().await {
        tracing::warn!(error = &error as &dyn std::error::Error, stage.name = %stage, "the end of a log is missing");
    }
    outcome
}

fn no_log(error: &bus::Error) -> Outcome {
    let failure = Failure::because(format!("there is nowhere to write the log: {error}"));
    Outcome::Errored { failure: Box::new(failure), retryable: true }
}

fn stuck(stage: &StageName) -> Outcome {
    let failure = Failure::because(format!("{stage} did not stop when it was told to"));
    Outcome::Errored { failure: Box::new(failure), retryable: true }
}

/// Appends the outcome, however long the bus is away, and enqueues what became ready.
async fn end<H: StageHandler>(
    worker: &Worker<H>,
    id: &RunId,
    stage: &StageName,
    attempt: u32,
    outcome: Outcome,
    hold: Hold,
) {
    let at = Timestamp::now();
    let decide = |run: Option<&Run>| {
        Ok::<_, std::convert::Infallible>(run.and_then(|run| run.end(stage, attempt, outcome.clone(), at)))
    };
    let back_off = ExponentialBuilder::default().with_max_delay(Duration::from_secs(5)).without_max_times().with_jitter();
    let appended = (|| worker.runs.update(id, decide))
        .retry(back_off)
        .notify(|error, _| tracing::warn!(%error, run.id = %id, stage.name = %stage, "the outcome waits for the bus"))
        .await;
    drop(hold);
    match appended {
        Ok(updated) => {
            let state = updated.state.stage(stage).map_or("unknown", |s| s.state.name());
            tracing::info!(run.id = %id, stage.name = %stage, stage.state = state, "stage ended");
            enqueue_ready(&worker.bus, &updated.state).await;
        }
        Err(error) => tracing::error!(%error, run.id = %id, stage.name = %stage, "an outcome is lost"),
    }
}
