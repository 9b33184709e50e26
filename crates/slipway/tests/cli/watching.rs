//! Watching runs where there is no terminal, and how that ends.

use crate::fake_gateway::FakeGateway;
use crate::program::Program;
use crate::samples;

#[tokio::test]
async fn each_change_is_a_line_and_a_failure_ends_with_its_screen() {
    let gateway = FakeGateway::with(vec![samples::red_history()]).await;
    let ended = Program::of(&gateway)
        .run(&["run", "watch", "5f2c8a1b"])
        .await;
    assert_eq!(ended.code, 1);
    insta::assert_snapshot!(ended.out);
}

#[tokio::test]
async fn a_success_ends_well() {
    let gateway = FakeGateway::with(vec![vec![samples::waiting(), samples::succeeded()]]).await;
    let out = Program::of(&gateway)
        .ok(&["run", "watch", samples::DELIVERY])
        .await;
    insta::assert_snapshot!(out);
}

#[tokio::test]
async fn waiting_for_approval_is_the_end_of_run_start_wait_and_no_failure() {
    let gateway = FakeGateway::with(vec![vec![samples::queued(), samples::waiting()]]).await;
    let out = Program::of(&gateway).ok(&["run", "start", "--wait"]).await;
    assert!(
        out.contains("agree:   slipway approve 5f2c8a1b --environment production"),
        "{out}"
    );
}

#[tokio::test]
async fn one_failed_run_of_several_is_a_failure() {
    let gateway = FakeGateway::with(vec![
        samples::red_history(),
        vec![samples::other_succeeded()],
    ])
    .await;
    let ended = Program::of(&gateway)
        .run(&["run", "start", "--wait", "--output", "json"])
        .await;
    assert_eq!(ended.code, 1, "{}", ended.err);
    let runs: serde_json::Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(runs["runs"][0]["state"], "failed");
    assert_eq!(runs["runs"][1]["state"], "succeeded");
}

#[tokio::test]
async fn a_gateway_that_restarts_is_waited_for() {
    let history = vec![samples::queued(), samples::waiting(), samples::succeeded()];
    let gateway = FakeGateway::with(vec![history]).await;
    gateway.breaks_watches(samples::DELIVERY, 2);
    let ended = Program::of(&gateway)
        .run(&["run", "watch", "5f2c8a1b"])
        .await;
    assert_eq!(ended.code, 0, "{}", ended.err);
    assert!(
        ended
            .err
            .contains("lost the gateway (the gateway stops); the run goes on"),
        "{}",
        ended.err
    );
    assert!(ended.err.contains("the gateway is back"), "{}", ended.err);
    assert_eq!(
        ended
            .out
            .matches("delivery 1.4.0 · change · succeeded")
            .count(),
        1,
        "{}",
        ended.out
    );
}

#[tokio::test]
async fn run_start_says_how_to_watch() {
    let gateway = FakeGateway::with(vec![vec![samples::queued()]]).await;
    let out = Program::of(&gateway).ok(&["run", "start"]).await;
    let id = samples::DELIVERY;
    assert_eq!(
        out,
        format!("{id}  delivery 1.4.0\n  watch it: slipway run watch 5f2c8a1b\n")
    );
}
