//! People decide: approve, reject, cancel, deploy, retry.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use slipway_tests::cli::{stage, text};
use slipway_tests::installation::OPERATOR;
use slipway_tests::{
    Answer, Installation, Setup, docker, eventually, http_client, registries, services,
};

const TOKEN_OF_BOB: &str = "fedcba9876543210fedcba9876543210";
const LIMIT: Duration = Duration::from_secs(60);

async fn with_approvals(approvals: u32) -> Result<Option<Installation>> {
    Installation::with(Setup {
        approvals,
        colleagues: &[("bob", TOKEN_OF_BOB)],
        ..Setup::default()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn production_waits_for_as_many_people_as_the_platform_file_says() -> Result<()> {
    let Some(here) = with_approvals(2).await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    let run = waiting(&here, repository.path()).await?;
    let id = text(&run, "run_id");
    let once = here
        .slipway(&["approve", id, "--reason", "looks good"])
        .await?;
    assert!(once.good, "{once:?}");
    let twice = here.slipway(&["approve", id]).await?;
    assert!(
        !twice.good && twice.err.contains("somebody else"),
        "{twice:?}"
    );
    nothing_is_in_production(&here).await?;
    let both = as_bob(&here, &["approve", id, "--reason", "for me too", "--wait"]).await?;
    assert!(both.good, "{both:?}");
    let run = here.at_rest(id).await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    let reviews: Vec<(&str, &str)> = run["reviews"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|r| (text(r, "by"), text(r, "reason")))
        .collect();
    assert_eq!(reviews, [(OPERATOR, "looks good"), ("bob", "for me too")]);
    let shown = here.slipway_plain(&["run", "show", id]).await?;
    for said in [OPERATOR, "looks good", "bob", "for me too"] {
        assert!(shown.contains(said), "{said:?} is not shown:\n{shown}");
    }
    assert!(here.deployed(&here.live(), "orders").await?.is_some());
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rejected_or_cancelled_run_never_reaches_production_and_named_versions_do() -> Result<()>
{
    let Some(here) = with_approvals(1).await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    let rejected = waiting(&here, repository.path()).await?;
    let id = text(&rejected, "run_id");
    let answer = as_bob(&here, &["reject", id, "--reason", "not on a Friday"]).await?;
    let rejected = here.at_rest(id).await?;
    assert_eq!(
        text(&rejected, "state"),
        "failed",
        "{answer:?} {rejected:#}"
    );
    let reason = text(&rejected, "reason");
    assert!(
        reason.contains("bob") && reason.contains("not on a Friday"),
        "{reason}"
    );
    nothing_is_in_production(&here).await?;

    repository.commit("fix: Again")?;
    let cancelled = waiting(&here, repository.path()).await?;
    let id = text(&cancelled, "run_id");
    here.slipway(&["run", "cancel", id, "--reason", "wrong branch"])
        .await?;
    let cancelled = here.at_rest(id).await?;
    assert_eq!(text(&cancelled, "state"), "cancelled", "{cancelled:#}");
    let reason = text(&cancelled, "reason");
    assert!(
        reason.contains(OPERATOR) && reason.contains("wrong branch"),
        "{reason}"
    );
    nothing_is_in_production(&here).await?;
    let late = as_bob(&here, &["approve", id]).await?;
    assert!(!late.good, "a cancelled run was approved: {late:?}");

    let unknown = here
        .slipway(&["deploy", "orders", "7.0.0", "--to", &here.live()])
        .await?;
    assert!(
        !unknown.good && unknown.err.contains("7.0.0"),
        "{unknown:?}"
    );
    let nowhere = here
        .slipway(&["deploy", "orders", "0.1.0", "--to", "moon"])
        .await?;
    assert!(!nowhere.good && nowhere.err.contains("moon"), "{nowhere:?}");

    repository.commit("fix: At last")?;
    let accepted = waiting(&here, repository.path()).await?;
    let id = text(&accepted, "run_id");
    let answer = as_bob(&here, &["approve", id, "--wait"]).await?;
    assert!(answer.good, "{answer:?}");
    let first = text(&accepted, "version").to_owned();
    repository.commit("fix: Even better")?;
    let newer = waiting(&here, repository.path()).await?;
    let answer = as_bob(&here, &["approve", text(&newer, "run_id"), "--wait"]).await?;
    assert!(answer.good, "{answer:?}");
    let answer = here
        .slipway(&["deploy", "orders", &first, "--to", &here.live(), "--wait"])
        .await?;
    let run = only_run(&answer)?;
    if text(&run, "state") == "waiting_for_approval" {
        as_bob(&here, &["approve", text(&run, "run_id"), "--wait"]).await?;
    }
    let live = here
        .deployed(&here.live(), "orders")
        .await?
        .context("it is not deployed")?;
    assert_eq!(text(&live, "version"), first, "{live:#}");
    assert!(
        http_client::get(text(&live, "address"))
            .await?
            .starts_with(&first)
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cancelled_build_stops_at_once_and_a_retry_goes_on() -> Result<()> {
    let Some(mut here) = Installation::start().await? else {
        return Ok(());
    };
    let slow = "build: { image: \"slipway-test/busybox:1\", run: [sleep 600] }\n";
    let repository = services::small("orders", slow)?;
    let id = here.begin(repository.path()).await?;
    let of_run = format!("slipway.run={id}");
    eventually("the build runs", LIMIT, async || {
        Ok((!docker::containers(&[&of_run])?.is_empty()).then_some(()))
    })
    .await?;
    here.slipway(&["run", "cancel", &id, "--reason", "too slow"])
        .await?;
    eventually(
        "the containers are gone",
        Duration::from_secs(15),
        async || Ok(docker::containers(&[&of_run])?.is_empty().then_some(())),
    )
    .await?;
    let run = here.at_rest(&id).await?;
    assert_eq!(
        (text(&run, "state"), text(stage(&run, "build")?, "state")),
        ("cancelled", "cancelled"),
        "{run:#}"
    );

    // The infrastructure breaks in the middle of a run, and somebody mends it.
    repository.commit_files(
        &[("slipway.yaml", &services::small_yaml("orders", ""))],
        "fix: Need no build",
    )?;
    here.production.stop().await?;
    let id = here.begin(repository.path()).await?;
    here.stage_reaches(&id, "promote", "running").await?;
    here.slipway(&["run", "cancel", &id]).await?;
    here.at_rest(&id).await?;
    here.production.restart().await?;
    let retried = here.slipway(&["run", "retry", &id, "--wait"]).await?;
    assert!(retried.good, "{retried:?}");
    let run = here.at_rest(&id).await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    assert_eq!(
        stage(&run, "image")?["attempt"],
        1,
        "what was good was done again: {run:#}"
    );
    let live = here
        .deployed(&here.live(), "orders")
        .await?
        .context("it is not deployed")?;
    assert_eq!(live["version"], run["version"]);
    Ok(())
}

async fn waiting(here: &Installation, repository: &std::path::Path) -> Result<Value> {
    let run = here.carry(repository, "main").await?;
    assert_eq!(text(&run, "state"), "waiting_for_approval", "{run:#}");
    Ok(run)
}

async fn as_bob(here: &Installation, arguments: &[&str]) -> Result<Answer> {
    here.slipway_with(arguments, &[("SLIPWAY_TOKEN", TOKEN_OF_BOB)])
        .await
}

fn only_run(answer: &Answer) -> Result<Value> {
    let json = answer.json()?;
    Ok(if json["runs"].is_array() {
        answer.run()?
    } else {
        json
    })
}

async fn nothing_is_in_production(here: &Installation) -> Result<()> {
    assert_eq!(here.deployed(&here.live(), "orders").await?, None);
    assert_eq!(
        Installation::replicas(&here.live(), "orders")?,
        Vec::<String>::new()
    );
    assert_eq!(
        registries::tags(&here.production.address(), "orders").await?,
        Vec::<String>::new()
    );
    Ok(())
}
