//! What people do to runs: approve, reject, cancel, retry; and what they see meanwhile.

use domain::stage::{Failure, Outcome};
use proto::gateway::v1::{CancelRunRequest, RetryRunRequest, ReviewRunRequest, WatchRunRequest};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{OTHER_TOKEN, TestGateway, platform, small_service};

const UNTIL_APPROVAL: [&str; 3] = ["image", "publish", "deploy:test"];

fn review(run: &str, approved: bool, reason: &str) -> ReviewRunRequest {
    ReviewRunRequest {
        run_id: run.to_owned(),
        environment: String::new(),
        approved,
        reason: reason.to_owned(),
    }
}

#[tokio::test]
async fn two_people_approve_and_the_run_goes_on() {
    let gateway = TestGateway::with_platform(platform(2)).await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    let early = gateway
        .runs()
        .review_run(review(&run, true, ""))
        .await
        .unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition);
    gateway.do_stages(&run, &UNTIL_APPROVAL).await;
    assert_eq!(gateway.get_run(&run).await.state, "waiting_for_approval");
    let once = gateway
        .runs()
        .review_run(review(&run, true, "looks good"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(once.state, "waiting_for_approval");
    let twice = gateway
        .runs()
        .review_run(review(&run, true, ""))
        .await
        .unwrap_err();
    assert_eq!(twice.code(), Code::FailedPrecondition);
    let violations = twice.get_details_precondition_failure().unwrap().violations;
    assert!(
        violations[0]
            .description
            .contains("somebody else must approve"),
        "{violations:?}"
    );
    let both = gateway
        .runs_as(OTHER_TOKEN)
        .review_run(review(&run, true, ""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(both.state, "running");
    let by: Vec<&str> = both
        .reviews
        .iter()
        .map(|review| review.by.as_str())
        .collect();
    assert_eq!(by, ["ada", "bob"]);
    gateway
        .do_stages(&run, &["promote", "deploy:production"])
        .await;
    assert_eq!(gateway.get_run(&run).await.state, "succeeded");
}

#[tokio::test]
async fn a_rejection_fails_the_run_with_its_reason() {
    let gateway = TestGateway::with_platform(platform(1)).await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    gateway.do_stages(&run, &UNTIL_APPROVAL).await;
    let rejected = gateway
        .runs()
        .review_run(review(&run, false, "not on a Friday"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(rejected.state, "failed");
    assert!(
        rejected.reason.contains("rejected by ada: not on a Friday"),
        "{}",
        rejected.reason
    );
}

#[tokio::test]
async fn a_cancelled_run_can_be_retried_and_watchers_see_every_step() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    let watched = WatchRunRequest {
        run_id: run.clone(),
    };
    let mut watch = gateway
        .runs()
        .watch_run(watched.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().state, "queued");
    let cancel = CancelRunRequest {
        run_id: run.clone(),
        reason: "wrong branch".to_owned(),
    };
    let cancelled = gateway
        .runs()
        .cancel_run(cancel.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (cancelled.state.as_str(), cancelled.reason.as_str()),
        ("cancelled", "cancelled by ada: wrong branch")
    );
    assert_eq!(watch.next().await.unwrap().unwrap(), cancelled);
    assert!(watch.next().await.is_none());
    assert_eq!(
        gateway.runs().cancel_run(cancel).await.unwrap_err().code(),
        Code::FailedPrecondition
    );

    let retried = gateway
        .runs()
        .retry_run(RetryRunRequest {
            run_id: run.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(retried.stages[0].state, "queued");
    let mut watch = gateway
        .runs()
        .watch_run(watched)
        .await
        .unwrap()
        .into_inner();
    watch.next().await.unwrap().unwrap();
    let failure = Outcome::Failed(Box::new(Failure::because("the Dockerfile is broken")));
    gateway.do_stage(&run, "image", failure).await;
    let states: Vec<String> = watch.map(|run| run.unwrap().state).collect().await;
    assert_eq!(states.last().map(String::as_str), Some("failed"));
    let again = gateway
        .runs()
        .retry_run(RetryRunRequest {
            run_id: run.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(again.stages[0].state, "queued");
    let busy = gateway
        .runs()
        .retry_run(RetryRunRequest { run_id: run })
        .await
        .unwrap_err();
    assert_eq!(busy.code(), Code::FailedPrecondition);
}

#[tokio::test]
async fn a_watch_goes_on_over_a_restart_of_the_bus() {
    let mut gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    let watched = WatchRunRequest {
        run_id: run.clone(),
    };
    let mut watch = gateway
        .runs()
        .watch_run(watched)
        .await
        .unwrap()
        .into_inner();
    watch.next().await.unwrap().unwrap();
    gateway.nats.restart().await.unwrap();
    let cancel = CancelRunRequest {
        run_id: run,
        reason: String::new(),
    };
    gateway.runs().cancel_run(cancel).await.unwrap();
    assert_eq!(watch.next().await.unwrap().unwrap().state, "cancelled");
    assert!(watch.next().await.is_none());
}

#[tokio::test]
async fn a_watch_ends_when_the_gateway_stops_and_can_be_taken_up_again() {
    let mut gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await.run_id;
    let mut watch = gateway
        .runs()
        .watch_run(WatchRunRequest {
            run_id: run.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    watch.next().await.unwrap().unwrap();
    gateway.end().await;
    assert_eq!(
        watch.next().await.unwrap().unwrap_err().code(),
        Code::Unavailable
    );
    gateway.begin().await;
    let mut watch = gateway
        .runs()
        .watch_run(WatchRunRequest {
            run_id: run.clone(),
        })
        .await
        .unwrap()
        .into_inner();
    assert_eq!(watch.next().await.unwrap().unwrap().run_id, run);
}
