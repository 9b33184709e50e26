//! One attempt at a stage: the handler between its claim and its end.

use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use bus::{Delivery, KeepAlive};
use domain::ids::RunId;
use domain::run::Run;
use domain::stage::{Failure, Outcome, StageName};
use futures::FutureExt as _;

use crate::work::{Stop, Work};
use crate::{StageHandler, Worker};

/// How often to look whether a stage is still ours, once its job is not any more.
const OURS: Duration = Duration::from_secs(10);

/// Lets the handler do one attempt, within its time limit and for as long as the stage is ours.
pub(crate) async fn attempt<H: StageHandler>(
    worker: &Worker<H>,
    delivery: &Delivery,
    run: Arc<Run>,
    stage: &StageName,
    number: u32,
    stop: &Stop,
) -> Outcome {
    let limit = run
        .created
        .as_ref()
        .map(|c| c.plan.time_limit(stage))
        .unwrap_or_default();
    tracing::info!("stage begins");
    let log = match worker
        .bus
        .logs()
        .writer(run.id.as_str(), &stage.to_string())
    {
        Ok(log) => log,
        Err(error) => return errored(format!("there is nowhere to write the log: {error}")),
    };
    let id = run.id.clone();
    let work = Work {
        stage: stage.clone(),
        attempt: number,
        worker: worker.id.clone(),
        log: log.clone(),
        stop: stop.clone(),
        time_limit: limit,
        run,
    };
    let alive = delivery.keep_alive();
    let handled = AssertUnwindSafe(worker.handler.handle(work)).catch_unwind();
    tokio::pin!(handled);
    let ended = tokio::select! {
        ended = &mut handled => Some(ended),
        () = tokio::time::sleep(limit) => { stop.time_out(limit); None }
        () = forfeited(worker, &alive, &id, stage, number) => {
            stop.shut_down("the connection to the bus was lost for too long");
            None
        }
        () = stop.token().cancelled() => None,
    };
    let ended = match ended {
        Some(ended) => Some(ended),
        None => tokio::time::timeout(H::CLEAN_UP, handled).await.ok(),
    };
    let outcome = match ended {
        Some(Ok(outcome)) => outcome,
        Some(Err(panic)) => errored(format!(
            "{stage} broke: {}; this is a mistake in Slipway",
            words(&*panic)
        )),
        None => errored(format!("{stage} did not stop when it was told to")),
    };
    if let Err(error) = log.finish().await {
        tracing::warn!(error = &error as &dyn std::error::Error, stage.name = %stage, "the end of a log is missing");
    }
    reconcile(stop.outcome(), outcome)
}

/// What counts when a handler was told to stop: its own words where it ended as it was asked to, or was done already.
fn reconcile(asked: Option<Outcome>, said: Outcome) -> Outcome {
    match (asked, said) {
        (None, said) | (Some(_), said @ (Outcome::Succeeded(_) | Outcome::Skipped { .. })) => said,
        (Some(Outcome::Cancelled { .. }), said @ Outcome::Cancelled { .. }) => said,
        (Some(Outcome::Failed(_)), said @ Outcome::Failed(_)) => said,
        (Some(asked), _) => asked,
    }
}

/// Ends when the job was lost and the stage is not ours either, or nobody can say whether it is. A server that was
/// started again has forgotten the job, but not who claimed the stage.
async fn forfeited<H: StageHandler>(
    worker: &Worker<H>,
    alive: &KeepAlive,
    id: &RunId,
    stage: &StageName,
    number: u32,
) {
    alive.lost().cancelled().await;
    let ours = |run: &Run| {
        run.running()
            .contains(&(stage.clone(), number, worker.id.clone()))
    };
    while let Ok(Some(run)) = worker.runs.get(id).await {
        if !ours(&run) {
            return;
        }
        tokio::time::sleep(OURS).await;
    }
}

fn errored(reason: String) -> Outcome {
    Outcome::Errored {
        failure: Box::new(Failure::because(reason)),
        retryable: true,
    }
}

/// What a panic said.
pub(crate) fn words(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("it panicked without a word")
}
