//! Rollouts: what people and scripts read of them, and what is asked.

use serde_json::Value;

use crate::fake_gateway::FakeGateway;
use crate::people::without_ages;
use crate::program::Program;
use crate::samples;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// A rollout that has not ended goes on while the test runs: the times since then depend on the day.
fn without_times(text: &str) -> String {
    let mut shown = String::new();
    for line in text.lines() {
        let words: Vec<&str> = line.split(' ').collect();
        let is_time = |word: &str| {
            let digits = word.trim_end_matches(['h', 'm', 's']);
            digits != word && digits.parse::<u32>().is_ok()
        };
        let is_long = |i: usize| is_time(words[i]) && words.get(i + 1).is_some_and(|w| is_time(w));
        let kept: Vec<&str> = (0..words.len())
            .filter(|&i| !is_long(i))
            .map(|i| match i > 0 && is_long(i - 1) {
                true => "[time]",
                false => words[i],
            })
            .collect();
        shown.push_str(&kept.join(" "));
        shown.push('\n');
    }
    shown
}

const SHOW: [&str; 5] = ["rollout", "show", "delivery", "--in", "production"];

#[tokio::test]
async fn a_failed_rollout_shows_its_steps_its_verdicts_and_what_to_do() {
    let gateway = FakeGateway::with_rollout(samples::red_rollouts()).await;
    insta::assert_snapshot!(Program::of(&gateway).ok(&SHOW).await);
}

#[tokio::test]
async fn a_paused_rollout_shows_how_it_goes_on() {
    let gateway = FakeGateway::with_rollout(vec![samples::paused_rollout()]).await;
    insta::assert_snapshot!(without_times(&Program::of(&gateway).ok(&SHOW).await));
}

#[tokio::test]
async fn rollouts_are_a_table() {
    let rollouts = vec![
        samples::paused_rollout(),
        samples::red_rollouts().remove(4),
        samples::completed_rollout(),
    ];
    let gateway = FakeGateway::with_rollout(rollouts).await;
    let program = Program::of(&gateway);
    insta::assert_snapshot!(without_ages(&program.ok(&["rollout", "list"]).await));
}

#[tokio::test]
async fn a_rollout_has_all_its_fields() {
    let gateway = FakeGateway::with_rollout(samples::red_rollouts()).await;
    let program = Program::of(&gateway);
    let out = program
        .ok(&[&SHOW[..], &["--output", "json"]].concat())
        .await;
    insta::assert_json_snapshot!(parsed(&out));
    let list = program.ok(&["rollout", "list", "--output", "json"]).await;
    assert_eq!(parsed(&list)["rollouts"][4], parsed(&out));
}

#[tokio::test]
async fn a_watched_rollout_is_a_line_at_each_change_and_ends_with_its_screen() {
    let gateway = FakeGateway::with_rollout(samples::red_rollouts()).await;
    let watch = ["rollout", "watch", "delivery", "--in", "production"];
    let ended = Program::of(&gateway).run(&watch).await;
    assert_eq!(ended.code, 1, "{}", ended.err);
    insta::assert_snapshot!(ended.out);
}

#[tokio::test]
async fn a_watched_rollout_that_completes_is_a_success() {
    let history = vec![samples::rollout(), samples::completed_rollout()];
    let gateway = FakeGateway::with_rollout(history).await;
    let watch = [
        "rollout",
        "watch",
        "delivery",
        "--in",
        "production",
        "-o",
        "json",
    ];
    let out = Program::of(&gateway).ok(&watch).await;
    let states: Vec<Value> = out
        .lines()
        .map(|line| parsed(line)["state"].clone())
        .collect();
    assert_eq!(states, ["running", "completed"]);
    // The same one, whatever begins meanwhile.
    let asked = gateway.asked().join("\n");
    let watched = format!("run_id: {:?} }}", samples::DELIVERY);
    assert!(
        asked.contains("WatchRolloutRequest") && asked.contains(&watched),
        "{asked}"
    );
}

#[tokio::test]
async fn what_is_asked_reaches_the_gateway() {
    let gateway = FakeGateway::with_rollout(vec![samples::paused_rollout()]).await;
    let program = Program::of(&gateway);
    let commands: [&[&str]; 6] = [
        &["pause", "--reason", "the logs look odd"],
        &["resume"],
        &["promote"],
        &["promote", "--full"],
        &["abort", "--reason", "totals", "--run", "5f2c8a1b"],
        &["retry"],
    ];
    for command in commands {
        let which = ["delivery", "--in", "production", "--output", "json"];
        let out = program
            .ok(&[&["rollout"], command, &which[..]].concat())
            .await;
        assert_eq!(parsed(&out)["run_id"], samples::DELIVERY, "{command:?}");
    }
    let asked = gateway.asked().join("\n");
    let which = r#"service: "delivery", environment: "production", run_id: """#;
    for said in [
        format!(r#"PauseRolloutRequest {{ {which}, reason: "the logs look odd" }}"#),
        format!("ResumeRolloutRequest {{ {which} }}"),
        format!("PromoteRolloutRequest {{ {which}, full: false }}"),
        format!("PromoteRolloutRequest {{ {which}, full: true }}"),
        format!(r#"run_id: "{}", reason: "totals" }}"#, samples::DELIVERY),
        format!("RetryRolloutRequest {{ {which} }}"),
    ] {
        assert!(asked.contains(&said), "{said}\n{asked}");
    }
}

#[tokio::test]
async fn a_refusal_is_printed_as_the_gateway_says_it() {
    let gateway = FakeGateway::with_rollout(vec![samples::rollout()]).await;
    let why = "the rollout of run run-2 is not paused; it is at step 2 of 5 (pause)";
    gateway.refuses(tonic::Status::failed_precondition(why));
    let resume = ["rollout", "resume", "delivery", "--in", "production"];
    let ended = Program::of(&gateway).run(&resume).await;
    assert_eq!((ended.code, ended.err), (1, format!("error: {why}\n")));
}

#[tokio::test]
async fn a_run_whose_rollout_waits_says_so_and_how_it_goes_on() {
    let gateway = FakeGateway::with(vec![vec![samples::paused_run(), samples::succeeded()]]).await;
    let program = Program::of(&gateway);
    let watched = program.ok(&["run", "watch", "5f2c8a1b"]).await;
    let line = "delivery deploy:production ● paused: step 2 of 5 (pause) waits for a person";
    assert!(watched.contains(line), "{watched}");
    let gateway = FakeGateway::with(vec![vec![samples::paused_run()]]).await;
    let shown = Program::of(&gateway).ok(&["run", "show", "5f2c8a1b"]).await;
    let go_on = "slipway rollout promote delivery --in production\n";
    assert!(shown.contains(go_on), "{shown}");
}
