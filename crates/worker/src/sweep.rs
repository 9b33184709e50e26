//! The timer that repairs what events lost: ready stages that nobody claimed, running stages whose worker is gone.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use bus::WorkerState;
use domain::ids::WorkerId;
use domain::run::Run;
use domain::stage::StageName;
use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use crate::end::lose;
use crate::held::question;
use crate::job::enqueue_again;
use crate::{Error, StageHandler, Worker};

/// How often to look.
const EVERY: Duration = Duration::from_secs(2);
/// How long a stage may be ready before its job is taken for lost.
const UNCLAIMED: SignedDuration = SignedDuration::from_secs(3);
/// How long to leave a job alone that was enqueued again.
const AGAIN: Duration = Duration::from_secs(10);
/// Looks in a row at which a worker must be gone.
const GONE: u32 = 2;
/// How long a worker may be silent before it counts as gone. By then it has stopped by itself what it was doing, if
/// it is cut off from the bus.
const SILENT: Duration = Duration::from_secs(45);

/// Why a stage may have lost its worker.
#[derive(Debug, Clone, Copy)]
enum Doubt {
    /// Its worker was gone, or doing something else, at so many looks.
    Gone(u32),
    /// Its worker has not answered since.
    Silent(Instant),
}

pub(crate) async fn sweep<H: StageHandler>(worker: &Arc<Worker<H>>) -> Result<(), Error> {
    let mut enqueued: HashMap<String, Instant> = HashMap::new();
    let mut doubts: HashMap<String, Doubt> = HashMap::new();
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if !worker.active.is_caught_up() || !worker.bus.is_connected() {
            // Nobody's silence means anything now.
            doubts.clear();
            continue;
        }
        enqueued.retain(|_, at| at.elapsed() < AGAIN);
        let mut remaining = HashMap::new();
        let mut silent = HashSet::new();
        for run in worker.active.all() {
            enqueue_unclaimed(worker, &run, &mut enqueued).await;
            look_for_lost(worker, &run, &doubts, &mut remaining, &mut silent).await;
        }
        doubts = remaining;
    }
}

/// Enqueues again what is ready and, as it seems, in no queue. While all places are taken nothing is: then it may well
/// be in the queue, and could not be done anyway.
async fn enqueue_unclaimed<H: StageHandler>(
    worker: &Worker<H>,
    run: &Run,
    enqueued: &mut HashMap<String, Instant>,
) {
    let now = Timestamp::now();
    for job in run.ready() {
        let id = job.id();
        let waited = now.duration_since(job.not_before.max(run.updated_at));
        let is_mine = job.kind == H::KIND && worker.tasks.len() < worker.slots;
        if !is_mine || waited < UNCLAIMED || enqueued.contains_key(&id) || worker.waiting.knows(&id)
        {
            continue;
        }
        let round = now.as_second() / i64::try_from(AGAIN.as_secs()).unwrap_or(i64::MAX);
        match enqueue_again(&worker.bus.jobs(), &job, round).await {
            Ok(()) => {
                tracing::debug!(job.id = id, "enqueued a job again that nobody has claimed");
                enqueued.insert(id, Instant::now());
            }
            Err(error) => {
                tracing::debug!(
                    error = &error as &dyn std::error::Error,
                    "a job waits for the next sweep"
                );
            }
        }
    }
}

/// Declares stages lost whose worker is gone; keeps in `remaining` the ones in doubt.
async fn look_for_lost<H: StageHandler>(
    worker: &Worker<H>,
    run: &Run,
    doubts: &HashMap<String, Doubt>,
    remaining: &mut HashMap<String, Doubt>,
    silent: &mut HashSet<WorkerId>,
) {
    let mine = |stage: &StageName| stage.job_kind() == Some(H::KIND);
    for (stage, attempt, holder) in run.running().into_iter().filter(|(stage, ..)| mine(stage)) {
        let key = question(&run.id, &stage, attempt);
        let answer = if holder == worker.id {
            if worker.held.answers(key.as_bytes()) {
                WorkerState::Holds
            } else {
                WorkerState::Free
            }
        } else if silent.contains(&holder) {
            WorkerState::Unknown
        } else {
            worker.ask(&holder, &key).await
        };
        let (doubt, is_lost) = match (answer, doubts.get(&key)) {
            (WorkerState::Holds, _) => continue,
            (WorkerState::Unknown, before) => {
                silent.insert(holder.clone());
                let since = if let Some(Doubt::Silent(since)) = before {
                    *since
                } else {
                    Instant::now()
                };
                (Doubt::Silent(since), since.elapsed() >= SILENT)
            }
            (WorkerState::Gone | WorkerState::Free, before) => {
                let looks = if let Some(Doubt::Gone(looks)) = before {
                    looks + 1
                } else {
                    1
                };
                (Doubt::Gone(looks), looks >= GONE)
            }
        };
        if is_lost {
            match lose(worker, &run.id, &stage, attempt, &holder).await {
                Ok(()) => continue,
                Err(error) => {
                    let error = &error as &dyn std::error::Error;
                    tracing::warn!(error, run.id = %run.id, "a lost stage waits");
                }
            }
        }
        remaining.insert(key, doubt);
    }
}
