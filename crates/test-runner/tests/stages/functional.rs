//! Stage `functional-test`.

use std::collections::BTreeMap;

use anyhow::Result;
use domain::stage::{Outcome, StageName};
use testkit::git::GitRepository;
use testkit::needs_docker;

use crate::bench::{Bench, green, has_edge, has_images, red};

const IMAGES: [&str; 2] = ["python:3.11-slim", "redis:7"];
const RUNS: &str = "CMD [\"python\", \"/app.py\"]";

async fn outcome(bench: &Bench, last_line: &str, files: &[(&str, &str)]) -> Result<Outcome> {
    let repository = GitRepository::with_files(files)?;
    let image = bench.python_service(last_line).await?;
    bench
        .outcome(
            &repository,
            &StageName::FunctionalTest,
            BTreeMap::from([(StageName::Image, image)]),
        )
        .await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_image_and_its_dependencies_find_each_other() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) || !has_edge() {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec = r#"
service: delivery
test:
  functional:
    services:
      redis: { image: "redis:7", ready: { tcp: 6379 } }
      other: { image: "redis:7", command: [redis-server, --port, "7000"], ready: { command: "redis-cli -p 7000 ping" } }
    env: { REDIS_URL: "redis://redis:6379" }
    ready: { http: /healthz }
    image: python:3.11-slim
    run:
      - test "$REDIS_URL" = redis://redis:6379
      - test -f check.py
      - python check.py
"#;
    let check = "import socket, urllib.request\n\
                 assert urllib.request.urlopen('http://delivery:8080/total').read() == b'42'\n\
                 socket.create_connection(('redis', 6379)); socket.create_connection(('other', 7000))\n\
                 print('all', 'well')\n";
    let result =
        green(outcome(&bench, RUNS, &[("slipway.yaml", spec), ("check.py", check)]).await?);
    assert_eq!(result.summary, "every command succeeded");
    let log = bench.log(&StageName::FunctionalTest).await?;
    for part in [
        "redis is ready after",
        "other is ready after",
        "delivery is ready after",
        "all well",
    ] {
        assert!(log.contains(part), "{part} is not in\n{log}");
    }
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_failing_test_shows_the_services_own_output() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) || !has_edge() {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec = r#"
service: delivery
test:
  functional:
    ready: { http: /healthz }
    run: ["python -c 'import urllib.request as r; r.urlopen(\"http://delivery:8080/nowhere\")'"]
"#;
    let failure = red(outcome(&bench, RUNS, &[("slipway.yaml", spec)]).await?);
    assert_eq!(failure.reason, "a command ended with exit code 1");
    assert!(
        failure
            .last_lines
            .iter()
            .any(|line| line.contains("HTTP Error 404")),
        "{failure:?}"
    );
    let log = bench.log(&StageName::FunctionalTest).await?;
    let (_, own) = log
        .split_once("--- output of delivery\n")
        .unwrap_or_else(|| panic!("{log}"));
    assert!(own.contains("GET /nowhere"), "{log}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_never_listens_is_red_with_its_last_lines() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) || !has_edge() {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec =
        "service: delivery\ntest: { functional: { ready: { http: /healthz, timeout: 2s } } }";
    let command = "CMD [\"sh\", \"-c\", \"echo waiting for nobody; sleep 600\"]";
    let failure = red(outcome(&bench, command, &[("slipway.yaml", spec)]).await?);
    let reason = failure.reason.to_lowercase();
    assert!(
        reason.starts_with("delivery did not become ready on :8080/healthz within 2 s: "),
        "{reason}"
    );
    assert!(reason.contains("connection refused"), "{reason}");
    assert_eq!(failure.last_lines, ["waiting for nobody"]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_image_that_ends_is_noticed_at_once() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) || !has_edge() {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec =
        "service: delivery\ntest: { functional: { ready: { http: /healthz, timeout: 10m } } }";
    let failure = red(outcome(&bench, "CMD [\"/nowhere\"]", &[("slipway.yaml", spec)]).await?);
    assert!(failure.reason.contains("/nowhere"), "{failure:?}");
    assert!(failure.reason.contains("exit code 127"), "{failure:?}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_compose_file_is_brought_up_in_its_order() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) || !has_edge() {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec = r#"
service: delivery
test:
  functional:
    compose: ci/compose.yml
    image: redis:7
    run: ["test \"$(redis-cli -h store get greeting)\" = hello"]
"#;
    let compose = r#"
services:
  store:
    image: "redis:${REDIS:-7}"
    healthcheck: { test: [CMD, redis-cli, ping] }
  seed:
    image: redis:7
    command: sh -c 'redis-cli -h "$$STORE" set greeting "$$(cat /seed/words/one.txt)"'
    environment: [STORE=store]
    volumes: ["./ci/seed:/seed/words:ro"]
    depends_on: { store: { condition: service_healthy } }
  after:
    image: redis:7
    depends_on: { seed: { condition: service_completed_successfully } }
"#;
    let files = [
        ("slipway.yaml", spec),
        ("ci/compose.yml", compose),
        ("ci/seed/one.txt", "hello"),
    ];
    let result = outcome(&bench, RUNS, &files).await?;
    let log = bench.log(&StageName::FunctionalTest).await?;
    assert!(matches!(result, Outcome::Succeeded(_)), "{result:?}\n{log}");
    let position = |text: &str| {
        log.find(text)
            .unwrap_or_else(|| panic!("{text} is not in\n{log}"))
    };
    assert!(position("store is ready") < position("starting seed"));
    assert!(position("seed is ready") < position("starting after"));
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_broken_dependency_is_named() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec = r#"
service: delivery
test: { functional: { services: { redis: { image: "redis:7", command: [sh, -c, "echo no config; exit 4"] } } } }
"#;
    let failure = red(outcome(&bench, RUNS, &[("slipway.yaml", spec)]).await?);
    assert_eq!(
        failure.reason,
        "redis did not become ready: the container ended with exit code 4: no config"
    );
    bench.finish().await
}
