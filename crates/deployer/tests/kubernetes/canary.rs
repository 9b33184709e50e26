//! Canaries without a router: the numbers of replicas decide how much traffic each version gets.

use std::time::Duration;

use anyhow::Result;
use domain::run::Kind;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use serde_json::json;
use testkit::git::GitRepository;
use testkit::load::Load;

use crate::bench::{Bench, answers, eventually, green, red};
use crate::needs_cluster;
use crate::runs::Wish;

/// Three replicas, and a quarter of the requests until a person lets it go on.
const QUARTER: &str = "{ replicas: 3, ready: { http: /healthz }, drain: 1s, deadline: 60s, \
                       strategy: { canary: { steps: [25%, pause, 100%] } } }";

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_gets_its_share_by_replicas_and_then_all_without_a_failed_request() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, QUARTER).await?;
    green(&bench.outcome(&first).await?);
    let address = bench.reachable().await?;
    let all_along = Load::start(address.clone(), 2, Some(100.0));

    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    bench.is_paused(&second).await?;
    assert_eq!(
        bench.cluster.versions().await?,
        ["1.0.0", "1.0.0", "1.0.0", "1.1.0"]
    );
    let share = Load::start(address.clone(), 4, Some(200.0));
    tokio::time::sleep(Duration::from_secs(3)).await;
    let share = share.stop().await;
    share.assert_no_failures();
    let of_two = share.by_body["two"] as f64 / share.total as f64;
    assert!((0.1..0.45).contains(&of_two), "{:?}", share.by_body);
    let preview = bench.cluster.address("shop-preview").await?;
    answers(&preview, "two").await?;

    bench.promote(&second, false).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(bench.cluster.versions().await?, ["1.1.0"; 3]);
    answers(&address, "two").await?;
    all_along.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.names::<Deployment>().await?.len(), 1);
    assert_eq!(bench.cluster.names::<Service>().await?, ["shop"]);
    assert_eq!(bench.live().await?[0].note, "");
    let log = bench.log(&second).await?;
    assert!(
        log.contains("25% of the traffic goes to 1.1.0") && log.contains("waits for a person"),
        "{log}"
    );
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_aborted_canary_is_gone_while_the_version_before_serves() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let half = QUARTER.replace("25%", "60%");
    let first = bench.deploy("1.0.0", &one, QUARTER).await?;
    green(&bench.outcome(&first).await?);
    let address = bench.reachable().await?;
    let load = Load::start(address.clone(), 2, Some(100.0));
    let second = bench.deploy("1.1.0", &two, &half).await?;
    bench.is_paused(&second).await?;
    let there = bench.cluster.versions().await?;
    let new = there.iter().filter(|version| *version == "1.1.0").count();
    assert!(new >= 2 && there.len() <= 4, "{there:?}");

    bench.abort(&second, "the colour is wrong").await?;
    let failure = red(bench.outcome(&second).await?);
    assert!(
        failure
            .reason
            .contains("the colour is wrong; 1.0.0 serves as before"),
        "{failure:?}"
    );
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 3]);
    answers(&address, "one").await?;
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.names::<Deployment>().await?.len(), 1);
    assert_eq!(bench.cluster.names::<Service>().await?, ["shop"]);
    // The numbers of replicas are the release's again: whoever changes them is told.
    assert_eq!(bench.live().await?[0].note, "");
    let third = bench
        .deploy(
            "1.0.0",
            &one,
            &QUARTER.replace("replicas: 3", "replicas: 2"),
        )
        .await?;
    green(&bench.outcome(&third).await?);
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 2]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_canary_that_crashes_is_taken_back_with_its_last_words() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let crashing = bench.image("two", "echo out of luck >&2; exit 3").await?;
    let first = bench.deploy("1.0.0", &one, QUARTER).await?;
    green(&bench.outcome(&first).await?);
    let load = Load::start(bench.reachable().await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &crashing, QUARTER).await?;
    let failure = red(bench.outcome(&second).await?);
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(!report.by_body.contains_key("two"));
    assert!(failure.reason.contains("exit code 3"), "{failure:?}");
    assert!(
        failure
            .last_lines
            .iter()
            .any(|line| line.contains("out of luck")),
        "{failure:?}"
    );
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 3]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn another_deployer_goes_on_at_the_step_where_one_was_killed() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let first = bench.deploy("1.0.0", &one, QUARTER).await?;
    green(&bench.outcome(&first).await?);
    let load = Load::start(bench.reachable().await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &two, QUARTER).await?;
    bench.is_paused(&second).await?;
    bench.kill_deployer().await?;
    // Somebody scales meanwhile: the rollout goes on with its own numbers.
    let name = bench.cluster.names::<Deployment>().await?;
    let stable = bench.cluster.deployment_of("1.0.0").await?;
    assert!(name.contains(&stable), "{name:?}");
    bench
        .cluster
        .apply(&json!({
            "apiVersion": "apps/v1", "kind": "Deployment", "metadata": { "name": stable }, "spec": { "replicas": 5 },
        }))
        .await?;
    bench.promote(&second, false).await?;
    bench.start_deployer()?;
    green(&bench.finally(&second).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.versions().await?, ["1.1.0"; 3]);
    assert_eq!(bench.rollouts().await?.history.len(), 2);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deployer_that_is_killed_on_the_way_back_comes_to_its_end() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let most = QUARTER.replace("25%", "75%");
    let first = bench.deploy("1.0.0", &one, QUARTER).await?;
    green(&bench.outcome(&first).await?);
    let load = Load::start(bench.reachable().await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &two, &most).await?;
    bench.is_paused(&second).await?;
    bench.abort(&second, "not this one").await?;
    eventually("the way back begins", async || {
        let log = bench.log(&second).await?;
        Ok(log.contains("going back").then_some(()))
    })
    .await?;
    bench.kill_deployer().await?;
    bench.start_deployer()?;
    red(bench.finally(&second).await?);
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 3]);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.names::<Deployment>().await?.len(), 1);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_of_configuration_goes_by_steps_and_a_rollback_of_it_does_not() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let with = |settings: &str| {
        QUARTER.replace(
            "{ replicas: 3,",
            &format!("{{ replicas: 2, env: {settings},"),
        )
    };
    let first = bench.deploy("1.0.0", &one, &with("{ A: a }")).await?;
    green(&bench.outcome(&first).await?);
    let load = Load::start(bench.reachable().await?, 2, Some(100.0));
    let second = bench.deploy("1.1.0", &one, &with("{ A: b }")).await?;
    bench.is_paused(&second).await?;
    assert_eq!(
        bench.cluster.settings().await?.len(),
        2,
        "one of each version"
    );
    bench.promote(&second, true).await?;
    green(&bench.outcome(&second).await?);
    let after = bench.cluster.settings().await?;
    assert_eq!(after.len(), 1);

    let back = bench
        .roll_back("1.0.0", &one, &with("{ A: a }"), &first)
        .await?;
    green(&bench.outcome(&back).await?);
    load.stop().await.assert_no_failures();
    assert_ne!(bench.cluster.settings().await?, after);
    assert_eq!(bench.cluster.versions().await?, ["1.0.0"; 2]);
    let log = bench.log(&back).await?;
    assert!(log.contains("steps: 100%, retire"), "{log}");
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_replicas_of_a_team_s_own_manifests_count() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let web = "apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: web }\nspec:\n  replicas: 3\n  selector: { \
               matchLabels: { app: web } }\n  template:\n    metadata: { labels: { app: web } }\n    spec:\n      \
               terminationGracePeriodSeconds: 5\n      containers:\n      - name: web\n        image: shop\n        \
               ports: [{ containerPort: 8080 }]\n        readinessProbe: { httpGet: { path: /healthz, port: 8080 }, \
               periodSeconds: 1 }\n---\napiVersion: v1\nkind: Service\nmetadata: { name: front }\nspec: { selector: { \
               app: web }, ports: [{ port: 8080 }] }\n";
    let repository = GitRepository::with_files(&[("k8s/web.yaml", web)])?;
    let bring = async |version, digest| {
        let deploy = "{ manifests: k8s, deadline: 60s, strategy: { canary: { steps: [25%, pause, 100%] } } }";
        let wish = Wish {
            version,
            digest,
            deploy,
            kind: Kind::Change,
            repository: Some(&repository),
        };
        bench.submit(wish).await
    };
    green(&bench.outcome(&bring("1.0.0", &one).await?).await?);
    let second = bring("1.1.0", &two).await?;
    bench.is_paused(&second).await?;
    assert_eq!(
        bench.cluster.versions().await?,
        ["1.0.0", "1.0.0", "1.0.0", "1.1.0"]
    );
    bench.promote(&second, false).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(bench.cluster.versions().await?, ["1.1.0"; 3]);
    answers(&bench.cluster.address("front").await?, "two").await?;
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_held_canary_that_crashed_goes_on_after_a_retry_when_its_reason_is_gone() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let one = bench.server("one").await?;
    let moody = bench
        .image(
            "two",
            "[ \"$MOOD\" = good ] || exit 3; exec httpd -f -p $PORT -h /www",
        )
        .await?;
    let first = bench.deploy("1.0.0", &one, QUARTER).await?;
    green(&bench.outcome(&first).await?);
    let mood = |is: &str| {
        json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": { "name": "mood" }, "stringData": { "is": is },
        })
    };
    bench.cluster.apply(&mood("bad")).await?;
    let deploy = format!(
        "{{ replicas: 3, ready: {{ http: /healthz }}, drain: 1s, deadline: 60s, env: {{ MOOD: {{ secret: \
         'kubernetes:{}/mood/is' }} }}, strategy: {{ canary: {{ on_failure: hold, steps: [25%, 100%] }} }} }}",
        bench.test
    );
    let second = bench.deploy("1.1.0", &moody, &deploy).await?;
    bench.is_paused(&second).await?;
    bench.cluster.apply(&mood("good")).await?;
    bench.retry(&second).await?;
    green(&bench.outcome(&second).await?);
    assert_eq!(bench.cluster.versions().await?, ["1.1.0"; 3]);
    bench.finish().await
}

#[tokio::test(flavor = "multi_thread")]
async fn what_serves_stays_though_a_secret_of_it_would_be_another_today() -> Result<()> {
    needs_cluster!();
    let mut bench = Bench::start().await?;
    bench.start_deployer()?;
    let (one, two) = (bench.server("one").await?, bench.server("two").await?);
    let secret = bench.file("secret");
    std::fs::write(&secret, "old")?;
    let deploy = QUARTER.replace(
        "{ replicas: 3,",
        &format!(
            "{{ replicas: 3, env: {{ TOKEN: {{ secret: 'file:{}' }} }},",
            secret.display()
        ),
    );
    let first = bench.deploy("1.0.0", &one, &deploy).await?;
    green(&bench.outcome(&first).await?);
    let pods = bench.cluster.pod_names("1.0.0").await?;
    let load = Load::start(bench.reachable().await?, 2, Some(100.0));
    std::fs::write(&secret, "new")?;
    let second = bench.deploy("1.1.0", &two, &deploy).await?;
    bench.is_paused(&second).await?;
    assert_eq!(
        bench.cluster.pod_names("1.0.0").await?,
        pods,
        "they serve on"
    );
    bench.promote(&second, false).await?;
    green(&bench.outcome(&second).await?);
    load.stop().await.assert_no_failures();
    assert_eq!(bench.cluster.versions().await?, ["1.1.0"; 3]);
    bench.finish().await
}
