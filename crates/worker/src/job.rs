//! Jobs as messages.

use bus::{Bus, JobKind as Queue, JobQueue};
use bytes::Bytes;
use domain::run::{Job, Run};
use domain::stage::JobKind;
use prost::Message as _;

/// The queue of a kind of work.
pub(crate) fn queue(kind: JobKind) -> Queue {
    match kind {
        JobKind::Build => Queue::Build,
        JobKind::Test => Queue::Test,
        JobKind::Promote => Queue::Promote,
        JobKind::Deploy => Queue::Deploy,
    }
}

/// Puts a job into its queue. Doing so twice is harmless.
///
/// # Errors
/// When the bus does not take it.
pub async fn enqueue(jobs: &JobQueue, job: &Job) -> Result<(), bus::Error> {
    put(jobs, job, &job.id()).await
}

/// Puts a job into its queue though it was there before. Doing so twice in a `round` is harmless.
pub(crate) async fn enqueue_again(
    jobs: &JobQueue,
    job: &Job,
    round: i64,
) -> Result<(), bus::Error> {
    put(jobs, job, &format!("{}/again/{round}", job.id())).await
}

async fn put(jobs: &JobQueue, job: &Job, message_id: &str) -> Result<(), bus::Error> {
    let message = proto::job::v1::Job {
        run_id: job.run.to_string(),
        stage: job.stage.to_string(),
        attempt: job.attempt,
    };
    jobs.enqueue(
        queue(job.kind),
        None,
        message_id,
        Bytes::from(message.encode_to_vec()),
    )
    .await
}

/// Enqueues everything of a run that may be claimed. What could not be enqueued is left to the sweep.
pub async fn enqueue_ready(bus: &Bus, run: &Run) {
    for job in run.ready() {
        if let Err(error) = enqueue(&bus.jobs(), &job).await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(run.id = %run.id, stage.name = %job.stage, error, "a job waits for the next sweep");
        }
    }
}

/// The job that a message is about.
pub(crate) fn decode(
    payload: &[u8],
) -> Result<(domain::ids::RunId, domain::stage::StageName, u32), String> {
    let job =
        proto::job::v1::Job::decode(payload).map_err(|error| format!("not a job: {error}"))?;
    let run = job
        .run_id
        .parse()
        .map_err(|error| format!("not a job: {error}"))?;
    let stage = job
        .stage
        .parse()
        .map_err(|error| format!("not a job: {error}"))?;
    Ok((run, stage, job.attempt))
}
