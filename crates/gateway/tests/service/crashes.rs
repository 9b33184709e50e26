//! What a crash of the gateway leaves behind is picked up by others.

use domain::run::{Event, Run};
use domain::stage::{JobKind, Outcome};
use tokio_util::sync::CancellationToken;
use worker::{StageHandler, Work, Worker, new_worker_id};

use crate::harness::{TestGateway, eventually, small_service, succeeded};

struct Builder;

impl StageHandler for Builder {
    const KIND: JobKind = JobKind::Build;

    async fn handle(&self, _: Work) -> Outcome {
        succeeded()
    }
}

async fn created(gateway: &TestGateway) -> (Run, Event) {
    let id = gateway
        .start_run(&small_service("orders"))
        .await
        .run_id
        .parse()
        .unwrap();
    let run = gateway.runs.get(&id).await.unwrap().unwrap();
    let event = Event::Created(Box::new(run.created.as_deref().unwrap().clone()));
    (run, event)
}

#[tokio::test]
async fn a_run_whose_first_jobs_were_never_enqueued_is_found_by_the_workers() {
    let (run, event) = created(&TestGateway::start().await).await;
    // A gateway that crashed after appending the first event looks like this to everybody else.
    let gateway = TestGateway::start().await;
    gateway.runs.append(&run.id, 0, &event).await.unwrap();
    let stop = CancellationToken::new();
    let worker = Worker::new(new_worker_id("builder"), gateway.bus.clone(), Builder, 1);
    let working = worker.run(stop.clone());
    let watching = async {
        eventually("the first stage is done", || async {
            let shown = gateway.get_run(run.id.as_str()).await;
            (shown.stages[0].state == "succeeded").then_some(())
        })
        .await;
        stop.cancel();
    };
    let (ended, ()) = tokio::join!(working, watching);
    ended.unwrap();
}
