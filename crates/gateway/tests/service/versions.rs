//! Which version a run gets.

use std::collections::BTreeSet;

use bus::aggregates::Log;
use domain::ids::{Digest, RunId};
use domain::release::{Event, Releases};
use domain::stage::{Failure, Outcome};
use domain::version::Level;
use jiff::Timestamp;
use proto::gateway::v1::StartRunRequest;
use semver::Version;

use crate::harness::{TestGateway, eventually, of, small_service};

pub(crate) fn digest(digit: char) -> Digest {
    format!("sha256:{}", digit.to_string().repeat(64))
        .parse()
        .unwrap()
}

/// Appends an event to the releases of a service.
pub(crate) async fn append(gateway: &TestGateway, service: &str, event: Event) {
    let mut event = Some(event);
    let log: Log<Releases> = Log::new(gateway.bus.events());
    log.update(&service.parse().unwrap(), |_| {
        Ok::<_, std::fmt::Error>(event.take())
    })
    .await
    .unwrap();
}

fn failed() -> Outcome {
    Outcome::Failed(Box::new(Failure::because("red")))
}

#[tokio::test]
async fn tags_and_commits_decide() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    repository.tag("v1.4.0").unwrap();
    repository.tag("pricing-v9.0.0").unwrap();
    repository.commit("fix: One").unwrap();
    repository.commit("feat: Two").unwrap();
    let run = gateway.start_run(&repository).await;
    assert_eq!(
        (run.version.as_str(), run.version_because.as_str()),
        ("1.5.0", "minor: feat: Two")
    );
}

#[tokio::test]
async fn a_release_counts_and_a_failed_run_does_not() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let first = gateway.start_run(&repository).await;
    let released = Event::Released {
        run: first.run_id.parse().unwrap(),
        version: Version::new(0, 1, 0),
        repository: "prod.test:5000/orders".to_owned(),
        digest: digest('a'),
        commit: first.commit.clone(),
        at: Timestamp::now(),
    };
    append(&gateway, "orders", released).await;
    gateway.do_stage(&first.run_id, "image", failed()).await;
    repository.commit("feat!: Break it").unwrap();
    let red = gateway.start_run(&repository).await;
    assert_eq!(red.version, "0.2.0");
    gateway.do_stage(&red.run_id, "image", failed()).await;
    repository.commit("fix: Mend it").unwrap();
    let again = gateway.start_run(&repository).await;
    assert_eq!(
        (again.version.as_str(), again.version_because.as_str()),
        ("0.2.0", "major: feat!: Break it")
    );
}

#[tokio::test]
async fn runs_on_their_way_never_share_a_version_also_when_they_start_together() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let runs = futures::future::join_all((0..6).map(|_| gateway.start_run(&repository))).await;
    let versions: BTreeSet<&str> = runs.iter().map(|run| run.version.as_str()).collect();
    assert_eq!(versions.len(), 6, "{versions:?}");
    assert_eq!(versions.first(), Some(&"0.1.0"));
}

#[tokio::test]
async fn two_gateways_never_give_a_version_twice() {
    let gateway = TestGateway::start().await;
    let (another, _running) = gateway.another().await;
    let repository = small_service("orders");
    let runs = (0..8).map(|number| {
        let mut client = if number % 2 == 0 {
            gateway.runs()
        } else {
            another.clone()
        };
        let request = of(&repository);
        async move {
            client
                .start_run(request)
                .await
                .unwrap()
                .into_inner()
                .runs
                .remove(0)
        }
    });
    let runs = futures::future::join_all(runs).await;
    let versions: BTreeSet<&str> = runs.iter().map(|run| run.version.as_str()).collect();
    assert_eq!(versions.len(), 8, "{versions:?}");
    let mut started: Vec<String> = runs.into_iter().map(|run| run.run_id).collect();
    // The other gateway's runs may come to this one a moment later.
    let mut listed = eventually("this gateway has the runs of both", || async {
        let runs = gateway.list_runs().await.into_iter();
        let listed: Vec<String> = runs.map(|run| run.run_id).collect();
        (listed.len() == 8).then_some(listed)
    })
    .await;
    listed.sort();
    started.sort();
    assert_eq!(listed, started);
}

#[tokio::test]
async fn a_tag_that_nothing_follows_is_named() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    repository.tag("v1.4.0").unwrap();
    let run = gateway.start_run(&repository).await;
    assert_eq!(
        (run.version.as_str(), run.version_because.as_str()),
        (
            "1.4.1",
            "patch: no commit since tag v1.4.0, which is on this very commit"
        )
    );
}

#[tokio::test]
async fn a_tag_names_the_version_once() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    repository.tag("v2.0.0").unwrap();
    let tagged = StartRunRequest {
        reference: "v2.0.0".to_owned(),
        ..of(&repository)
    };
    let run = gateway.start_runs(tagged.clone()).await.remove(0);
    assert_eq!(
        (run.version.as_str(), run.version_because.as_str()),
        ("2.0.0", "tag v2.0.0")
    );
    let again = gateway.start_runs(tagged).await.remove(0);
    assert_eq!(again.state, "failed");
    assert!(
        again.reason.contains(&format!(
            "version 2.0.0, which run {} has already",
            run.run_id
        )),
        "{}",
        again.reason
    );
}

#[tokio::test]
async fn a_version_reserved_before_a_crash_is_still_the_run_s() {
    let request_id = "delivery-before-the-crash".to_owned();
    let repository = small_service("orders");
    let request = StartRunRequest {
        request_id,
        ..of(&repository)
    };
    let id: RunId = {
        let gateway = TestGateway::start().await;
        gateway.start_runs(request.clone()).await[0]
            .run_id
            .parse()
            .unwrap()
    };
    let gateway = TestGateway::start().await;
    let (version, level) = (Version::new(0, 7, 0), Level::Minor);
    let reserved = Event::Reserved {
        run: id.clone(),
        version,
        level,
        commit: repository.head().unwrap(),
        at: Timestamp::now(),
    };
    append(&gateway, "orders", reserved).await;
    let orphan = Event::Reserved {
        run: "of-a-run-that-never-came".parse().unwrap(),
        version: Version::new(0, 9, 0),
        level: Level::Minor,
        commit: repository.head().unwrap(),
        at: Timestamp::now() - jiff::SignedDuration::from_mins(5),
    };
    append(&gateway, "orders", orphan).await;
    assert_eq!(gateway.start_run(&repository).await.version, "0.7.1");
    let run = gateway.start_runs(request).await.remove(0);
    assert_eq!(
        (run.run_id.as_str(), run.version.as_str()),
        (id.as_str(), "0.7.0")
    );
}
