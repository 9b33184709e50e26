//! The timer that repairs what events lost: ready stages that nobody claimed, running stages whose worker is gone.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bus::WorkerState;
use domain::run::Run;
use domain::stage::StageName;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::held::question;
use crate::{Error, StageHandler, Worker, enqueue, on_job};

/// How often to look.
const EVERY: Duration = Duration::from_secs(2);
/// How long a stage may be ready before its job is taken for lost.
const UNCLAIMED: SignedDuration = SignedDuration::from_secs(3);
/// How long to leave a job alone that was enqueued again.
const AGAIN: Duration = Duration::from_secs(30);
/// Looks in a row at which a worker must be gone.
const GONE: u32 = 2;

pub(crate) async fn sweep<H: StageHandler>(worker: &Arc<Worker<H>>) -> Result<(), Error> {
    let mut enqueued: HashMap<String, Instant> = HashMap::new();
    let mut gone: HashMap<String, u32> = HashMap::new();
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if !worker.active.is_caught_up() {
            continue;
        }
        enqueued.retain(|_, at| at.elapsed() < AGAIN);
        let mut still_gone = HashMap::new();
        for run in worker.active.all() {
            enqueue_unclaimed(worker, &run, &mut enqueued).await;
            for (key, count) in look_for_lost(worker, &run, &gone).await {
                still_gone.insert(key, count);
            }
        }
        gone = still_gone;
    }
}

async fn enqueue_unclaimed<H: StageHandler>(
    worker: &Worker<H>,
    run: &Run,
    enqueued: &mut HashMap<String, Instant>,
) {
    let now = Timestamp::now();
    for job in run.ready() {
        let waited = now.duration_since(job.not_before.max(run.updated_at));
        if job.kind != H::KIND || waited < UNCLAIMED || enqueued.contains_key(&job.id()) {
            continue;
        }
        match enqueue(&worker.bus.jobs(), &job).await {
            Ok(()) => {
                enqueued.insert(job.id(), Instant::now());
            }
            Err(error) => {
                tracing::debug!(error = &error as &dyn std::error::Error, "a job waits for the next sweep");
            }
        }
    }
}

/// Declares stages lost whose worker was gone at several looks; returns the ones that are gone so far.
async fn look_for_lost<H: StageHandler>(
    worker: &Worker<H>,
    run: &Run,
    gone: &HashMap<String, u32>,
) -> Vec<(String, u32)> {
    let mine = |stage: &StageName| stage.job_kind() == Some(H::KIND);
    let mut counts = Vec::new();
    for (stage, attempt, holder) in run.running().into_iter().filter(|(stage, ..)| mine(stage)) {
        let key = question(&run.id, &stage, attempt);
        let answer = if holder == worker.id {
            if worker.held.answers(key.as_bytes()) { WorkerState::Holds } else { WorkerState::Free }
        } else {
            worker.ask(&holder, &key).await
        };
        if matches!(answer, WorkerState::Holds | WorkerState::Unknown) {
            continue;
        }
        let count = gone.get(&key).copied().unwrap_or(0) + 1;
        if count < GONE {
            counts.push((key, count));
        } else if let Err(error) = on_job::lose(worker, &run.id, &stage, attempt, &holder).await {
            tracing::warn!(error = &error as &dyn std::error::Error, run.id = %run.id, "a lost stage waits");
            counts.push((key, count));
        }
    }
    counts
}
