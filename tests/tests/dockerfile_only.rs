//! Repositories that know nothing of Slipway, services in several languages, and monorepos.

use std::time::Duration;

use anyhow::{Context as _, Result};
use slipway_tests::cli::{stages, text};
use slipway_tests::{Installation, Setup, eventually, forge, http_client, services};
use testkit::git::GitRepository;

#[tokio::test(flavor = "multi_thread")]
async fn a_dockerfile_alone_reaches_production() -> Result<()> {
    let Some(here) = Installation::start().await? else {
        return Ok(());
    };
    let folder = tempfile::tempdir()?;
    let repository = GitRepository::with_files(&[
        ("Dockerfile", &services::shell_dockerfile()),
        ("serve.sh", services::SHELL_SERVICE),
    ])?;
    // The repository's name is the service's.
    let named = folder.path().join("parcels");
    repository.git(&[
        "clone",
        "--quiet",
        ".",
        named.to_str().context("a path that is text")?,
    ])?;
    let run = here.carry(&named, "main").await?;
    assert_eq!(
        (text(&run, "state"), text(&run, "service")),
        ("succeeded", "parcels"),
        "{run:#}"
    );
    let names: Vec<String> = stages(&run).into_iter().map(|(name, _)| name).collect();
    assert!(
        !names.contains(&"build".to_owned()) && !names.contains(&"unit-test".to_owned()),
        "{names:?}"
    );
    let live = here
        .deployed(&here.live(), "parcels")
        .await?
        .context("it is not deployed")?;
    assert_eq!(
        http_client::get(text(&live, "address")).await?.trim(),
        "0.1.0 hello"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_push_through_a_webhook_carries_only_the_service_that_changed() -> Result<()> {
    let secret = "a secret of the forge";
    let setup = Setup {
        webhook_secret: Some(secret.to_owned()),
        ..Setup::default()
    };
    let Some(here) = Installation::with(setup).await? else {
        return Ok(());
    };
    let (dockerfile, script) = (services::shell_dockerfile(), services::SHELL_SERVICE);
    let (orders, parcels) = (
        services::small_yaml("orders", ""),
        services::small_yaml("parcels", ""),
    );
    let repository = GitRepository::with_files(&[
        ("orders/slipway.yaml", &orders),
        ("orders/Dockerfile", &dockerfile),
        ("orders/serve.sh", script),
        ("parcels/slipway.yaml", &parcels),
        ("parcels/Dockerfile", &dockerfile),
        ("parcels/serve.sh", script),
    ])?;
    let path = repository.path().to_str().context("a path that is text")?;
    let both = here
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
    assert!(both.good, "{both:?}");
    let both = both.json()?;
    let pairs: Vec<(&str, &str)> = both["runs"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|run| (text(run, "service"), text(run, "state")))
        .collect();
    assert_eq!(pairs, [("orders", "succeeded"), ("parcels", "succeeded")]);

    let server = forge::Forge::of(repository.path()).await?;
    let before = repository.head()?;
    let changed = script.replace("hello", "changed");
    repository.commit_files(
        &[("parcels/serve.sh", &changed)],
        "feat: Greet in another way",
    )?;
    let push = forge::Push {
        url: server.url(),
        before,
        after: repository.head()?,
        reference: "refs/heads/main",
    };
    let answer = forge::github(&here.server()?, "push", "1", &push.github(), secret).await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    let run = eventually("the push has a run", Duration::from_secs(30), async || {
        let listed = here.slipway(&["run", "list"]).await?.json()?;
        let runs = listed["runs"].as_array().cloned().unwrap_or_default();
        anyhow::ensure!(runs.len() == 3, "{} runs", runs.len());
        Ok(runs
            .into_iter()
            .find(|run| text(run, "commit") == push.after))
    })
    .await?;
    assert_eq!(
        (text(&run, "service"), text(&run, "via")),
        ("parcels", "github"),
        "{run:#}"
    );
    let run = here.at_rest(text(&run, "run_id")).await?;
    assert_eq!(
        (text(&run, "state"), text(&run, "version")),
        ("succeeded", "0.2.0"),
        "{run:#}"
    );
    for (service, says) in [("orders", "0.1.0 hello"), ("parcels", "0.2.0 changed")] {
        let live = here
            .deployed(&here.live(), service)
            .await?
            .context("it is not deployed")?;
        assert_eq!(http_client::get(text(&live, "address")).await?.trim(), says);
    }
    Ok(())
}
