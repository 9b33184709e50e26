//! The same commit again: what was made is used again, and what is deployed stays as it is.

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use serde_json::Value;
use slipway_tests::cli::{stage, stages, text};
use slipway_tests::{
    Installation, PYTHON, Setup, docker, http_client, python, registries, services,
};

/// A run in which nothing changed takes less than a second, even on a machine where all tests run at once. This is
/// what it may take there at the most: far less than a build, and than any wait of ours.
const LIMIT: Duration = Duration::from_secs(5);

#[tokio::test(flavor = "multi_thread")]
async fn the_same_commit_again_builds_nothing_and_leaves_the_environments_as_they_are() -> Result<()>
{
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", SLOW)?;
    let first = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&first, "state"), "succeeded", "{first:#}");
    let before = containers(&here)?;
    let tags = tags(&here).await?;
    // The first time, the programs of this installation have to be read from the disk.
    here.carry(repository.path(), "main").await?;

    let begun = Instant::now();
    let again = here.carry(repository.path(), "main").await?;
    let took = begun.elapsed();
    eprintln!("a run of a commit that was carried before took {took:?}");
    assert_eq!(text(&again, "state"), "succeeded", "{again:#}");
    for same in ["version", "version_because", "image_digest", "commit"] {
        assert_eq!(again[same], first[same], "{same}");
    }
    assert_ne!(again["run_id"], first["run_id"]);
    was_made_by(&again, &first, &["build", "unit-test", "image", "publish"])?;
    for environment in [here.test(), here.live()] {
        let deployed = stage(&again, &Installation::deploy(&environment))?;
        let reason = text(deployed, "reason");
        assert!(reason.contains("is there already"), "{reason}");
    }
    let promoted = text(stage(&again, "promote")?, "reason");
    assert!(promoted.contains("is there already"), "{promoted}");
    assert_eq!(containers(&here)?, before, "something was deployed again");
    assert_eq!(self::tags(&here).await?, tags, "something was pushed again");
    let of_run = format!("slipway.run={}", text(&again, "run_id"));
    assert_eq!(docker::containers(&[&of_run])?, Vec::<String>::new());
    assert!(took < LIMIT, "it took {took:?}");

    let listed = here.slipway(&["release", "list"]).await?.json()?;
    let releases = listed["releases"].as_array().context("no list")?;
    assert_eq!(releases.len(), 1, "{listed:#}");
    assert_eq!(releases[0]["run_id"], first["run_id"], "{listed:#}");
    let shown = here
        .slipway_plain(&["run", "show", text(&again, "run_id")])
        .await?;
    assert!(shown.contains("the same as in run"), "{shown}");
    let id = text(&again, "run_id");
    let logs = here
        .slipway(&["run", "logs", id, "--stage", "build", "--follow"])
        .await?;
    assert!(logs.good && logs.out.is_empty(), "{logs:?}");
    assert!(logs.err.contains("the same as in run"), "{logs:?}");

    // It is possible all the same, and it is possible to go on from there.
    let fresh = fresh(&here, &repository).await?;
    assert_eq!(
        (text(&fresh, "state"), text(&fresh, "version")),
        ("succeeded", "0.1.1"),
        "{fresh:#}"
    );
    assert!(stages(&fresh).iter().all(|(_, state)| state == "succeeded"));
    repository.commit("feat: More")?;
    let next = here.carry(repository.path(), "main").await?;
    assert_eq!(
        (text(&next, "state"), text(&next, "version")),
        ("succeeded", "0.2.0"),
        "{next:#}"
    );
    assert_ne!(next["image_digest"], first["image_digest"]);
    let back = here
        .slipway(&["rollback", "orders", "--in", &here.live(), "--wait"])
        .await?;
    assert!(back.good, "{back:?}");
    let forth = here.carry(repository.path(), "main").await?;
    was_made_by(&forth, &next, &["build", "unit-test", "image", "publish"])?;
    let live = here
        .deployed(&here.live(), "orders")
        .await?
        .context("it is not deployed")?;
    let answer = http_client::get(text(&live, "address")).await?;
    assert_eq!(
        answer.trim(),
        "0.2.0 hello",
        "the next run of it brings it back"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_registry_lost_is_built_again() -> Result<()> {
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    let first = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&first, "state"), "succeeded", "{first:#}");
    let digest = text(&first, "image_digest");
    registries::delete(&here.development.address(), "orders", digest).await?;
    let again = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&again, "state"), "succeeded", "{again:#}");
    assert_eq!(stage(&again, "image")?["state"], "succeeded", "{again:#}");
    assert_eq!(text(&again, "version"), "0.1.1");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn tests_in_an_environment_run_again_in_the_workspace_that_was_built_before() -> Result<()> {
    let setup = Setup {
        images: &[PYTHON],
        ..Setup::default()
    };
    let Some(here) = Installation::with(setup).await? else {
        return Ok(());
    };
    let repository = python::shop("red")?;
    let first = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&first, "state"), "succeeded", "{first:#}");
    let made = ["build", "unit-test", "image", "functional-test", "publish"];
    let again = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&again, "state"), "succeeded", "{again:#}");
    was_made_by(&again, &first, &made)?;
    let integration = format!("integration-test:{}", here.test());
    assert_eq!(stage(&again, &integration)?["state"], "succeeded");
    assert_eq!(stage(&again, "unit-test")?["tests"]["passed"], 2);

    let workspace = format!("slipway-workspace/shop:{}", text(&first, "run_id"));
    docker::docker(&["image", "rm", "--force", &workspace])?;
    let anew = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&anew, "state"), "succeeded", "{anew:#}");
    assert_eq!(stage(&anew, "build")?["state"], "succeeded", "{anew:#}");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn what_waits_for_approval_waits_again_and_stays_one_release() -> Result<()> {
    let setup = Setup {
        approvals: 1,
        ..Setup::default()
    };
    let Some(here) = Installation::with(setup).await? else {
        return Ok(());
    };
    let repository = services::small("orders", "")?;
    let first = here.carry(repository.path(), "main").await?;
    let again = here.carry(repository.path(), "main").await?;
    for run in [&first, &again] {
        assert_eq!(
            (text(run, "state"), text(run, "version")),
            ("waiting_for_approval", "0.1.0"),
            "{run:#}"
        );
    }
    was_made_by(&again, &first, &["image", "publish"])?;
    let id = text(&again, "run_id");
    let approved = here.slipway(&["approve", id, "--wait"]).await?;
    assert!(approved.good, "{approved:?}");
    let first = here.at_rest(text(&first, "run_id")).await?;
    assert_eq!(text(&first, "state"), "cancelled", "{first:#}");
    let reason = text(&first, "reason");
    assert!(reason.contains("of the same commit"), "{reason}");

    let third = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&third, "state"), "waiting_for_approval", "{third:#}");
    let approved = here
        .slipway(&["approve", text(&third, "run_id"), "--wait"])
        .await?;
    assert!(approved.good, "{approved:?}");
    let listed = here.slipway(&["release", "list"]).await?.json()?;
    assert_eq!(listed["releases"].as_array().map(Vec::len), Some(1));
    let release = &listed["releases"][0];
    assert_eq!(
        (text(release, "version"), text(release, "run_id")),
        ("0.1.0", id),
        "{listed:#}"
    );
    assert_eq!(release["candidates"].as_array().map(Vec::len), Some(1));
    Ok(())
}

/// A service that takes a while to build and to test.
const SLOW: &str = "\
build: { image: \"slipway-test/busybox:1\", run: [sleep 3, echo whole > built.txt] }
test: { unit: { run: [grep whole built.txt, sleep 1] } }
";

fn was_made_by(run: &Value, earlier: &Value, made: &[&str]) -> Result<()> {
    for name in made {
        let stage = stage(run, name)?;
        let reason = text(stage, "reason");
        let named = format!("the same as in run {}", text(earlier, "run_id"));
        assert_eq!(text(stage, "state"), "skipped", "{stage:#}");
        assert!(reason.starts_with(&named), "{reason}");
        assert_eq!(stage["attempt"], 0, "{stage:#}");
    }
    Ok(())
}

/// The containers in both environments, edges too.
fn containers(here: &Installation) -> Result<Vec<String>> {
    let mut all = Vec::new();
    for environment in [here.test(), here.live()] {
        let label = format!("label=slipway.environment={environment}");
        let format = "{{.ID}} {{.Names}} {{.CreatedAt}}";
        let listed = docker::docker(&["ps", "--no-trunc", "--filter", &label, "--format", format])?;
        let mut lines: Vec<String> = listed.lines().map(str::to_owned).collect();
        assert_eq!(lines.len(), 3, "two replicas and an edge: {lines:?}");
        lines.sort();
        all.append(&mut lines);
    }
    Ok(all)
}

async fn tags(here: &Installation) -> Result<Vec<String>> {
    let mut tags = registries::tags(&here.development.address(), "orders").await?;
    tags.extend(registries::tags(&here.production.address(), "orders").await?);
    tags.sort();
    Ok(tags)
}

async fn fresh(here: &Installation, repository: &testkit::git::GitRepository) -> Result<Value> {
    let path = repository.path().to_str().context("a path that is text")?;
    let start = ["run", "start", "--ref", "main", "--repository", path];
    here.slipway(&[&start[..], &["--fresh", "--wait"]].concat())
        .await?
        .run()
}
