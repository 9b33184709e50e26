//! What scripts rely on. A snapshot that changes breaks somebody's script.

use serde_json::Value;

use crate::fake_gateway::FakeGateway;
use crate::program::Program;
use crate::samples;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[tokio::test]
async fn run_start_prints_the_runs() {
    let gateway = FakeGateway::with(vec![
        vec![samples::queued()],
        vec![samples::other_succeeded()],
    ])
    .await;
    let program = Program::of(&gateway);
    let out = program
        .ok(&[
            "run",
            "start",
            "--repository",
            ".",
            "--ref",
            "main",
            "--output",
            "json",
        ])
        .await;
    insta::assert_json_snapshot!(parsed(&out));
    let here = program.home().canonicalize().unwrap();
    let asked = gateway.asked().join("\n");
    assert!(
        asked.contains(&format!("repository: {here:?}, reference: \"main\"")),
        "{asked}"
    );
}

#[tokio::test]
async fn run_start_and_wait_prints_the_runs_when_they_are_at_rest() {
    let history = vec![samples::queued(), samples::waiting()];
    let gateway = FakeGateway::with(vec![history, vec![samples::other_succeeded()]]).await;
    let out = Program::of(&gateway)
        .ok(&["run", "start", "--ref", "main", "--wait", "-o", "json"])
        .await;
    insta::assert_json_snapshot!(parsed(&out));
}

#[tokio::test]
async fn a_run_has_all_its_fields_and_tells_of_failing_tests() {
    let gateway = FakeGateway::with(vec![samples::red_history()]).await;
    let out = Program::of(&gateway)
        .ok(&["run", "show", "5f2c8a1b", "--output", "json"])
        .await;
    insta::assert_json_snapshot!(parsed(&out));
}

#[tokio::test]
async fn environment_show_prints_what_runs() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let program = Program::of(&gateway);
    let out = program
        .ok(&["environment", "show", "production", "--output", "json"])
        .await;
    insta::assert_json_snapshot!(parsed(&out));
    let list = parsed(
        &program
            .ok(&["environment", "list", "--output", "json"])
            .await,
    );
    assert_eq!(list["environments"][0], parsed(&out));
}

#[tokio::test]
async fn release_show_prints_the_release() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let program = Program::of(&gateway);
    let out = program
        .ok(&["release", "show", "delivery", "1.4.0", "--output", "json"])
        .await;
    insta::assert_json_snapshot!(parsed(&out));
    let list = parsed(&program.ok(&["release", "list", "--output", "json"]).await);
    assert_eq!(list["releases"][0], parsed(&out));
}

#[tokio::test]
async fn run_list_puts_the_pages_together() {
    let gateway = FakeGateway::with(vec![
        vec![samples::waiting()],
        vec![samples::other_succeeded()],
    ])
    .await;
    let program = Program::of(&gateway);
    let ids = |out: &str| {
        let runs = parsed(out)["runs"].as_array().unwrap().clone();
        runs.iter()
            .map(|run| run["run_id"].as_str().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    let all = ids(&program.ok(&["run", "list", "--output", "json"]).await);
    assert_eq!(all, [samples::DELIVERY, samples::PACKAGE]);
    assert_eq!(
        ids(&program
            .ok(&["run", "list", "-n", "1", "--output", "json"])
            .await),
        [samples::DELIVERY]
    );
}

#[tokio::test]
async fn commands_that_change_a_run_print_it() {
    let gateway = FakeGateway::with(vec![vec![samples::waiting()]]).await;
    let program = Program::of(&gateway);
    let commands: [&[&str]; 6] = [
        &["deploy", "delivery", "1.4.0", "--to", "test"],
        &[
            "rollback",
            "delivery",
            "--in",
            "production",
            "--to",
            "1.3.2",
            "--wait",
        ],
        &[
            "approve",
            "5f2c8a1b",
            "--environment",
            "production",
            "--reason",
            "checked",
        ],
        &["reject", "5f2c8a1b"],
        &["run", "cancel", "5f2c8a1b", "--reason", "wrong"],
        &["run", "retry", "5f2c8a1b"],
    ];
    for command in commands {
        let out = program.ok(&[command, &["--output", "json"]].concat()).await;
        assert_eq!(parsed(&out)["run_id"], samples::DELIVERY, "{command:?}");
    }
    let asked = gateway.asked().join("\n");
    for said in [
        r#"DeployRequest { service: "delivery", version: "1.4.0", environment: "test""#,
        r#"RollbackRequest { service: "delivery", environment: "production", version: "1.3.2""#,
        r#"environment: "production", approved: true, reason: "checked""#,
        "approved: false",
    ] {
        assert!(asked.contains(said), "{said}\n{asked}");
    }
}

#[tokio::test]
async fn logs_are_a_document_a_line() {
    let gateway = FakeGateway::with(vec![samples::red_history()]).await;
    let out = Program::of(&gateway)
        .ok(&["run", "logs", "5f2c8a1b", "--output", "json"])
        .await;
    let lines: Vec<Value> = out.lines().map(parsed).collect();
    insta::assert_json_snapshot!(lines);
}

#[tokio::test]
async fn a_watched_run_is_a_document_at_each_change() {
    let gateway = FakeGateway::with(vec![vec![
        samples::queued(),
        samples::waiting(),
        samples::succeeded(),
    ]])
    .await;
    let out = Program::of(&gateway)
        .ok(&["run", "watch", "5f2c8a1b", "--output", "json"])
        .await;
    let states: Vec<Value> = out
        .lines()
        .map(|line| parsed(line)["state"].clone())
        .collect();
    assert_eq!(states, ["queued", "waiting_for_approval", "succeeded"]);
}

#[tokio::test]
async fn version_prints_the_version() {
    let out = Program::alone().ok(&["version", "--output", "json"]).await;
    assert_eq!(parsed(&out)["version"], env!("CARGO_PKG_VERSION"));
}
