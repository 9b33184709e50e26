//! Whatever is killed, whenever: no run is lost, none is stuck, and environments stay consistent.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use slipway_tests::cli::text;
use slipway_tests::{Installation, docker, eventually, http_client, processes, services};
use testkit::load::Load;

const CLEAN_UP_LIMIT: Duration = Duration::from_secs(90);
/// A build that takes long enough to be hit, and a unit test that fails unless the build is whole.
const SLOW_BUILD: &str = "\
build: { image: \"slipway-test/busybox:1\", run: [sleep 3, echo whole > built.txt] }
test: { unit: { run: [grep whole built.txt, sleep 1] } }
";

#[tokio::test(flavor = "multi_thread")]
async fn a_run_survives_a_crash_in_each_of_its_stages_and_leaves_nothing_behind() -> Result<()> {
    let Some(mut here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", SLOW_BUILD)?;
    let id = here.begin(repository.path()).await?;
    let deploy = Installation::deploy(&here.test());
    for stage in ["build", "unit-test", "image", "publish", &deploy, "promote"] {
        here.stage_reaches(&id, stage, "running").await?;
        here.kill().await?;
        here.up().await?;
    }
    let run = here.at_rest(&id).await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    is_consistent(&here, "orders", &run, 2).await?;
    nothing_is_left_of(&run).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_crash_at_any_moment_of_a_rollout_leaves_one_version_and_drops_no_request() -> Result<()>
{
    let Some(mut here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    let run = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    let live = here
        .deployed(&here.live(), "orders")
        .await?
        .context("orders is not deployed")?;
    let load = Load {
        limit: Duration::from_secs(300),
        ..Load::new(text(&live, "address"), 4, Some(50.0))
    }
    .run();
    let deploy = Installation::deploy(&here.live());
    for delay in [0, 400, 1500] {
        repository.commit("fix: Again")?;
        let id = here.begin(repository.path()).await?;
        here.stage_reaches(&id, &deploy, "running").await?;
        tokio::time::sleep(Duration::from_millis(delay)).await;
        here.kill().await?;
        here.up().await?;
        let run = here.at_rest(&id).await?;
        assert_eq!(
            text(&run, "state"),
            "succeeded",
            "after a crash {delay} ms into the rollout: {run:#}"
        );
        is_consistent(&here, "orders", &run, 2)
            .await
            .with_context(|| format!("after a crash {delay} ms into the rollout"))?;
    }
    load.stop().await.assert_no_failures();
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_nats_server_is_started_again_and_the_run_goes_on() -> Result<()> {
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", SLOW_BUILD)?;
    let id = here.begin(repository.path()).await?;
    for stage in ["build", "image", "publish"] {
        here.stage_reaches(&id, stage, "running").await?;
        let servers = processes::children(here.pid()?, "nats-server");
        assert_eq!(servers.len(), 1, "{servers:?}");
        processes::kill(servers[0]);
        eventually("another nats-server runs", CLEAN_UP_LIMIT, async || {
            let now = processes::children(here.pid()?, "nats-server");
            Ok((now.len() == 1 && now != servers).then_some(()))
        })
        .await?;
    }
    let run = here.at_rest(&id).await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    is_consistent(&here, "orders", &run, 2).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_orderly_stop_in_the_middle_loses_nothing_and_services_serve_meanwhile() -> Result<()> {
    let Some(mut here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", SLOW_BUILD)?;
    let first = here.carry(repository.path(), "main").await?;
    let live = here
        .deployed(&here.live(), "orders")
        .await?
        .context("orders is not deployed")?;
    let address = text(&live, "address");
    let load = Load {
        limit: Duration::from_secs(240),
        ..Load::new(address, 4, Some(100.0))
    }
    .run();
    repository.commit("feat: More")?;
    let id = here.begin(repository.path()).await?;
    here.stage_reaches(&id, "build", "running").await?;
    here.terminate().await?;
    assert!(
        processes::with_argument(&here.data().display().to_string()).is_empty(),
        "something was left running"
    );
    tokio::time::sleep(Duration::from_secs(1)).await;
    assert!(
        http_client::get(address)
            .await?
            .starts_with(text(&first, "version"))
    );
    here.up().await?;
    let run = here.at_rest(&id).await?;
    assert_eq!(
        (text(&run, "state"), text(&run, "version")),
        ("succeeded", "0.2.0"),
        "{run:#}"
    );
    load.stop().await.assert_no_failures();
    assert!(http_client::get(address).await?.starts_with("0.2.0"));
    is_consistent(&here, "orders", &run, 2).await
}

/// Both environments run the version of `run` and nothing else, and nothing of any stage is left.
async fn is_consistent(
    here: &Installation,
    service: &str,
    run: &Value,
    replicas: usize,
) -> Result<()> {
    let digest = text(run, "image_digest");
    for environment in [here.test(), here.live()] {
        let deployed = here
            .deployed(&environment, service)
            .await?
            .context("it is not deployed")?;
        assert_eq!(text(&deployed, "image_digest"), digest, "{deployed:#}");
        eventually(
            "only replicas of the new version are there",
            CLEAN_UP_LIMIT,
            async || {
                let containers = Installation::replicas(&environment, service)?;
                let good = containers
                    .iter()
                    .all(|c| c.contains(digest) && c.ends_with("running"));
                anyhow::ensure!(
                    good && containers.len() == replicas,
                    "{containers:#?} instead of {replicas} of {digest}"
                );
                Ok(Some(()))
            },
        )
        .await?;
        let shown = here
            .deployed(&environment, service)
            .await?
            .context("it is not deployed")?;
        assert_eq!(
            (&shown["replicas_ready"], text(&shown, "note")),
            (&replicas.into(), ""),
            "{shown:#}"
        );
        let answer = http_client::get(text(&shown, "address")).await?;
        assert!(
            answer.starts_with(text(run, "version")),
            "{answer} instead of {}",
            text(run, "version")
        );
    }
    Ok(())
}

async fn nothing_is_left_of(run: &Value) -> Result<()> {
    let of_run = format!("slipway.run={}", text(run, "run_id"));
    eventually("nothing of a stage is left", CLEAN_UP_LIMIT, async || {
        let left = docker::containers(&["slipway.role=stage", &of_run])?;
        anyhow::ensure!(left.is_empty(), "{left:#?}");
        Ok(Some(()))
    })
    .await
}
