//! What is said when something is wrong, and with which exit code.

use tonic::{Code, Status};
use tonic_types::{ErrorDetails, StatusExt as _};

use crate::fake_gateway::{FakeGateway, TOKEN};
use crate::program::Program;
use crate::samples;

#[tokio::test]
async fn no_gateway_says_how_to_start_one() {
    let ended = Program::alone()
        .run(&[
            "--server",
            "http://127.0.0.1:1",
            "run",
            "list",
            "--output",
            "json",
        ])
        .await;
    assert_eq!((ended.code, ended.out.as_str()), (1, ""));
    let expected = "error: can't reach a gateway at http://127.0.0.1:1: Connection refused (os error 111)\n\
                    Start Slipway on this machine with `slipway up`, or name the gateway with --server or SLIPWAY_SERVER.\n";
    assert_eq!(ended.err, expected);
}

#[tokio::test]
async fn a_bad_token_says_where_it_came_from() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let program = Program::alone().with("SLIPWAY_SERVER", gateway.url());
    let ended = program.run(&["run", "list"]).await;
    let place = program.home().join(".local/share/slipway/token");
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains(&format!(
            "none was found (looked in SLIPWAY_TOKEN and {})",
            place.display()
        )),
        "{}",
        ended.err
    );
    let ended = program
        .run(&["run", "list", "--token", "wrong-token-wrong-token"])
        .await;
    assert!(
        ended
            .err
            .contains("does not know the token from --token or SLIPWAY_TOKEN"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn what_slipway_up_left_behind_is_enough() {
    let gateway = FakeGateway::with(vec![vec![samples::succeeded()]]).await;
    let program = Program::alone();
    let folder = program.home().join(".local/share/slipway");
    std::fs::create_dir_all(&folder).unwrap();
    std::fs::write(folder.join("token"), format!("operator {TOKEN}\n")).unwrap();
    std::fs::write(folder.join("endpoint"), format!("{}\n", gateway.url())).unwrap();
    assert!(program.ok(&["run", "list"]).await.contains("delivery"));
}

#[tokio::test]
async fn a_refusal_shows_its_details() {
    let gateway = FakeGateway::with(vec![vec![samples::queued()]]).await;
    let details = ErrorDetails::with_bad_request_violation(
        "reference",
        "there is no branch, tag or commit `mian`",
    );
    gateway.refuses(Status::with_error_details(
        Code::InvalidArgument,
        "nothing was started",
        details,
    ));
    let ended = Program::of(&gateway)
        .run(&["run", "start", "--ref", "mian", "--output", "json"])
        .await;
    assert_eq!(ended.code, 1);
    assert_eq!(
        ended.err,
        "error: nothing was started\n  --ref: there is no branch, tag or commit `mian`\n"
    );
}

#[tokio::test]
async fn a_run_that_is_not_there_says_how_to_find_one() {
    let gateway = FakeGateway::with(vec![
        vec![samples::queued()],
        vec![samples::other_succeeded()],
    ])
    .await;
    let program = Program::of(&gateway);
    let ended = program.run(&["run", "show", "zzz"]).await;
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains("`slipway run list` shows the runs"),
        "{}",
        ended.err
    );
    let ended = program.run(&["run", "show", "019a0b6e"]).await;
    assert!(ended.err.contains("may be any of 2 runs"), "{}", ended.err);
}

#[tokio::test]
async fn a_stage_that_is_not_there_names_those_that_are() {
    let gateway = FakeGateway::with(vec![vec![samples::queued()]]).await;
    let ended = Program::of(&gateway)
        .run(&["run", "logs", "5f2c8a1b", "--stage", "unit"])
        .await;
    assert_eq!(ended.code, 1);
    assert!(
        ended
            .err
            .contains("the run has no stage 'unit'; it has build, unit-test, image"),
        "{}",
        ended.err
    );
}

#[tokio::test]
async fn a_wrong_command_line_is_exit_code_2() {
    let program = Program::alone();
    let wrong: [&[&str]; 6] = [
        &["run", "list", "--limit", "0"],
        &["release", "list", "--limit", "0"],
        &["run", "strat"],
        &["deploy", "delivery"],
        &["run", "list", "--state", "red"],
        &["--server", "ftp://x", "run", "list"],
    ];
    for arguments in wrong {
        let ended = program.run(arguments).await;
        assert_eq!(ended.code, 2, "{arguments:?}: {}", ended.err);
    }
}

#[tokio::test]
async fn a_repository_that_is_not_there_is_found_out_before_the_gateway_is_asked() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let ended = Program::of(&gateway)
        .run(&["run", "start", "--repository", "./nowhere"])
        .await;
    assert_eq!(ended.code, 1);
    assert!(
        ended.err.contains("there is no repository at ./nowhere"),
        "{}",
        ended.err
    );
    assert!(gateway.asked().is_empty());
}
