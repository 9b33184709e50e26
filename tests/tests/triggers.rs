//! What starts runs, what doesn't, and who may.

use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use slipway_tests::cli::{stages, text};
use slipway_tests::{Installation, Setup, eventually, forge, http_client, processes, services};
use testkit::git::GitRepository;

const SECRET: &str = "a secret of the forge";
const LIMIT: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn webhooks_of_three_forges_and_events_on_the_bus_start_one_run_each() -> Result<()> {
    let setup = Setup {
        webhook_secret: Some(SECRET.to_owned()),
        ..Setup::default()
    };
    let Some(here) = Installation::with(setup).await? else {
        return Ok(());
    };
    let (server, repository) = (here.server()?, services::small("orders", "")?);
    let shop = forge::Forge::of(repository.path()).await?;
    let github = push(&shop, &repository, "fix: From GitHub")?;
    for _ in 0..3 {
        let answer = forge::github(&server, "push", "g-1", &github.github(), SECRET).await?;
        assert!([200, 202].contains(&answer.status), "{answer:?}");
    }
    let gitlab = push(&shop, &repository, "fix: From GitLab")?;
    for _ in 0..2 {
        let answer = forge::gitlab(&server, "Push Hook", "l-1", &gitlab.gitlab(), SECRET).await?;
        assert!([200, 202].contains(&answer.status), "{answer:?}");
    }
    let gitea = push(&shop, &repository, "fix: From Gitea")?;
    for _ in 0..2 {
        let answer = forge::gitea(&server, "push", "t-1", &gitea.github(), SECRET).await?;
        assert!([200, 202].contains(&answer.status), "{answer:?}");
    }
    let anybody = push(&shop, &repository, "fix: From anybody")?;
    let bus = async_nats::connect(here.nats_url()?).await?;
    let event = json!({ "repository": anybody.url, "ref": "refs/heads/main", "commit": anybody.after, "id": "42" });
    for _ in 0..2 {
        bus.publish("slipway.commit.orders", serde_json::to_vec(&event)?.into())
            .await?;
    }
    bus.flush().await?;

    let pushes = [
        ("github", github),
        ("gitlab", gitlab),
        ("gitea", gitea),
        ("bus", anybody),
    ];
    for (via, push) in &pushes {
        let run = run_of(&here, &push.after)
            .await
            .with_context(|| format!("the push by {via}"))?;
        assert_eq!(
            (text(&run, "via"), text(&run, "kind")),
            (*via, "change"),
            "{run:#}"
        );
        let run = here.at_rest(text(&run, "run_id")).await?;
        assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    }
    assert_eq!(runs(&here).await?.len(), pushes.len());
    let live = here
        .deployed(&here.live(), "orders")
        .await?
        .context("it is not deployed")?;
    let newest = run_of(&here, &pushes[3].1.after).await?;
    assert_eq!(
        live["version"], newest["version"],
        "the environment does not have what came last"
    );
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn proposals_are_tested_and_never_published() -> Result<()> {
    let setup = Setup {
        webhook_secret: Some(SECRET.to_owned()),
        ..Setup::default()
    };
    let Some(here) = Installation::with(setup).await? else {
        return Ok(());
    };
    let more = "build: { image: \"slipway-test/busybox:1\", run: [\"true\"] }\ntest: { unit: { run: [\"true\"] }, functional: {} }\n";
    let repository = services::small("orders", more)?;
    let shop = forge::Forge::of(repository.path()).await?;
    let before = repository.head()?;
    repository.branch("feature")?;
    let after = repository.commit("feat: Maybe")?;
    let push = forge::Push {
        url: shop.url(),
        before,
        after,
        reference: "refs/heads/feature",
    };
    let answer = forge::github(
        &here.server()?,
        "pull_request",
        "1",
        &push.pull_request(7, "opened"),
        SECRET,
    )
    .await?;
    assert_eq!(answer.status, 202, "{answer:?}");
    let run = run_of(&here, &push.after).await?;
    let run = here.at_rest(text(&run, "run_id")).await?;
    assert_eq!(
        (text(&run, "kind"), text(&run, "state")),
        ("proposal", "succeeded"),
        "{run:#}"
    );
    let names: Vec<String> = stages(&run).into_iter().map(|(name, _)| name).collect();
    assert_eq!(names, ["build", "unit-test", "image", "functional-test"]);
    for environment in [here.test(), here.live()] {
        assert_eq!(here.deployed(&environment, "orders").await?, None);
    }
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn strangers_start_nothing_and_nothing_listens_beyond_this_machine() -> Result<()> {
    let setup = Setup {
        webhook_secret: Some(SECRET.to_owned()),
        ..Setup::default()
    };
    let Some(here) = Installation::with(setup).await? else {
        return Ok(());
    };
    let (server, repository) = (here.server()?, services::small("orders", "")?);
    let shop = forge::Forge::of(repository.path()).await?;
    let push = push(&shop, &repository, "fix: Not from here")?;
    let answer = forge::github(&server, "push", "1", &push.github(), "another secret").await?;
    assert_eq!(answer.status, 401, "{answer:?}");
    let url = format!("{server}/webhooks/github");
    let unsigned = http_client::send("POST", &url, &[("x-github-event", "push")], b"{}").await?;
    assert_eq!(unsigned.status, 401, "{unsigned:?}");
    let path = repository.path().to_str().context("a path that is text")?;
    for arguments in [
        vec!["run", "start", "--repository", path, "--ref", "main"],
        vec!["run", "list"],
        vec!["environment", "list"],
        vec!["rollback", "orders", "--in", &here.live()],
    ] {
        for token in ["wrong", "operator"] {
            let answer = here
                .slipway_with(&arguments, &[("SLIPWAY_TOKEN", token)])
                .await?;
            assert!(
                !answer.good && answer.err.contains("token"),
                "{arguments:?}: {answer:?}"
            );
        }
        let nowhere = here.path("no-token").display().to_string();
        let answer = here
            .slipway_with(&arguments, &[("SLIPWAY_TOKEN_FILE", &nowhere)])
            .await?;
        assert!(
            !answer.good && answer.err.contains("token"),
            "{arguments:?}: {answer:?}"
        );
    }
    assert_eq!(runs(&here).await?, Vec::<Value>::new());

    let pid = here.pid()?;
    let servers = [vec![pid], processes::children(pid, "nats-server")].concat();
    assert_eq!(servers.len(), 2);
    for process in servers {
        let listeners = processes::listeners(process)?;
        assert!(!listeners.is_empty(), "process {process} listens nowhere");
        assert!(
            listeners.iter().all(|address| address.ip().is_loopback()),
            "{listeners:?}"
        );
    }
    Ok(())
}

fn push(server: &forge::Forge, repository: &GitRepository, message: &str) -> Result<forge::Push> {
    let (url, before) = (server.url(), repository.head()?);
    let after = repository.commit_files(&[("CHANGES", message)], message)?;
    Ok(forge::Push {
        url,
        before,
        after,
        reference: "refs/heads/main",
    })
}

async fn runs(here: &Installation) -> Result<Vec<Value>> {
    let listed = here
        .slipway(&["run", "list", "--limit", "100"])
        .await?
        .json()?;
    Ok(listed["runs"].as_array().cloned().unwrap_or_default())
}

async fn run_of(here: &Installation, commit: &str) -> Result<Value> {
    eventually("the commit has a run", LIMIT, async || {
        Ok(runs(here)
            .await?
            .into_iter()
            .find(|run| text(run, "commit") == commit))
    })
    .await
}
