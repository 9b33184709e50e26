//! What people read.

use crate::fake_gateway::FakeGateway;
use crate::program::Program;
use crate::samples;

/// `4d ago` depends on the day.
pub(crate) fn without_ages(text: &str) -> String {
    let lines = text.lines().map(|line| {
        let words: Vec<&str> = line.split(' ').collect();
        let is_age = |i: usize| words.get(i + 1) == Some(&"ago");
        let shown: Vec<&str> = (0..words.len())
            .map(|i| if is_age(i) { "[age]" } else { words[i] })
            .collect();
        shown.join(" ").trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[tokio::test]
async fn an_environment_is_a_table() {
    let gateway = FakeGateway::with(Vec::new()).await;
    insta::assert_snapshot!(without_ages(
        &Program::of(&gateway)
            .ok(&["environment", "show", "production"])
            .await
    ));
}

#[tokio::test]
async fn runs_are_a_table() {
    let red = samples::red_history();
    let gateway = FakeGateway::with(vec![red, vec![samples::other_succeeded()]]).await;
    insta::assert_snapshot!(without_ages(
        &Program::of(&gateway).ok(&["run", "list"]).await
    ));
}

#[tokio::test]
async fn a_release_is_shown_with_its_candidates() {
    let gateway = FakeGateway::with(Vec::new()).await;
    insta::assert_snapshot!(without_ages(
        &Program::of(&gateway)
            .ok(&["release", "show", "delivery", "1.4.0"])
            .await
    ));
}

#[tokio::test]
async fn a_run_is_shown_with_where_it_comes_from_and_who_agreed() {
    let gateway = FakeGateway::with(vec![vec![samples::succeeded()]]).await;
    insta::assert_snapshot!(Program::of(&gateway).ok(&["run", "show", "5f2c8a1b"]).await);
}

#[tokio::test]
async fn log_lines_name_their_stage_and_can_not_harm_the_terminal() {
    let gateway = FakeGateway::with(vec![samples::red_history()]).await;
    let program = Program::of(&gateway);
    insta::assert_snapshot!(program.ok(&["run", "logs", "5f2c8a1b"]).await);
    assert_eq!(
        program
            .ok(&["run", "logs", "5f2c8a1b", "--stage", "build"])
            .await,
        "│ compiling\n! warning: unused variable\n"
    );
}

#[tokio::test]
async fn colours_come_only_when_wanted() {
    let gateway = FakeGateway::with(vec![vec![samples::succeeded()]]).await;
    let program = Program::of(&gateway);
    assert!(!program.ok(&["run", "list"]).await.contains('\u{1b}'));
    assert!(
        program
            .ok(&["run", "list", "--color", "always"])
            .await
            .contains('\u{1b}')
    );
}

#[tokio::test]
async fn completions_are_made_for_each_shell() {
    let program = Program::alone();
    for (shell, sign) in [
        ("bash", "complete -F _slipway"),
        ("zsh", "#compdef slipway"),
        ("fish", "complete -c slipway"),
    ] {
        assert!(
            program.ok(&["completions", shell]).await.contains(sign),
            "{shell}"
        );
    }
}

#[tokio::test]
async fn a_run_that_waits_for_another_attempt_says_why_and_when() {
    let gateway = FakeGateway::with(vec![vec![samples::broken(), samples::succeeded()]]).await;
    let watched = Program::of(&gateway)
        .ok(&["run", "watch", "5f2c8a1b"])
        .await;
    // Its time has passed long ago.
    let waits =
        "build ◌ attempt 1 broke, again now: the image rust could not be pulled: no such host";
    assert!(watched.contains(waits), "{watched}");
    let gateway = FakeGateway::with(vec![vec![samples::broken()]]).await;
    let shown = Program::of(&gateway).ok(&["run", "show", "5f2c8a1b"]).await;
    assert!(shown.contains("attempt 1 broke, again now\n"), "{shown}");
    let reason = "\n  build: the image rust could not be pulled: no such host\n";
    assert!(shown.contains(reason), "{shown}");
}
