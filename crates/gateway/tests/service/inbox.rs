//! Commits on the bus.

use std::time::Duration;

use bus::{Bus, BusConfig};
use serde_json::json;
use testkit::git::GitRepository;

use crate::forge::Forge;
use crate::harness::{TestGateway, eventually, path, small_service};

async fn publish(gateway: &TestGateway, id: &str, event: serde_json::Value) {
    let payload = serde_json::to_vec(&event).unwrap();
    gateway
        .bus
        .inbox()
        .publish("orders", id, payload.into())
        .await
        .unwrap();
}

/// Waits until the gateway has handled everything before, by a commit that surely makes a run.
async fn handled(gateway: &TestGateway) {
    let marker = small_service("marker");
    let id = uuid::Uuid::new_v4().to_string();
    publish(
        gateway,
        &id,
        json!({ "repository": path(&marker), "ref": "refs/heads/main", "id": id }),
    )
    .await;
    eventually("the marker has a run", || async {
        gateway
            .list_runs()
            .await
            .iter()
            .any(|run| run.repository == path(&marker))
            .then_some(())
    })
    .await;
}

/// The services of all runs but the marker's, sorted.
async fn services(gateway: &TestGateway) -> Vec<String> {
    let runs = gateway.list_runs().await;
    let mut services: Vec<String> = runs
        .into_iter()
        .map(|run| run.service)
        .filter(|service| service != "marker")
        .collect();
    services.sort();
    services
}

/// Waits for exactly these runs: commits of different repositories are not handled one after the other.
async fn have_runs(gateway: &TestGateway, expected: &[&str]) {
    handled(gateway).await;
    eventually("exactly the services with a change have runs", || async {
        (services(gateway).await == expected).then_some(())
    })
    .await;
}

#[tokio::test]
async fn anyone_on_the_bus_can_start_a_run_once() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let event = json!({ "repository": path(&repository), "ref": "refs/heads/main", "id": "42", "actor": "ci" });
    publish(&gateway, "a", event.clone()).await;
    publish(&gateway, "b", event).await;
    have_runs(&gateway, &["orders"]).await;
    let runs = gateway.list_runs().await;
    let runs: Vec<_> = runs.iter().filter(|run| run.service == "orders").collect();
    assert_eq!(
        (
            runs[0].via.as_str(),
            runs[0].actor.as_str(),
            runs[0].version.as_str()
        ),
        ("bus", "ci", "0.1.0")
    );
}

#[tokio::test]
async fn other_branches_and_tags_without_a_version_start_nothing() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    repository.tag("latest").unwrap();
    repository.branch("feature").unwrap();
    repository.commit("feat: Not yet").unwrap();
    repository.switch("main").unwrap();
    let push = |reference: &str| json!({ "repository": path(&repository), "ref": reference, "id": reference });
    for reference in ["refs/heads/feature", "refs/tags/latest"] {
        publish(&gateway, reference, push(reference)).await;
    }
    handled(&gateway).await;
    assert_eq!(services(&gateway).await, Vec::<String>::new());
    repository.tag("v3.0.0").unwrap();
    publish(&gateway, "tag", push("refs/tags/v3.0.0")).await;
    have_runs(&gateway, &["orders"]).await;
}

#[tokio::test]
async fn only_services_that_changed_since_the_push_before_get_a_run() {
    let gateway = TestGateway::start().await;
    let repository = GitRepository::with_files(&[
        ("orders/slipway.yaml", "service: orders\n"),
        ("orders/Dockerfile", ""),
        ("pricing/slipway.yaml", "service: pricing\n"),
        ("pricing/Dockerfile", ""),
    ])
    .unwrap();
    let before = repository.head().unwrap();
    let commit = repository
        .commit_files(&[("pricing/Dockerfile", "FROM scratch\n")], "fix: Price")
        .unwrap();
    let event = json!({ "repository": path(&repository), "ref": "refs/heads/main", "commit": commit, "before": before });
    publish(&gateway, "push", event).await;
    have_runs(&gateway, &["pricing"]).await;
    let gone = json!({ "repository": path(&repository), "ref": "refs/heads/main", "before": "1".repeat(40) });
    publish(&gateway, "forced push", gone).await;
    have_runs(&gateway, &["orders", "pricing", "pricing"]).await;
}

#[tokio::test]
async fn a_proposal_runs_only_the_services_that_it_touches() {
    let gateway = TestGateway::start().await;
    let repository = GitRepository::with_files(&[
        ("orders/slipway.yaml", "service: orders\n"),
        ("orders/Dockerfile", ""),
        ("pricing/slipway.yaml", "service: pricing\n"),
        ("pricing/Dockerfile", ""),
    ])
    .unwrap();
    repository.branch("cheaper").unwrap();
    let commit = repository
        .commit_files(&[("pricing/Dockerfile", "FROM scratch\n")], "fix: Price")
        .unwrap();
    repository.switch("main").unwrap();
    repository
        .commit_files(&[("orders/Dockerfile", "FROM scratch\n")], "fix: Order")
        .unwrap();
    let event = json!({
        "repository": path(&repository), "ref": "refs/heads/cheaper", "commit": commit, "kind": "proposal",
        "number": 3, "target_branch": "main",
    });
    publish(&gateway, "proposal", event).await;
    have_runs(&gateway, &["pricing"]).await;
}

#[tokio::test]
async fn unreadable_commits_do_not_block_the_others() {
    let gateway = TestGateway::start().await;
    gateway
        .bus
        .inbox()
        .publish("orders", "bad", "not json".into())
        .await
        .unwrap();
    publish(
        &gateway,
        "bad too",
        json!({ "repository": "--upload-pack=x", "ref": "main" }),
    )
    .await;
    handled(&gateway).await;
    assert_eq!(services(&gateway).await, Vec::<String>::new());
}

#[tokio::test]
async fn a_commit_that_came_while_no_gateway_ran_is_handled_by_the_next() {
    let mut gateway = TestGateway::start().await;
    gateway.end().await;
    let repository = small_service("orders");
    let event = json!({ "repository": path(&repository), "ref": "refs/heads/main" });
    publish(&gateway, "while away", event).await;
    gateway.begin().await;
    eventually("the commit has a run", || async {
        (services(&gateway).await == ["orders"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_commit_waits_while_its_forge_is_down() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let forge = Forge::of(repository.path()).await;
    forge.set_down(true);
    let event =
        json!({ "repository": forge.url(), "ref": "refs/heads/main", "default_branch": "main" });
    publish(&gateway, "push", event).await;
    eventually("it was tried", || async {
        (forge.refused() > 0).then_some(())
    })
    .await;
    handled(&gateway).await;
    assert_eq!(services(&gateway).await, Vec::<String>::new());
    forge.set_down(false);
    eventually("it was tried again", || async {
        (services(&gateway).await == ["orders"]).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_bus_that_restarts_loses_nothing() {
    let mut gateway = TestGateway::start().await;
    let repository = small_service("orders");
    gateway.start_run(&repository).await;
    gateway.nats.restart().await.unwrap();
    let other = Bus::connect(&BusConfig::new(gateway.nats.url(), "publisher"))
        .await
        .unwrap();
    repository.commit("fix: Again").unwrap();
    let event = json!({ "repository": path(&repository), "ref": "refs/heads/main" });
    other
        .inbox()
        .publish(
            "orders",
            "after",
            serde_json::to_vec(&event).unwrap().into(),
        )
        .await
        .unwrap();
    eventually("both runs are there", || async {
        (services(&gateway).await.len() == 2).then_some(())
    })
    .await;
    other.close(Duration::from_secs(1)).await;
}
