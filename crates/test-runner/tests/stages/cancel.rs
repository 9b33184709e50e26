//! A run that is cancelled in the middle of its tests.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::Result;
use domain::run::{Actor, Event};
use domain::stage::{Outcome, StageName};
use jiff::Timestamp;
use testkit::git::GitRepository;
use testkit::needs_docker;

use crate::bench::{Bench, eventually, has_edge, has_images};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_cancelled_functional_test_leaves_nothing_behind() -> Result<()> {
    needs_docker!();
    if !has_images(&["python:3.11-slim", "redis:7"]) || !has_edge() {
        return Ok(());
    }
    let spec = r#"
service: delivery
test:
  functional:
    services: { redis: { image: "redis:7" } }
    ready: { http: /healthz }
    run: ["echo the tests run", "sleep 600"]
"#;
    cancelled_when(spec, "the tests run").await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_is_waited_for_is_not_waited_for_any_longer() -> Result<()> {
    needs_docker!();
    if !has_images(&["python:3.11-slim"]) || !has_edge() {
        return Ok(());
    }
    let spec = "service: delivery\ntest: { functional: { ready: { tcp: 1, timeout: 10m } } }";
    cancelled_when(spec, "starting delivery").await
}

/// Cancels the run once the log has `sign`; the stage must end soon and leave nothing.
async fn cancelled_when(spec: &str, sign: &str) -> Result<()> {
    let bench = Bench::start().await?;
    let repository = GitRepository::with_files(&[("slipway.yaml", spec)])?;
    let image = bench
        .python_service("CMD [\"python\", \"/app.py\"]")
        .await?;
    let stage = StageName::FunctionalTest;
    bench
        .submit(
            &repository,
            &stage,
            BTreeMap::from([(StageName::Image, image)]),
        )
        .await?;
    eventually(
        "the stage is under way",
        Duration::from_secs(60),
        async || Ok(bench.log(&stage).await?.contains(sign).then_some(())),
    )
    .await?;
    let by = Actor("ada".to_owned());
    bench
        .append(Event::CancelRequested {
            by,
            reason: "not needed".to_owned(),
            at: Timestamp::now(),
        })
        .await?;
    let outcome = bench.ended(&stage).await?;
    assert!(
        matches!(&outcome, Outcome::Cancelled { reason } if reason.contains("not needed")),
        "{outcome:?}"
    );
    bench.finish().await
}
