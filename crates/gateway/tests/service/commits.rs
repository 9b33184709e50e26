//! From a commit to its runs, or to the reason why not.

use proto::gateway::v1::{self, StartRunRequest};
use testkit::git::GitRepository;

use crate::harness::{TestGateway, of, path, platform, small_service};

fn stages(run: &v1::Run) -> Vec<&str> {
    run.stages.iter().map(|stage| stage.name.as_str()).collect()
}

#[tokio::test]
async fn a_commit_becomes_a_run_with_its_stages_planned_and_its_first_stage_ready() {
    let gateway = TestGateway::with_platform(platform(1)).await;
    let file = "service: orders\nbuild: { image: \"rust:1\", run: [make] }\ntest:\n  unit: { run: [make test] }\n";
    let repository =
        GitRepository::with_files(&[("slipway.yaml", file), ("Dockerfile", "FROM scratch\n")])
            .unwrap();
    let run = gateway.start_run(&repository).await;
    let expected = [
        "build",
        "unit-test",
        "image",
        "publish",
        "deploy:test",
        "approve:production",
        "promote",
    ];
    assert_eq!(
        stages(&run),
        [&expected[..], &["deploy:production"]].concat()
    );
    assert_eq!(
        (run.service.as_str(), run.kind.as_str(), run.state.as_str()),
        ("orders", "change", "queued")
    );
    assert_eq!(
        (run.version.as_str(), run.reference.as_str()),
        ("0.1.0", "main")
    );
    assert_eq!(
        (run.subject.as_str(), run.author.as_str()),
        ("feat: Start", "Ada Author <ada@example.com>")
    );
    assert_eq!((run.actor.as_str(), run.via.as_str()), ("ada", "grpc"));
    assert_eq!(run.commit, repository.head().unwrap());
    assert_eq!(run.stages[0].state, "queued");
    let mut jobs = gateway
        .bus
        .jobs()
        .deliveries(
            bus::JobKind::Build,
            None,
            bus::DeliveryOptions::new(1, std::time::Duration::from_secs(5)),
        )
        .await
        .unwrap();
    let job = tokio::time::timeout(std::time::Duration::from_secs(10), jobs.next())
        .await
        .unwrap();
    let job: proto::job::v1::Job = prost::Message::decode(job.payload().clone()).unwrap();
    assert_eq!(
        (job.run_id, job.stage.as_str(), job.attempt),
        (run.run_id.clone(), "build", 1)
    );
    assert_eq!(gateway.list_runs().await, [run]);
}

#[tokio::test]
async fn the_same_request_twice_starts_one_run_also_at_the_same_time() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let request = StartRunRequest {
        request_id: "delivery-1".to_owned(),
        ..of(&repository)
    };
    let twice =
        futures::future::join_all((0..4).map(|_| gateway.start_runs(request.clone()))).await;
    let ids: Vec<&str> = twice.iter().map(|runs| runs[0].run_id.as_str()).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    repository.commit("feat: More").unwrap();
    assert_eq!(gateway.start_runs(request).await[0].run_id, ids[0]);
    assert_eq!(gateway.list_runs().await.len(), 1);
}

#[tokio::test]
async fn a_dockerfile_alone_is_enough() {
    let gateway = TestGateway::start().await;
    let repository = GitRepository::with_files(&[("Dockerfile", "FROM scratch\n")]).unwrap();
    let named = StartRunRequest {
        service: "cart".to_owned(),
        ..of(&repository)
    };
    let run = &gateway.start_runs(named).await[0];
    assert_eq!(
        (run.service.as_str(), run.state.as_str()),
        ("cart", "queued")
    );
    assert_eq!(stages(run)[0], "image");
    let guessed = gateway.start_run(&repository).await;
    assert_eq!(guessed.state, "queued", "{}", guessed.reason);
}

#[tokio::test]
async fn what_is_wrong_becomes_a_failed_run_that_explains_it() {
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    let broken = GitRepository::with_files(&[
        ("slipway.yaml", "service: orders\nbiuld: {}\n"),
        ("Dockerfile", ""),
    ])
    .unwrap();
    let no_file = GitRepository::with_files(&[("README.md", "hello")]).unwrap();
    let no_dockerfile =
        GitRepository::with_files(&[("slipway.yaml", "service: orders\n")]).unwrap();
    let environment = "service: orders\ndeploy: { environments: { prodution: { replicas: 2 } } }\n";
    let environment =
        GitRepository::with_files(&[("slipway.yaml", environment), ("Dockerfile", "")]).unwrap();
    let empty = GitRepository::empty().unwrap();
    let reference = |name: &str| StartRunRequest {
        reference: name.to_owned(),
        ..of(&repository)
    };
    let missing = StartRunRequest {
        repository: "/nowhere/at-all".to_owned(),
        ..Default::default()
    };
    let nobody = StartRunRequest {
        repository: "http://127.0.0.1:1/team/pay.git".to_owned(),
        ..Default::default()
    };
    for (request, service, reasons) in [
        (missing, "at-all", vec!["/nowhere/at-all", "does not exist"]),
        (
            nobody,
            "pay",
            vec!["http://127.0.0.1:1/team/pay.git", "cannot be reached"],
        ),
        (
            reference("mian"),
            "",
            vec!["no branch, tag or commit", "did you mean \"main\"?"],
        ),
        (
            of(&broken),
            "orders",
            vec!["slipway.yaml:2:1", "biuld", "did you mean `build`?"],
        ),
        (
            of(&no_file),
            "",
            vec!["neither a slipway.yaml nor a Dockerfile"],
        ),
        (
            of(&no_dockerfile),
            "orders",
            vec!["slipway.yaml", "`Dockerfile` does not exist"],
        ),
        (
            of(&environment),
            "orders",
            vec!["slipway.yaml:2", "prodution", "did you mean `production`?"],
        ),
        (of(&empty), "", vec!["is empty: push a commit first"]),
        (
            StartRunRequest {
                service: "pricing".to_owned(),
                ..of(&repository)
            },
            "pricing",
            vec!["`pricing`", "`orders`"],
        ),
    ] {
        let runs = gateway.start_runs(request.clone()).await;
        assert_eq!(runs.len(), 1, "{request:?}: {runs:?}");
        assert_eq!(runs[0].state, "failed", "{:?}", runs[0]);
        for reason in reasons {
            assert!(
                runs[0].reason.contains(reason),
                "{request:?}: {}",
                runs[0].reason
            );
        }
        assert!(
            service.is_empty() || runs[0].service == service,
            "{:?}",
            runs[0]
        );
        assert_eq!(gateway.get_run(&runs[0].run_id).await, runs[0]);
    }
    assert_eq!(gateway.list_runs().await.len(), 9);
}

#[tokio::test]
async fn what_means_nothing_is_an_invalid_argument_that_names_the_field() {
    use tonic_types::StatusExt as _;
    let gateway = TestGateway::start().await;
    let repository = small_service("orders");
    for (request, field) in [
        (StartRunRequest::default(), "repository"),
        (
            StartRunRequest {
                repository: "orders".to_owned(),
                ..Default::default()
            },
            "repository",
        ),
        (
            StartRunRequest {
                reference: "--upload-pack=x".to_owned(),
                ..of(&repository)
            },
            "reference",
        ),
        (
            StartRunRequest {
                service: "Or ders".to_owned(),
                ..of(&repository)
            },
            "service",
        ),
        (
            StartRunRequest {
                request_id: "x".repeat(3_000),
                ..of(&repository)
            },
            "request_id",
        ),
    ] {
        let status = gateway.runs().start_run(request).await.unwrap_err();
        assert_eq!(status.code(), tonic::Code::InvalidArgument, "{status:?}");
        let details = status.get_details_bad_request().unwrap();
        assert_eq!(details.field_violations[0].field, field);
    }
    assert!(gateway.list_runs().await.is_empty());
}

#[tokio::test]
async fn a_monorepo_has_a_run_for_each_service_and_one_mistake_stops_only_its_own() {
    let gateway = TestGateway::start().await;
    let repository = GitRepository::with_files(&[
        ("orders/slipway.yaml", "service: orders\nneeds: [pricing]\n"),
        ("orders/Dockerfile", ""),
        ("pricing/slipway.yaml", "service: pricing\n"),
        ("pricing/Dockerfile", ""),
        ("cart/slipway.yaml", "service: cart\nteam: [1]\n"),
        ("cart/Dockerfile", ""),
    ])
    .unwrap();
    let mut runs = gateway.start_runs(of(&repository)).await;
    runs.sort_by(|a, b| a.service.cmp(&b.service));
    let states: Vec<(&str, &str)> = runs
        .iter()
        .map(|r| (r.service.as_str(), r.state.as_str()))
        .collect();
    assert_eq!(
        states,
        [
            ("cart", "failed"),
            ("orders", "queued"),
            ("pricing", "queued")
        ]
    );
    let one = StartRunRequest {
        service: "pricing".to_owned(),
        ..of(&repository)
    };
    let one = gateway.start_runs(one).await;
    assert_eq!(
        one.iter().map(|r| r.service.as_str()).collect::<Vec<_>>(),
        ["pricing"]
    );
    let created = gateway
        .runs
        .get(&one[0].run_id.parse().unwrap())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(created.change.path, "pricing");
}

#[tokio::test]
async fn a_newer_push_of_a_proposal_supersedes_the_older_run() {
    let gateway = TestGateway::start().await;
    let (repository, other) = (small_service("orders"), small_service("orders"));
    let proposal = |repository, number: &str| StartRunRequest {
        proposal: number.to_owned(),
        ..of(repository)
    };
    let first = gateway
        .start_runs(proposal(&repository, "7"))
        .await
        .remove(0);
    assert_eq!(
        (first.kind.as_str(), first.version.as_str()),
        ("proposal", "")
    );
    assert_eq!(stages(&first), ["image"]);
    let unrelated = gateway
        .start_runs(proposal(&repository, "8"))
        .await
        .remove(0);
    let elsewhere = gateway.start_runs(proposal(&other, "7")).await.remove(0);
    assert_ne!(path(&repository), path(&other));
    repository.commit("fix: Again").unwrap();
    let second = gateway
        .start_runs(proposal(&repository, "7"))
        .await
        .remove(0);
    let first = gateway.get_run(&first.run_id).await;
    let reason = format!("cancelled by slipway: superseded by run {}", second.run_id);
    assert_eq!((first.state.as_str(), first.reason), ("cancelled", reason));
    for run in [second, unrelated, elsewhere] {
        assert_eq!(gateway.get_run(&run.run_id).await.state, "queued");
    }
}
