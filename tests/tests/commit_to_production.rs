//! The whole path of a change: build, tests, image, candidate, release, production, and back.

use std::collections::BTreeSet;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use slipway_tests::cli::{stage, stages, text};
use slipway_tests::{Installation, PYTHON, Setup, http_client, python, registries};
use testkit::load::Load;

const IMAGES: &[&str] = &[PYTHON];

#[tokio::test(flavor = "multi_thread")]
async fn a_commit_reaches_production_the_next_replaces_it_and_a_rollback_brings_it_back()
-> Result<()> {
    let Some(here) = Installation::with(Setup {
        images: IMAGES,
        ..Setup::default()
    })
    .await?
    else {
        return Ok(());
    };
    let repository = python::shop("red")?;
    let first = here.carry(repository.path(), "main").await?;
    has_the_documented_shape_of_a_run(&here, &first);
    has_results(&first)?;
    let shown = here
        .slipway(&["environment", "show", &here.live()])
        .await?
        .json()?;
    has_the_documented_shape_of_an_environment(&here, &shown, &first);
    let address = text(&shown["services"][0], "address").to_owned();
    assert_eq!(http_client::get(&address).await?, "0.1.0 red hello world");
    is_published(&here, &first, "0.1.0").await?;

    let load = steady(&address).run();
    repository.commit_files(
        &[("slipway.yaml", &python::shop_yaml("blue"))],
        "feat: Paint it blue",
    )?;
    let second = here.carry(repository.path(), "main").await?;
    assert_eq!(
        (text(&second, "state"), text(&second, "version")),
        ("succeeded", "0.2.0"),
        "{second:#}"
    );
    assert_eq!(http_client::get(&address).await?, "0.2.0 blue hello world");
    let during = load.stop().await;
    during.assert_no_failures();
    let seen: BTreeSet<&str> = during.by_body.keys().map(String::as_str).collect();
    assert_eq!(
        seen,
        BTreeSet::from(["0.1.0 red hello world", "0.2.0 blue hello world"])
    );
    only_answers(&address, "0.2.0 blue hello world").await;

    let load = steady(&address).run();
    let back = here
        .slipway(&["rollback", "shop", "--in", &here.live(), "--wait"])
        .await?;
    assert!(back.good, "{back:?}");
    load.stop().await.assert_no_failures();
    // The image and the configuration: the colour is in no image.
    only_answers(&address, "0.1.0 red hello world").await;
    let live = here
        .deployed(&here.live(), "shop")
        .await?
        .context("shop is gone")?;
    assert_eq!(text(&live, "version"), "0.1.0");
    assert_eq!(text(&live, "image_digest"), text(&first, "image_digest"));
    assert_eq!(live["replicas_ready"], 2);
    let test = here
        .deployed(&here.test(), "shop")
        .await?
        .context("shop is gone")?;
    assert_eq!(
        text(&test, "version").split('-').next(),
        Some("0.2.0"),
        "the other environment went back too"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_red_test_ends_the_run_and_nothing_gets_a_version() -> Result<()> {
    let Some(here) = Installation::with(Setup {
        images: IMAGES,
        ..Setup::default()
    })
    .await?
    else {
        return Ok(());
    };
    let repository = python::shop("red")?;
    let app = std::fs::read_to_string(repository.path().join("app.py"))?;
    repository.commit_files(
        &[("app.py", &app.replace("hello \"", "bye \""))],
        "feat: Say bye",
    )?;
    let run = here.carry(repository.path(), "main").await?;
    assert_eq!(text(&run, "state"), "failed", "{run:#}");
    assert!(
        text(&run, "reason").contains("greets_by_name"),
        "{}",
        text(&run, "reason")
    );
    let unit = stage(&run, "unit-test")?;
    assert_eq!(
        unit["failed_tests"][0]["name"]
            .as_str()
            .map(|name| name.contains("greets_by_name")),
        Some(true)
    );
    assert!(text(unit, "reason").contains("1 of 2"), "{unit:#}");
    assert!(
        unit["last_lines"].to_string().contains("tests are over"),
        "{unit:#}"
    );
    for later in ["publish", "promote"] {
        assert_ne!(stage(&run, later)?["state"], "succeeded");
    }
    let tags = registries::tags(&here.development.address(), "shop").await?;
    assert!(tags.iter().all(|tag| !tag.starts_with('0')), "{tags:?}");
    assert_eq!(
        registries::tags(&here.production.address(), "shop").await?,
        Vec::<String>::new()
    );
    assert_eq!(here.deployed(&here.test(), "shop").await?, None);
    let human = here
        .slipway_plain(&["run", "show", text(&run, "run_id")])
        .await?;
    assert!(
        human.contains("greets_by_name") && human.contains("tests are over"),
        "{human}"
    );
    assert!(human.lines().count() <= 50, "more than a screen:\n{human}");
    Ok(())
}

fn has_the_documented_shape_of_a_run(here: &Installation, run: &Value) {
    for key in [
        "run_id",
        "service",
        "kind",
        "state",
        "version",
        "image_digest",
    ] {
        assert!(!text(run, key).is_empty(), "{key} is missing: {run:#}");
    }
    let (service, kind, state) = (text(run, "service"), text(run, "kind"), text(run, "state"));
    assert_eq!(
        (service, kind, state),
        ("shop", "change", "succeeded"),
        "{run:#}"
    );
    let (test, live) = (here.test(), here.live());
    let names: BTreeSet<String> = stages(run).into_iter().map(|(name, _)| name).collect();
    let environments = [
        format!("deploy:{test}"),
        format!("integration-test:{test}"),
        format!("deploy:{live}"),
    ];
    for name in [
        "build",
        "unit-test",
        "image",
        "functional-test",
        "publish",
        "promote",
    ] {
        assert!(names.contains(name), "{name} is missing: {names:?}");
    }
    for name in environments {
        assert!(names.contains(&name), "{name} is missing: {names:?}");
    }
    let goes_back = names.iter().any(|name| name.starts_with("restore:"));
    assert!(!goes_back, "nothing had to be put back: {names:?}");
    for stage in run["stages"].as_array().into_iter().flatten() {
        let ended = ["succeeded", "skipped"].contains(&text(stage, "state"));
        assert!(
            ended && stage["finished_at"].is_string() && stage["reason"].is_string(),
            "{stage:#}"
        );
        assert!(
            text(stage, "started_at") <= text(stage, "finished_at"),
            "{stage:#}"
        );
    }
}

fn has_results(run: &Value) -> Result<()> {
    let tests = &stage(run, "unit-test")?["tests"];
    assert_eq!(
        (&tests["passed"], &tests["failed"], &tests["skipped"]),
        (&2.into(), &0.into(), &0.into())
    );
    Ok(())
}

fn has_the_documented_shape_of_an_environment(here: &Installation, shown: &Value, run: &Value) {
    assert_eq!(shown["name"], here.live());
    let services = shown["services"].as_array().map_or(0, Vec::len);
    assert_eq!(services, 1, "{shown:#}");
    let service = &shown["services"][0];
    assert_eq!(
        (text(service, "service"), text(service, "version")),
        ("shop", "0.1.0"),
        "{shown:#}"
    );
    assert_eq!(service["image_digest"], run["image_digest"]);
    assert_eq!(service["run_id"], run["run_id"]);
    assert_eq!(service["replicas_ready"], 2);
    assert!(
        service["deployed_at"].is_string()
            && text(service, "address").starts_with("http://127.0.0.1:")
    );
}

/// The candidate is in the development registry, the release in the production registry, and they are the same.
async fn is_published(here: &Installation, run: &Value, version: &str) -> Result<()> {
    let (development, production) = (here.development.address(), here.production.address());
    let candidate = registries::digest(&development, "shop", &format!("{version}-rc.1")).await?;
    let release = registries::digest(&production, "shop", version).await?;
    assert_eq!(candidate, text(run, "image_digest"));
    assert_eq!(release, text(run, "image_digest"));
    let image = format!("{}/shop@{release}", here.production.address());
    let labels = slipway_tests::docker::docker(&[
        "image",
        "inspect",
        "--format",
        "{{json .Config.Labels}}",
        &image,
    ])?;
    let labels: Value = serde_json::from_str(&labels)?;
    assert_eq!(
        labels["org.opencontainers.image.version"], version,
        "{labels:#}"
    );
    assert_eq!(
        labels["org.opencontainers.image.revision"], run["commit"],
        "{labels:#}"
    );
    assert_eq!(
        labels["org.opencontainers.image.title"], "shop",
        "{labels:#}"
    );
    Ok(())
}

fn steady(address: &str) -> Load {
    Load {
        limit: Duration::from_secs(240),
        ..Load::new(address, 8, Some(200.0))
    }
}

async fn only_answers(address: &str, body: &str) {
    let load = Load::new(address, 4, None).run();
    tokio::time::sleep(Duration::from_millis(300)).await;
    let report = load.stop().await;
    report.assert_no_failures();
    assert_eq!(report.by_body.keys().collect::<Vec<_>>(), [body]);
}
