//! What people see of rollouts, and what they ask of them.

mod seen;

use bus::aggregates::Log;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::rollout::{
    Act, Beginning, End, Event, Evidence, Placement, Plan, Rollouts, Step, Verdict,
};
use domain::spec::{Percent, TimeSpan};
use jiff::Timestamp;
use proto::gateway::v1::rollout_service_client::RolloutServiceClient;
use proto::gateway::v1::{
    AbortRolloutRequest, GetRolloutRequest, ListRolloutsRequest, PauseRolloutRequest,
    PromoteRolloutRequest, ResumeRolloutRequest, RetryRolloutRequest, Rollout, WatchRolloutRequest,
    WatchRunRequest,
};
use tokio_stream::StreamExt as _;
use tonic::Code;
use tonic_types::StatusExt as _;

use crate::harness::{
    Intercepted, OTHER_TOKEN, TOKEN, TestGateway, eventually, show, small_service,
};
use crate::versions::digest;

const HERE: &str = "production";

fn client(gateway: &TestGateway, token: &str) -> RolloutServiceClient<Intercepted> {
    RolloutServiceClient::with_interceptor(gateway.channel(), show(token))
}

async fn happen(gateway: &TestGateway, environment: &str, event: Event) {
    let key: (EnvironmentName, ServiceName) =
        (environment.parse().unwrap(), "orders".parse().unwrap());
    let mut event = Some(event);
    let log: Log<Rollouts> = Log::new(gateway.bus.events());
    log.update(&key, |_| Ok::<_, std::fmt::Error>(event.take()))
        .await
        .unwrap();
}

/// 10 %, a pause, a bake of two minutes, all.
fn plan() -> Plan {
    let steps = vec![
        Step::Weight(Percent::of(10)),
        Step::Pause,
        Step::Bake(TimeSpan::from_secs(120)),
        Step::Weight(Percent::ALL),
        Step::Retire,
    ];
    Plan {
        steps,
        ..Plan::compile(&domain::spec::Strategy::default(), Beginning::Older)
    }
}

fn started(run: &str, version: &str) -> Event {
    let placement = Placement {
        run: run.parse().unwrap(),
        origin: run.parse().unwrap(),
        order: 1,
        version: version.to_owned(),
        repository: "prod.test:5000/orders".to_owned(),
        digest: digest('a'),
        is_rollback: false,
        at: Timestamp::now(),
    };
    Event::Started {
        placement,
        plan: Some(plan()),
    }
}

fn acted(run: &str, act: Act) -> Event {
    Event::Acted {
        run: run.parse().unwrap(),
        act,
        at: Timestamp::now(),
    }
}

fn entered(run: &str, index: u32) -> Event {
    acted(run, Act::StepEntered { index })
}

fn ended(run: &str, end: End) -> Event {
    let run: RunId = run.parse().unwrap();
    Event::Ended {
        run,
        end,
        at: Timestamp::now(),
    }
}

fn completed(run: &str) -> Event {
    let address = "http://orders.test".to_owned();
    ended(run, End::Completed { address })
}

/// 1.0.0 is there, and 1.1.0 is at its pause.
async fn at_the_pause(gateway: &TestGateway) {
    gateway.start_run(&small_service("orders")).await;
    let waits = Act::Paused {
        by: None,
        reason: "step 2 of 5 (pause) waits for a person".to_owned(),
    };
    for event in [
        started("run-1", "1.0.0"),
        completed("run-1"),
        started("run-2", "1.1.0"),
        entered("run-2", 1),
        acted("run-2", waits),
    ] {
        happen(gateway, HERE, event).await;
    }
}

fn get(run: &str) -> GetRolloutRequest {
    GetRolloutRequest {
        service: "orders".to_owned(),
        environment: HERE.to_owned(),
        run_id: run.to_owned(),
    }
}

fn pause(reason: &str) -> PauseRolloutRequest {
    PauseRolloutRequest {
        service: "orders".to_owned(),
        environment: HERE.to_owned(),
        reason: reason.to_owned(),
        ..Default::default()
    }
}

fn resume() -> ResumeRolloutRequest {
    ResumeRolloutRequest {
        service: "orders".to_owned(),
        environment: HERE.to_owned(),
        ..Default::default()
    }
}

fn promote(full: bool) -> PromoteRolloutRequest {
    PromoteRolloutRequest {
        service: "orders".to_owned(),
        environment: HERE.to_owned(),
        full,
        ..Default::default()
    }
}

fn abort(run: &str, reason: &str) -> AbortRolloutRequest {
    AbortRolloutRequest {
        service: "orders".to_owned(),
        environment: HERE.to_owned(),
        run_id: run.to_owned(),
        reason: reason.to_owned(),
    }
}

fn retry() -> RetryRolloutRequest {
    RetryRolloutRequest {
        service: "orders".to_owned(),
        environment: HERE.to_owned(),
        ..Default::default()
    }
}

fn states(rollout: &Rollout) -> Vec<&str> {
    rollout.steps.iter().map(|s| s.state.as_str()).collect()
}

/// That it is refused with this sentence.
#[track_caller]
fn refused<T: std::fmt::Debug>(answer: Result<tonic::Response<T>, tonic::Status>, why: &str) {
    let status = answer.unwrap_err();
    assert_eq!(
        (status.code(), status.message()),
        (Code::FailedPrecondition, why)
    );
    let details = status.get_details_precondition_failure().unwrap();
    assert_eq!(
        details.violations[0].subject,
        "rollout of orders in production"
    );
}

#[tokio::test]
async fn a_rollout_shows_its_steps_its_share_and_what_may_be_asked() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    let mut client = client(&gateway, TOKEN);
    let shown = client.get_rollout(get("")).await.unwrap().into_inner();
    assert_eq!(
        (shown.run_id.as_str(), shown.state.as_str(), shown.step),
        ("run-2", "paused", 2)
    );
    assert_eq!(
        (shown.version.as_str(), shown.previous_version.as_str()),
        ("1.1.0", "1.0.0")
    );
    assert_eq!((shown.weight, shown.goal_weight), (10.0, 10.0));
    assert_eq!(
        states(&shown),
        ["done", "current", "pending", "pending", "pending"]
    );
    assert_eq!(
        (shown.steps[2].name.as_str(), shown.steps[2].seconds),
        ("bake 2m", 120)
    );
    assert!(shown.steps[0].entered_at.is_some() && shown.steps[0].left_at.is_some());
    let paused = shown.paused.unwrap();
    assert_eq!((paused.by.as_str(), paused.what.as_str()), ("", "pause"));
    assert_eq!(
        shown.possible,
        ["resume", "promote", "promote_full", "abort"]
    );
}

#[tokio::test]
async fn an_ended_rollout_keeps_its_steps_and_its_evidence() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    let evidence = Evidence {
        query: "errors of 1.1.0".to_owned(),
        values: "0.07".to_owned(),
        threshold: "0.01".to_owned(),
    };
    let judged = Act::Judged {
        index: 2,
        verdict: Verdict::Fail,
        evidence: vec![evidence],
    };
    let reason = "the analysis failed".to_owned();
    let abort = Act::AbortRequested {
        by: None,
        reason: reason.clone(),
    };
    let by = domain::run::Actor("ada".to_owned());
    for event in [
        acted("run-2", Act::Resumed { by }),
        entered("run-2", 2),
        acted("run-2", judged),
        acted("run-2", abort),
        ended("run-2", End::RolledBack { reason }),
        started("run-3", "1.2.0"),
    ] {
        happen(&gateway, HERE, event).await;
    }
    let mut client = client(&gateway, TOKEN);
    let shown = client.get_rollout(get("run-2")).await.unwrap().into_inner();
    assert_eq!(
        (shown.state.as_str(), shown.reason.as_str(), shown.weight),
        ("rolled_back", "the analysis failed", 0.0)
    );
    assert_eq!(
        states(&shown),
        ["done", "done", "stopped", "pending", "pending"]
    );
    let verdict = &shown.verdicts[0];
    assert_eq!((verdict.step, verdict.verdict.as_str()), (3, "fail"));
    let evidence = &verdict.evidence[0];
    assert_eq!(
        (
            evidence.query.as_str(),
            evidence.values.as_str(),
            evidence.threshold.as_str()
        ),
        ("errors of 1.1.0", "0.07", "0.01")
    );
    let what: Vec<&str> = shown.requests.iter().map(|r| r.what.as_str()).collect();
    assert_eq!(what, ["pause", "resume", "abort"]);
    assert!(shown.possible.is_empty() && shown.ended_at.is_some());
    let newest = client.get_rollout(get("")).await.unwrap().into_inner();
    assert_eq!(newest.run_id, "run-3");
    let anywhere = GetRolloutRequest {
        run_id: "run-2".to_owned(),
        ..Default::default()
    };
    let found = eventually("the gateway has read it", || async {
        let mut client = self::client(&gateway, TOKEN);
        let found = client.get_rollout(anywhere.clone()).await.ok()?;
        Some(found.into_inner()).filter(|found| found.ended_at.is_some())
    });
    assert_eq!(found.await, shown);
    for (request, code) in [
        (get("run-9"), Code::NotFound),
        (
            GetRolloutRequest {
                environment: "nowhere".to_owned(),
                ..get("")
            },
            Code::NotFound,
        ),
        (
            GetRolloutRequest {
                service: "nope".to_owned(),
                ..get("")
            },
            Code::NotFound,
        ),
        (
            GetRolloutRequest {
                service: String::new(),
                ..get("")
            },
            Code::InvalidArgument,
        ),
    ] {
        let status = client.get_rollout(request.clone()).await.unwrap_err();
        assert_eq!(status.code(), code, "{request:?}: {status:?}");
    }
}

#[tokio::test]
async fn people_pause_resume_promote_abort_and_retry() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    let (mut ada, mut bob) = (client(&gateway, TOKEN), client(&gateway, OTHER_TOKEN));
    refused(
        ada.pause_rollout(pause("lunch")).await,
        "the rollout of run run-2 is paused already: step 2 of 5 (pause) waits for a person",
    );
    refused(
        ada.retry_rollout(retry()).await,
        "the rollout of run run-2 has not failed; it is at step 2 of 5 (pause)",
    );
    let resumed = ada.resume_rollout(resume()).await.unwrap().into_inner();
    assert_eq!((resumed.state.as_str(), resumed.paused), ("running", None));
    assert_eq!(resumed.requests.last().unwrap().by, "ada");
    // The same once more, as from a script that did not hear the answer.
    refused(
        ada.resume_rollout(resume()).await,
        "the rollout of run run-2 is not paused; it is at step 2 of 5 (pause)",
    );
    happen(&gateway, HERE, entered("run-2", 2)).await;
    let paused = bob.pause_rollout(pause("")).await.unwrap().into_inner();
    let by = paused.paused.unwrap();
    assert_eq!(
        (by.by.as_str(), by.reason.as_str()),
        ("bob", "paused by bob")
    );
    let promoted = ada.promote_rollout(promote(false)).await.unwrap();
    let promoted = promoted.into_inner();
    assert_eq!(
        (promoted.state.as_str(), promoted.requests.last().unwrap()),
        ("running", &{
            let mut last = promoted.requests.last().unwrap().clone();
            (last.what, last.by) = ("promote".to_owned(), "ada".to_owned());
            last
        })
    );
    let full = ada.promote_rollout(promote(true)).await.unwrap();
    assert_eq!(
        full.into_inner().requests.last().unwrap().what,
        "promote_full"
    );
    refused(
        ada.promote_rollout(promote(true)).await,
        "the rollout of run run-2 goes to its end already; step 3 of 5 (bake 2m) waits for replicas",
    );
    let elsewhere = "the rollout of run run-1 is not under way here; that of run run-2 is";
    refused(ada.abort_rollout(abort("run-1", "")).await, elsewhere);
    let aborted = bob.abort_rollout(abort("run-2", "totals are wrong")).await;
    let aborted = aborted.unwrap().into_inner();
    assert_eq!(
        (aborted.state.as_str(), aborted.goal_weight),
        ("aborting", 0.0)
    );
    let by = aborted.abort.unwrap();
    assert_eq!(
        (by.by.as_str(), by.reason.as_str()),
        ("bob", "totals are wrong")
    );
    assert_eq!(aborted.possible, ["retry"]);
    let taken_back = "the rollout of run run-2 is being taken back: totals are wrong";
    refused(bob.abort_rollout(abort("", "")).await, taken_back);
    refused(ada.promote_rollout(promote(true)).await, taken_back);
    let again = ada.retry_rollout(retry()).await.unwrap().into_inner();
    assert_eq!((again.state.as_str(), again.step), ("running", 1));
    assert_eq!(
        states(&again),
        ["current", "pending", "pending", "pending", "pending"]
    );
    let reason = "it was taken back".to_owned();
    happen(&gateway, HERE, ended("run-2", End::RolledBack { reason })).await;
    refused(
        ada.resume_rollout(resume()).await,
        "no rollout of orders is under way in production; the last one, of 1.1.0 by run run-2, is over",
    );
}

#[tokio::test]
async fn of_two_who_ask_at_the_same_time_one_is_told_that_it_is_done() {
    let gateway = TestGateway::start().await;
    at_the_pause(&gateway).await;
    let ask = |token: &str| {
        let mut client = client(&gateway, token);
        async move { client.abort_rollout(abort("", "wrong")).await }
    };
    let answers = tokio::join!(ask(TOKEN), ask(OTHER_TOKEN));
    let (good, bad): (Vec<_>, Vec<_>) = [answers.0, answers.1].into_iter().partition(Result::is_ok);
    assert_eq!((good.len(), bad.len()), (1, 1));
    let why = "the rollout of run run-2 is being taken back: wrong";
    for answer in bad {
        refused(answer, why);
    }
    let shown = client(&gateway, TOKEN).get_rollout(get("")).await.unwrap();
    let aborts = shown.into_inner().requests;
    assert_eq!(aborts.iter().filter(|r| r.what == "abort").count(), 1);
}
