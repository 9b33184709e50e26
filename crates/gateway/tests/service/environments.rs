//! What runs where; deploy and roll back.

use bus::aggregates::Log;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::release::Event as ReleaseEvent;
use domain::rollout::{Act, End, Event, Placement, Plan, Rollouts, Step};
use domain::stage::Artifact;
use jiff::Timestamp;
use proto::gateway::v1::{
    self, DeployRequest, GetEnvironmentRequest, GetReleaseRequest, ListEnvironmentsRequest,
    ListReleasesRequest, RollbackRequest,
};
use semver::Version;
use tonic::Code;

use crate::harness::{TestGateway, eventually, made, platform, small_service};
use crate::versions::{append, digest};

pub(crate) async fn published(gateway: &TestGateway, run: &v1::Run, digit: char) {
    let event = ReleaseEvent::CandidatePublished {
        run: run.run_id.parse().unwrap(),
        version: run.version.parse().unwrap(),
        number: 1,
        repository: "dev.test:5000/orders".to_owned(),
        digest: digest(digit),
        at: Timestamp::now(),
    };
    append(gateway, "orders", event).await;
}

pub(crate) async fn released(gateway: &TestGateway, run: &v1::Run, digit: char) {
    let event = ReleaseEvent::Released {
        run: run.run_id.parse().unwrap(),
        version: run.version.parse().unwrap(),
        repository: "prod.test:5000/orders".to_owned(),
        digest: digest(digit),
        commit: run.commit.clone(),
        at: Timestamp::now(),
    };
    append(gateway, "orders", event).await;
}

pub(crate) async fn placed(gateway: &TestGateway, environment: &str, run: &v1::Run, digit: char) {
    let key: (EnvironmentName, ServiceName) =
        (environment.parse().unwrap(), "orders".parse().unwrap());
    let id: RunId = run.run_id.parse().unwrap();
    let placement = Placement {
        run: id.clone(),
        origin: id.clone(),
        order: 1,
        version: run.version.clone(),
        repository: "prod.test:5000/orders".to_owned(),
        digest: digest(digit),
        is_rollback: false,
        at: Timestamp::now(),
    };
    let end = End::Completed {
        address: "http://orders.test".to_owned(),
    };
    let log: Log<Rollouts> = Log::new(gateway.bus.events());
    for event in [
        Event::Started {
            placement,
            plan: None,
        },
        Event::Ended {
            run: id,
            end,
            at: Timestamp::now(),
        },
    ] {
        let mut event = Some(event);
        log.update(&key, |_| Ok::<_, std::fmt::Error>(event.take()))
            .await
            .unwrap();
    }
}

pub(crate) fn deploy(version: &str, environment: &str) -> DeployRequest {
    DeployRequest {
        service: "orders".to_owned(),
        version: version.to_owned(),
        environment: environment.to_owned(),
        ..DeployRequest::default()
    }
}

pub(crate) fn rollback(version: &str) -> RollbackRequest {
    RollbackRequest {
        service: "orders".to_owned(),
        environment: "production".to_owned(),
        version: version.to_owned(),
        reason: "errors".to_owned(),
        ..RollbackRequest::default()
    }
}

fn stages(run: &v1::Run) -> Vec<&str> {
    run.stages.iter().map(|stage| stage.name.as_str()).collect()
}

#[tokio::test]
async fn a_version_is_deployed_from_the_registry_that_feeds_the_environment() {
    let gateway = TestGateway::with_platform(platform(1)).await;
    let run = gateway.start_run(&small_service("orders")).await;
    let early = gateway
        .environments()
        .deploy(deploy("0.1.0", "test"))
        .await
        .unwrap_err();
    assert_eq!(early.code(), Code::FailedPrecondition, "{early:?}");
    assert!(early.message().contains(&run.run_id), "{}", early.message());
    published(&gateway, &run, 'a').await;
    let there = gateway
        .environments()
        .deploy(deploy("0.1.0-rc.1", "test"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            there.kind.as_str(),
            there.environment.as_str(),
            there.version.as_str()
        ),
        ("deploy", "test", "0.1.0")
    );
    assert_eq!(stages(&there), ["deploy:test"]);
    assert_eq!(there.image_digest, digest('a').to_string());
    let production = gateway
        .environments()
        .deploy(deploy("v0.1.0", "production"))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        stages(&production),
        ["approve:production", "promote", "deploy:production"]
    );
    let state = gateway
        .runs
        .get(&production.run_id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    let domain::run::Kind::Deploy(target) = &state.change.kind else {
        panic!("{state:?}")
    };
    assert_eq!(
        (target.repository.as_str(), target.origin.as_str()),
        ("prod.test:5000/orders", run.run_id.as_str())
    );
    for (request, code) in [
        (deploy("9.9.9", "test"), Code::NotFound),
        (deploy("0.1.0", "staging"), Code::NotFound),
        (deploy("newest", "test"), Code::InvalidArgument),
        (deploy("0.1.0-rc.7", "test"), Code::NotFound),
    ] {
        let status = gateway
            .environments()
            .deploy(request.clone())
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{request:?}: {status:?}");
    }
}

#[tokio::test]
async fn a_rollback_goes_to_the_version_before_or_to_the_one_that_is_named() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let nothing = gateway
        .environments()
        .rollback(rollback(""))
        .await
        .unwrap_err();
    assert_eq!(nothing.code(), Code::FailedPrecondition, "{nothing:?}");
    let mut runs = Vec::new();
    for digit in ['a', 'b', 'c'] {
        repository.commit("fix: Go on").unwrap();
        let run = gateway.start_run(&repository).await;
        released(&gateway, &run, digit).await;
        placed(&gateway, "production", &run, digit).await;
        runs.push(run);
    }
    let back = gateway
        .environments()
        .rollback(rollback(""))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (back.kind.as_str(), back.version.as_str()),
        ("rollback", runs[1].version.as_str())
    );
    assert_eq!(
        (stages(&back), back.image_digest.as_str()),
        (vec!["deploy:production"], digest('b').to_string().as_str())
    );
    let named = gateway
        .environments()
        .rollback(rollback(&runs[0].version))
        .await
        .unwrap()
        .into_inner();
    assert_eq!(named.image_digest, digest('a').to_string());
    let same = gateway
        .environments()
        .rollback(rollback(&runs[2].version))
        .await
        .unwrap_err();
    assert_eq!(same.code(), Code::FailedPrecondition);
    let never = gateway
        .environments()
        .rollback(rollback("9.9.9"))
        .await
        .unwrap_err();
    assert_eq!(never.code(), Code::NotFound);
    assert!(
        never.message().contains(&runs[1].version),
        "{}",
        never.message()
    );

    let shown = GetEnvironmentRequest {
        name: "production".to_owned(),
    };
    let shown = gateway
        .environments()
        .get_environment(shown)
        .await
        .unwrap()
        .into_inner();
    assert!(shown.production);
    let service = &shown.services[0];
    assert_eq!(
        (service.version.as_str(), service.previous_version.as_str()),
        (runs[2].version.as_str(), runs[1].version.as_str())
    );
    assert_eq!(
        (service.run_id.as_str(), service.address.as_str()),
        (runs[2].run_id.as_str(), "http://orders.test")
    );
    assert!(service.note.contains("no deployer"), "{}", service.note);
}

#[tokio::test]
async fn releases_are_listed_newest_first_with_where_they_run() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let first = gateway.start_run(&repository).await;
    published(&gateway, &first, 'a').await;
    released(&gateway, &first, 'a').await;
    placed(&gateway, "production", &first, 'a').await;
    let second = gateway.start_run(&repository).await;
    published(&gateway, &second, 'b').await;
    gateway.start_run(&repository).await;
    let image = Artifact::Candidate {
        tag: "0.1.0-rc.1".to_owned(),
        digest: digest('a'),
    };
    gateway.do_stage(&first.run_id, "image", made(image)).await;
    let list = ListReleasesRequest {
        page_size: 1,
        ..Default::default()
    };
    let page = gateway
        .releases()
        .list_releases(list.clone())
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (
            page.releases[0].version.as_str(),
            page.releases[0].repository.as_str()
        ),
        (second.version.as_str(), "")
    );
    assert_eq!(
        page.releases[0].candidates[0].tag,
        format!("{}-rc.1", second.version)
    );
    let rest = ListReleasesRequest {
        page_token: page.next_page_token,
        ..list
    };
    let rest = gateway
        .releases()
        .list_releases(rest)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(
        (rest.releases.len(), rest.next_page_token.as_str()),
        (1, "")
    );
    let release = GetReleaseRequest {
        service: "orders".to_owned(),
        version: "v0.1.0".to_owned(),
    };
    let release = gateway
        .releases()
        .get_release(release)
        .await
        .unwrap()
        .into_inner();
    assert_eq!(release, rest.releases[0]);
    assert_eq!(
        (release.commit, release.environments),
        (first.commit.clone(), vec!["production".to_owned()])
    );
    assert_eq!(
        release.version.parse::<Version>().unwrap(),
        Version::new(0, 1, 0)
    );
    let none = GetReleaseRequest {
        service: "orders".to_owned(),
        version: "7.0.0".to_owned(),
    };
    assert_eq!(
        gateway
            .releases()
            .get_release(none)
            .await
            .unwrap_err()
            .code(),
        Code::NotFound
    );
    let all = gateway
        .environments()
        .list_environments(ListEnvironmentsRequest {})
        .await
        .unwrap()
        .into_inner();
    let names: Vec<&str> = all.environments.iter().map(|e| e.name.as_str()).collect();
    assert_eq!(names, ["test", "production"]);
}

#[tokio::test]
async fn a_version_runs_only_where_its_very_image_does() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await;
    published(&gateway, &run, 'a').await;
    let second = ReleaseEvent::CandidatePublished {
        run: "another".parse().unwrap(),
        version: run.version.parse().unwrap(),
        number: 2,
        repository: "dev.test:5000/orders".to_owned(),
        digest: digest('b'),
        at: Timestamp::now(),
    };
    append(&gateway, "orders", second).await;
    released(&gateway, &run, 'a').await;
    placed(&gateway, "test", &run, 'b').await;
    placed(&gateway, "production", &run, 'a').await;
    let show = || async {
        let request = GetReleaseRequest {
            service: "orders".to_owned(),
            version: "0.1.0".to_owned(),
        };
        let release = gateway.releases().get_release(request).await.unwrap();
        let release = release.into_inner();
        (!release.environments.is_empty()).then_some(release)
    };
    let release = eventually("the rollouts are known", show).await;
    assert_eq!(release.environments, ["production"]);
    let of = |place: usize| release.candidates[place].environments.clone();
    assert_eq!(
        (of(0), of(1)),
        (vec!["production".to_owned()], vec!["test".to_owned()])
    );
}

#[tokio::test]
async fn a_service_that_there_is_not_is_no_empty_list() {
    let gateway = TestGateway::start().await;
    let list = |service: &str| ListReleasesRequest {
        service: service.to_owned(),
        ..Default::default()
    };
    let unknown = gateway.releases().list_releases(list("nope")).await;
    assert_eq!(
        unknown.unwrap_err().message(),
        "there is no service `nope`; no service has had a run yet"
    );
    gateway.start_run(&small_service("orders")).await;
    let unknown = gateway.releases().list_releases(list("nope")).await;
    let unknown = unknown.unwrap_err();
    assert_eq!(
        (unknown.code(), unknown.message()),
        (
            Code::NotFound,
            "there is no service `nope`; there is orders"
        )
    );
    let known = gateway.releases().list_releases(list("orders")).await;
    assert!(known.unwrap().into_inner().releases.is_empty());
}

#[tokio::test]
async fn without_a_version_what_is_there_is_deployed_again_and_changes_of_others_are_overwritten() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await;
    let again = DeployRequest {
        overwrite_changes: true,
        ..deploy("", "test")
    };
    let why = gateway.environments().deploy(again.clone()).await;
    let why = why.unwrap_err();
    assert_eq!(why.code(), Code::FailedPrecondition, "{why:?}");
    assert!(why.message().contains("name the version"), "{why:?}");
    placed(&gateway, "test", &run, 'a').await;
    let repair = gateway.environments().deploy(again).await.unwrap();
    let repair = repair.into_inner();
    assert_eq!(repair.version, run.version);
    let id = repair.run_id.parse().unwrap();
    let state = gateway.runs.get(&id).await.unwrap().unwrap();
    let domain::run::Kind::Deploy(target) = &state.change.kind else {
        panic!("{state:?}")
    };
    assert!(target.overwrites_changes && target.digest == digest('a'));
    assert_eq!(target.origin.as_str(), run.run_id);
}

#[tokio::test]
async fn an_environment_names_the_step_of_a_rollout_under_way() {
    let gateway = TestGateway::start().await;
    let run = gateway.start_run(&small_service("orders")).await;
    let key: (EnvironmentName, ServiceName) = ("test".parse().unwrap(), "orders".parse().unwrap());
    let id: RunId = run.run_id.parse().unwrap();
    let placement = Placement {
        run: id.clone(),
        origin: id.clone(),
        order: 1,
        version: run.version.clone(),
        repository: "dev.test:5000/orders".to_owned(),
        digest: digest('a'),
        is_rollback: false,
        at: Timestamp::now(),
    };
    let plan = Plan {
        steps: vec![
            Step::Weight("25%".parse().unwrap()),
            Step::Pause,
            Step::Retire,
        ],
        ..Plan::default()
    };
    let plan = Some(plan);
    let act = Act::StepEntered { index: 1 };
    let at = Timestamp::now();
    let log: Log<Rollouts> = Log::new(gateway.bus.events());
    for event in [
        Event::Started { placement, plan },
        Event::Acted { run: id, act, at },
    ] {
        let mut event = Some(event);
        log.update(&key, |_| Ok::<_, std::fmt::Error>(event.take()))
            .await
            .unwrap();
    }
    eventually("the step is named", || async {
        let name = "test".to_owned();
        let shown = gateway
            .environments()
            .get_environment(GetEnvironmentRequest { name })
            .await;
        let services = shown.unwrap().into_inner().services;
        let note = services.first().map(|service| service.note.clone());
        note.filter(|note| note.contains(", step 2 of 3 (pause)"))
    })
    .await;
}
