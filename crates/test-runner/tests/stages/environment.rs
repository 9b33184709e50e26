//! Stages `integration-test` and `load-test`: against a service in an environment.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use domain::stage::{Artifact, Outcome, StageName};
use engine::{Attachment, ContainerSpec};
use testkit::git::GitRepository;
use testkit::needs_docker;

use crate::bench::{Bench, eventually, green, has_edge, has_images, red};

const IMAGES: [&str; 1] = ["python:3.11-slim"];

/// Starts what a deployer would leave in the environment.
async fn deploy(bench: &Bench) -> Result<Artifact> {
    let image = bench
        .python_service("CMD [\"python\", \"/app.py\"]")
        .await?;
    let Artifact::Image {
        repository, digest, ..
    } = &image
    else {
        panic!("{image:?}")
    };
    let network = format!("slipway-{}", bench.environment);
    bench
        .engine
        .ensure_network(&network, &bench.labels())
        .await?;
    let spec = ContainerSpec {
        name: format!("{network}-delivery"),
        image: format!("{repository}@{digest}"),
        env: BTreeMap::from([("PORT".to_owned(), "8080".to_owned())]),
        networks: vec![Attachment::new(&network, ["delivery"])],
        labels: bench.labels(),
        ..ContainerSpec::default()
    };
    let container = bench.engine.start_service(&spec).await?;
    eventually("the service listens", Duration::from_secs(20), async || {
        let lines = bench.engine.logs(&container, 10).await?;
        Ok(lines
            .iter()
            .any(|line| line.text.contains("listening"))
            .then_some(()))
    })
    .await?;
    Ok(image)
}

async fn outcome(bench: &Bench, spec: &str, stage: &StageName) -> Result<Outcome> {
    let repository = GitRepository::with_files(&[("slipway.yaml", spec), ("who.txt", "delivery")])?;
    let image = deploy(bench).await?;
    bench
        .outcome(
            &repository,
            stage,
            BTreeMap::from([(StageName::Image, image)]),
        )
        .await
}

/// Removes the environment, which no stage made, before the check that nothing is left.
async fn finish(bench: Bench) -> Result<()> {
    let removed = bench.engine.remove_labelled(&bench.labels()).await?;
    assert_eq!(
        (removed.containers, removed.networks),
        (1, 1),
        "only the environment itself is left"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn integration_tests_reach_services_by_name() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec = r#"
service: delivery
test:
  integration:
    image: python:3.11-slim
    run:
      - echo "in $SLIPWAY_ENVIRONMENT"
      - python -c "import urllib.request as r; print(r.urlopen('http://'+open('who.txt').read()+':8080/total').read())"
"#;
    let stage = StageName::IntegrationTest(bench.environment.clone());
    green(outcome(&bench, spec, &stage).await?);
    let log = bench.log(&stage).await?;
    assert!(
        log.contains(&format!("in {}\n", bench.environment)) && log.contains("b'42'"),
        "{log}"
    );
    finish(bench).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn load_is_put_on_the_service_and_judged() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) || !has_edge() {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec = "service: delivery\ntest: { load: { path: /total, rate: 20, duration: 2s } }";
    let stage = StageName::LoadTest(bench.environment.clone());
    let result = green(outcome(&bench, spec, &stage).await?);
    assert!(
        result.summary.starts_with("20/s for 2 s: p99 "),
        "{result:?}"
    );
    assert!(result.summary.ends_with(", 0.00 % errors"), "{result:?}");
    finish(bench).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn errors_under_load_are_red() -> Result<()> {
    needs_docker!();
    if !has_images(&IMAGES) || !has_edge() {
        return Ok(());
    }
    let bench = Bench::start().await?;
    let spec = "service: delivery\ntest: { load: { path: /nowhere, rate: 20, duration: 1s } }";
    let failure = red(outcome(
        &bench,
        spec,
        &StageName::LoadTest(bench.environment.clone()),
    )
    .await?);
    assert!(
        failure
            .reason
            .starts_with("20 of 20 requests failed, more than 1%"),
        "{failure:?}"
    );
    assert!(failure.reason.contains("404"), "{failure:?}");
    finish(bench).await
}
