//! What comes from outside and is wrong gets a clear end and a reason, and everything stays as it was.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use slipway_tests::cli::{stage, text};
use slipway_tests::{Installation, http_client, services};
use testkit::docker::BUSYBOX;

/// What is wrong, and what the reason must say.
struct Case {
    what: &'static str,
    files: Vec<(&'static str, String)>,
    stage: &'static str,
    says: &'static [&'static str],
}

fn cases(registry: &str) -> Vec<Case> {
    let nowhere = format!("FROM {registry}/nowhere:9\n");
    let build = |run: &str| {
        services::small_yaml(
            "orders",
            &format!(
                "build: {{ image: \"{BUSYBOX}\", run: [\"true\"] }}\ntest: {{ unit: {run} }}\n"
            ),
        )
    };
    let impatient = "service: orders\ndeploy: { port: 8080, replicas: 2, ready: { http: /, timeout: 5s }, deadline: 15s }\n";
    let dockerfile = |text: &str| vec![("Dockerfile", text.to_owned())];
    let case = |what, files, stage, says| Case {
        what,
        files,
        stage,
        says,
    };
    vec![
        case(
            "a Dockerfile that does not parse",
            dockerfile("FRUM busybox\nRUN x\n"),
            "image",
            &["FRUM"],
        ),
        case(
            "a base image that does not exist",
            dockerfile(&nowhere),
            "image",
            &["/nowhere:9"],
        ),
        case(
            "a command of the Dockerfile that fails",
            dockerfile(&format!("FROM {BUSYBOX}\nRUN echo oops && exit 3\n")),
            "image",
            &["exit code: 3", "oops"],
        ),
        case(
            "an image that exits at once",
            vec![
                ("serve.sh", "echo no database; exit 7\n".to_owned()),
                ("slipway.yaml", impatient.to_owned()),
            ],
            "deploy",
            &["no database"],
        ),
        case(
            "an image that never listens",
            vec![
                (
                    "serve.sh",
                    "echo waiting for nobody; sleep 600\n".to_owned(),
                ),
                ("slipway.yaml", impatient.to_owned()),
            ],
            "deploy",
            &["ready"],
        ),
        case(
            "a unit test that fails",
            vec![(
                "slipway.yaml",
                build("{ run: [echo expected 4 got 5; exit 1] }"),
            )],
            "unit-test",
            &["exit code 1"],
        ),
        case(
            "a unit test that hangs",
            vec![("slipway.yaml", build("{ run: [sleep 600], timeout: 3s }"))],
            "unit-test",
            &["time limit", "3 s"],
        ),
        case(
            "a command that does not exist",
            vec![("slipway.yaml", build("{ run: [frobnicate --all] }"))],
            "unit-test",
            &["127"],
        ),
        case(
            "an integration test that fails",
            vec![("slipway.yaml", wrong_total())],
            "integration-test",
            &["total is wrong"],
        ),
    ]
}

/// A service that comes up, and fails the test that it has together with the others.
fn wrong_total() -> String {
    services::small_yaml(
        "orders",
        &format!(
            "test: {{ integration: {{ image: \"{BUSYBOX}\", run: [echo total is wrong; exit 1] }} }}\n"
        ),
    )
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mistake_in_the_repository_ends_the_run_with_a_reason_and_the_environment_stays()
-> Result<()> {
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    let good = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&good, "state"), "succeeded", "{good:#}");
    let before = environments(&here).await?;
    let base = repository.head()?;
    let cases = cases(&here.development.address());
    for case in &cases {
        repository.git(&["reset", "--quiet", "--hard", &base])?;
        let files: Vec<(&str, &str)> = case
            .files
            .iter()
            .map(|(path, text)| (*path, text.as_str()))
            .collect();
        repository.commit_files(&files, &format!("fix: Try {}", case.what))?;
        let run = here.carry(repository.path(), "main").await?;
        let what = case.what;
        assert_eq!(text(&run, "state"), "failed", "{what}: {run:#}");
        let name = match case.stage {
            "deploy" | "integration-test" => format!("{}:{}", case.stage, here.test()),
            stage => stage.to_owned(),
        };
        let failed = stage(&run, &name)?;
        assert_eq!(text(failed, "state"), "failed", "{what}: {run:#}");
        let told = format!("{}\n{}", text(&run, "reason"), failed["last_lines"]);
        for said in case.says {
            assert!(told.contains(said), "{what}: {said:?} is not said: {told}");
        }
        assert!(text(&run, "reason").contains(&name), "{what}: {told}");
        assert_eq!(
            environments(&here).await?,
            before,
            "{what} changed an environment"
        );
    }
    let listed = here
        .slipway(&["run", "list", "--state", "failed"])
        .await?
        .json()?;
    assert_eq!(listed["runs"].as_array().map(Vec::len), Some(cases.len()));
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_first_version_whose_integration_tests_are_red_is_gone_when_its_run_is() -> Result<()> {
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    repository.commit_files(&[("slipway.yaml", &wrong_total())], "feat: Add it up")?;
    let run = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&run, "state"), "failed", "{run:#}");
    assert!(
        text(&run, "reason").contains("integration-test:"),
        "{run:#}"
    );
    let restore = stage(&run, &format!("restore:{}", here.test()))?;
    assert_eq!(text(restore, "state"), "succeeded", "{run:#}");
    assert!(
        text(restore, "reason").contains("nothing ran here before"),
        "{restore:#}"
    );
    assert_eq!(here.deployed(&here.test(), "orders").await?, None);
    let replicas = Installation::replicas(&here.test(), "orders")?;
    assert!(replicas.is_empty(), "{replicas:#?}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_or_not_understood_is_refused_with_its_place() -> Result<()> {
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    let path = repository.path().to_str().context("a path that is text")?;
    let nowhere = here.path("nowhere").display().to_string();
    for (repository, reference, says) in [
        (format!("file://{nowhere}"), "main", nowhere.as_str()),
        (
            "http://127.0.0.1:1/orders.git".to_owned(),
            "main",
            "127.0.0.1:1",
        ),
        (path.to_owned(), "no-such-branch", "no-such-branch"),
        (
            path.to_owned(),
            "0123456789012345678901234567890123456789",
            "0123456789012345678901234567890123456789",
        ),
        (path.to_owned(), "--upload-pack=touch", "upload-pack"),
        (
            path.to_owned(),
            "refs/heads/../../etc",
            "refs/heads/../../etc",
        ),
        ("ext::sh -c touch".to_owned(), "main", "ext::sh"),
        (String::new(), "main", "repository"),
    ] {
        let answer = here
            .slipway(&[
                "run",
                "start",
                "--repository",
                &repository,
                &format!("--ref={reference}"),
                "--wait",
            ])
            .await?;
        assert!(!answer.good, "{repository} {reference}: {answer:?}");
        let told = format!("{}{}", answer.out, answer.err);
        assert!(
            told.contains(says),
            "{repository} {reference}: {says:?} is not said: {told}"
        );
    }
    let wrong = "service: orders\ndeploy:\n  port: 8080\n  replicsa: 2\n";
    repository.commit_files(&[("slipway.yaml", wrong)], "fix: Mistype")?;
    let answer = here
        .slipway(&[
            "run",
            "start",
            "--repository",
            path,
            "--ref",
            "main",
            "--wait",
        ])
        .await?;
    let told = format!("{}{}", answer.out, answer.err);
    assert!(!answer.good, "{told}");
    for said in ["slipway.yaml:4:3", "replicsa", "^^^^^^^^", "replicas"] {
        assert!(told.contains(said), "{said:?} is not said: {told}");
    }
    for name in [
        "../../etc/passwd",
        "Orders",
        "a b",
        "$(reboot)",
        "-x",
        "ö",
        &"x".repeat(200),
    ] {
        let yaml = format!("service: {}\ndeploy: {{ port: 8080 }}\n", Value::from(name));
        repository.commit_files(&[("slipway.yaml", &yaml)], "fix: Rename")?;
        let answer = here
            .slipway(&[
                "run",
                "start",
                "--repository",
                path,
                "--ref",
                "main",
                "--wait",
            ])
            .await?;
        let told = format!("{}{}", answer.out, answer.err);
        assert!(
            !answer.good && told.contains("slipway.yaml:1"),
            "{name}: {told}"
        );
    }
    let listed = here.slipway(&["run", "list"]).await?.json()?;
    for run in listed["runs"].as_array().into_iter().flatten() {
        assert_eq!(text(run, "state"), "failed", "{run:#}");
        assert!(!text(run, "reason").is_empty(), "{run:#}");
    }
    Ok(())
}

/// As much as the documentation of the log stream promises, and more.
const LOUD: &str = "\
#!/bin/sh
echo first
head -c 10000000 /dev/zero | tr '\\\\0' x
echo
head -c 4096 /dev/urandom
echo
seq 100000
echo last
";

#[tokio::test(flavor = "multi_thread")]
async fn huge_lines_binary_output_and_floods_of_lines_are_kept_and_read_back() -> Result<()> {
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let more = format!("build: {{ image: \"{BUSYBOX}\", run: [sh loud.sh] }}\n");
    let repository = services::small("orders", &more)?;
    repository.commit_files(&[("loud.sh", &LOUD.replace("\\\\", "\\"))], "feat: Be loud")?;
    let run = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    let logs = here
        .slipway(&["run", "logs", text(&run, "run_id"), "--stage", "build"])
        .await?;
    assert!(logs.good, "{}", logs.err);
    let mut lines: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in logs.out.lines() {
        let line: Value = serde_json::from_str(line)?;
        match lines.last_mut() {
            Some(last) if goes_on => last.push_str(text(&line, "text")),
            _ => lines.push(text(&line, "text").to_owned()),
        }
        goes_on = line["continued"] == true;
    }
    let first = lines
        .iter()
        .position(|line| line == "first")
        .context("the first line is missing")?;
    let huge = &lines[first + 1];
    assert!(
        huge.bytes().all(|byte| byte == b'x'),
        "the huge line was mixed up"
    );
    assert_eq!(huge.len(), 10_000_000);
    let last = lines
        .iter()
        .rposition(|line| line == "last")
        .context("the last line is missing")?;
    let numbers: Vec<&str> = lines[last - 100_000..last]
        .iter()
        .map(String::as_str)
        .collect();
    assert!(
        numbers
            .iter()
            .enumerate()
            .all(|(index, line)| *line == (index + 1).to_string()),
        "lines are missing or mixed up"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_registry_that_is_down_for_a_while_only_delays_the_run() -> Result<()> {
    let Some(mut here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    here.development.stop().await?;
    let id = here.begin(repository.path()).await?;
    here.stage_reaches(&id, "image", "running").await?;
    tokio::time::sleep(Duration::from_secs(8)).await;
    here.development.restart().await?;
    let run = here.at_rest(&id).await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    Ok(())
}

/// What both environments run, and what the service answers.
async fn environments(here: &Installation) -> Result<Vec<Value>> {
    let mut all = Vec::new();
    for environment in [here.test(), here.live()] {
        let mut shown = here
            .deployed(&environment, "orders")
            .await?
            .context("it is not deployed")?;
        all.push(http_client::get(text(&shown, "address")).await?.into());
        // It says what was tried and taken back.
        shown["note"] = Value::Null;
        all.push(shown);
    }
    Ok(all)
}
