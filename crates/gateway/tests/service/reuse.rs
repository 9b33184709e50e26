//! A commit that was carried before: what was made then is used again.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use domain::stage::Artifact;
use gateway::PartUrls;
use proto::builder::v1::builder_service_server::{BuilderService, BuilderServiceServer};
use proto::builder::v1::{Capacity, GetCapacityRequest, InspectWorkspaceRequest, Workspace};
use proto::gateway::v1::{self, StartRunRequest};
use proto::registry_promoter::v1::registry_promoter_service_server::{
    RegistryPromoterService, RegistryPromoterServiceServer,
};
use proto::registry_promoter::v1::{
    CheckRegistriesRequest, CheckRegistriesResponse, InspectRequest, Inspection,
};
use service_kit::auth::{Secret, Tokens};
use service_kit::grpc::Server;
use testkit::git::GitRepository;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::{Request, Response, Status};

use crate::harness::{TOKEN, TestGateway, made, of, platform, small_service, succeeded};
use crate::versions::digest;

const WITH_BUILD: &str = "\
service: orders
build: { image: rust, run: make }
test: { integration: { run: make check } }
";

/// What registry and builder say of everything that they are asked for.
#[derive(Clone)]
struct Keepers {
    registry_holds: Arc<AtomicBool>,
    registry_is_silent: Arc<AtomicBool>,
    builder_has: Arc<AtomicBool>,
}

#[tonic::async_trait]
impl RegistryPromoterService for Keepers {
    async fn inspect(
        &self,
        request: Request<InspectRequest>,
    ) -> Result<Response<Inspection>, Status> {
        let request = request.into_inner();
        if self.registry_is_silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        let asked = (request.repository.as_str(), request.reference.as_str());
        let exists = self.registry_holds.load(Ordering::SeqCst)
            && asked == ("dev.test:5000/orders", digest('a').as_str());
        Ok(Response::new(Inspection {
            exists,
            ..Inspection::default()
        }))
    }

    async fn check_registries(
        &self,
        _: Request<CheckRegistriesRequest>,
    ) -> Result<Response<CheckRegistriesResponse>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

#[tonic::async_trait]
impl BuilderService for Keepers {
    async fn get_capacity(
        &self,
        _: Request<GetCapacityRequest>,
    ) -> Result<Response<Capacity>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn inspect_workspace(
        &self,
        request: Request<InspectWorkspaceRequest>,
    ) -> Result<Response<Workspace>, Status> {
        let is_ours = request.into_inner().image == "slipway-workspace/orders:r1";
        let exists = is_ours && self.builder_has.load(Ordering::SeqCst);
        Ok(Response::new(Workspace { exists }))
    }
}

/// A gateway with a registry-promoter and a builder that have everything, until the test says otherwise.
struct Bed {
    gateway: TestGateway,
    keepers: Keepers,
    _stop: DropGuard,
    _serving: JoinSet<anyhow::Result<()>>,
}

impl Bed {
    async fn start() -> Self {
        let keepers = Keepers {
            registry_holds: Arc::new(true.into()),
            registry_is_silent: Arc::new(false.into()),
            builder_has: Arc::new(true.into()),
        };
        let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
        let server = || {
            let tokens = Tokens::single("gateway", &Secret::new(TOKEN));
            Server::new(tokens, proto::DESCRIPTORS)
        };
        let (promoter, promoter_url) = listener().await;
        let service = RegistryPromoterServiceServer::new(keepers.clone());
        serving.spawn(server().serve(service, promoter, stop.clone()));
        let (builder, builder_url) = listener().await;
        let service = BuilderServiceServer::new(keepers.clone());
        serving.spawn(server().serve(service, builder, stop.clone()));
        let parts = PartUrls {
            builder_url: Some(builder_url),
            registry_promoter_url: Some(promoter_url),
            ..PartUrls::default()
        };
        Self {
            gateway: TestGateway::with_parts(platform(0), parts).await,
            keepers,
            _stop: stop.drop_guard(),
            _serving: serving,
        }
    }

    /// A run of the newest commit, as far as its candidate.
    async fn carry(&self, repository: &GitRepository) -> v1::Run {
        let run = self.gateway.start_run(repository).await;
        let (tag, engine) = (format!("run-{}", run.run_id), "engine-1".to_owned());
        for stage in &run.stages {
            let outcome = match stage.name.as_str() {
                "build" => made(Artifact::Workspace {
                    image: "slipway-workspace/orders:r1".to_owned(),
                    engine: engine.clone(),
                }),
                "image" => made(Artifact::Image {
                    repository: "dev.test:5000/orders".to_owned(),
                    tag: tag.clone(),
                    digest: digest('a'),
                    engine: engine.clone(),
                }),
                "publish" => made(Artifact::Candidate {
                    tag: format!("{}-rc.1", run.version),
                    digest: digest('a'),
                }),
                _ => break,
            };
            self.gateway
                .do_stage(&run.run_id, &stage.name, outcome)
                .await;
        }
        run
    }
}

async fn listener() -> (TcpListener, String) {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    (listener, url)
}

fn stages(run: &v1::Run) -> Vec<(&str, &str)> {
    run.stages
        .iter()
        .map(|stage| (stage.name.as_str(), stage.state.as_str()))
        .collect()
}

/// The run was planned as if the commit was new.
fn is_made_anew(run: &v1::Run) -> bool {
    run.stages[0].state == "queued" && run.stages.iter().all(|stage| stage.state != "skipped")
}

#[tokio::test]
async fn what_was_made_of_a_commit_is_used_again_and_named() {
    let bed = Bed::start().await;
    let repository = small_service("orders");
    let first = bed.carry(&repository).await;
    let again = bed.gateway.start_run(&repository).await;
    let expected = [
        ("image", "skipped"),
        ("publish", "skipped"),
        ("deploy:test", "queued"),
        ("promote", "pending"),
        ("deploy:production", "pending"),
    ];
    assert_eq!(stages(&again), expected);
    assert_eq!(
        (&again.version, &again.version_because),
        (&first.version, &first.version_because)
    );
    assert_eq!(again.image_digest, digest('a').to_string());
    for stage in &again.stages[..2] {
        let named = format!("the same as in run {}", first.run_id);
        assert!(stage.reason.starts_with(&named), "{}", stage.reason);
        assert_eq!((stage.attempt, stage.started_at), (0, None));
    }
    assert_ne!(again.run_id, first.run_id);

    bed.gateway
        .do_stages(
            &again.run_id,
            &["deploy:test", "promote", "deploy:production"],
        )
        .await;
    assert_eq!(bed.gateway.get_run(&again.run_id).await.state, "succeeded");
    let third = bed.gateway.start_run(&repository).await;
    assert_eq!(stages(&third)[..2], expected[..2]);
    assert!(
        third.stages[0].reason.contains(&first.run_id),
        "the one that built it is named"
    );
}

#[tokio::test]
async fn a_fresh_run_makes_everything_anew() {
    let bed = Bed::start().await;
    let repository = small_service("orders");
    bed.carry(&repository).await;
    let fresh = StartRunRequest {
        fresh: true,
        ..of(&repository)
    };
    let run = bed.gateway.start_runs(fresh).await.remove(0);
    assert!(is_made_anew(&run), "{run:?}");
    assert_eq!(run.version, "0.1.1");
}

#[tokio::test]
async fn what_is_not_there_any_more_is_made_anew() {
    let bed = Bed::start().await;
    let repository = small_service("orders");
    bed.carry(&repository).await;
    bed.keepers.registry_holds.store(false, Ordering::SeqCst);
    assert!(is_made_anew(&bed.carry(&repository).await), "it is gone");
    bed.keepers.registry_holds.store(true, Ordering::SeqCst);
    bed.keepers.registry_is_silent.store(true, Ordering::SeqCst);
    assert!(
        is_made_anew(&bed.carry(&repository).await),
        "nobody says so"
    );
    bed.keepers
        .registry_is_silent
        .store(false, Ordering::SeqCst);
    assert!(!is_made_anew(&bed.gateway.start_run(&repository).await));
}

#[tokio::test]
async fn a_workspace_that_tests_need_has_to_be_there_too() {
    let bed = Bed::start().await;
    let files = [
        ("slipway.yaml", WITH_BUILD),
        ("Dockerfile", "FROM scratch\n"),
    ];
    let repository = GitRepository::with_files(&files).unwrap();
    bed.carry(&repository).await;
    let again = bed.gateway.start_run(&repository).await;
    assert_eq!(
        stages(&again)[..3],
        ["build", "image", "publish"].map(|stage| (stage, "skipped"))
    );
    bed.keepers.builder_has.store(false, Ordering::SeqCst);
    assert!(is_made_anew(&bed.gateway.start_run(&repository).await));
}

#[tokio::test]
async fn an_older_commit_and_an_unfinished_run_are_no_use() {
    let bed = Bed::start().await;
    let repository = small_service("orders");
    let first = bed.carry(&repository).await;
    let older = repository.head().unwrap();
    repository.commit("feat: More").unwrap();
    let newer = bed.gateway.start_run(&repository).await;
    assert!(is_made_anew(&newer));
    assert!(
        is_made_anew(&bed.gateway.start_run(&repository).await),
        "it was not built yet"
    );
    let request = StartRunRequest {
        reference: older,
        ..of(&repository)
    };
    let back = bed.gateway.start_runs(request).await.remove(0);
    assert!(is_made_anew(&back), "{back:?}");
    assert!(![&first.version, &newer.version].contains(&&back.version));
}

#[tokio::test]
async fn proposals_and_tags_are_carried_as_always() {
    let bed = Bed::start().await;
    let repository = small_service("orders");
    bed.carry(&repository).await;
    let proposal = StartRunRequest {
        proposal: "1".to_owned(),
        ..of(&repository)
    };
    assert!(is_made_anew(&bed.gateway.start_runs(proposal).await[0]));
    repository.tag("v3.0.0").unwrap();
    let tagged = StartRunRequest {
        reference: "v3.0.0".to_owned(),
        ..of(&repository)
    };
    let run = bed.gateway.start_runs(tagged).await.remove(0);
    assert!(is_made_anew(&run));
    assert_eq!(run.version, "3.0.0");
}

#[tokio::test]
async fn the_same_commit_started_many_times_at_once_stays_one_version() {
    let bed = Bed::start().await;
    let repository = small_service("orders");
    let first = bed.carry(&repository).await;
    let (another, _running) = bed.gateway.another().await;
    let runs = (0..6).map(|number| {
        let mut client = if number % 2 == 0 {
            bed.gateway.runs()
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
    assert_eq!(versions, BTreeSet::from([first.version.as_str()]));
    let ids: BTreeSet<&str> = runs.iter().map(|run| run.run_id.as_str()).collect();
    assert_eq!(ids.len(), 6);
}

#[tokio::test]
async fn the_same_request_again_is_the_same_run_also_after_everything_is_gone() {
    let bed = Bed::start().await;
    let repository = small_service("orders");
    bed.carry(&repository).await;
    let request = StartRunRequest {
        request_id: "delivery-1".to_owned(),
        ..of(&repository)
    };
    let run = bed.gateway.start_runs(request.clone()).await.remove(0);
    bed.keepers.registry_holds.store(false, Ordering::SeqCst);
    bed.gateway
        .do_stage(&run.run_id, "deploy:test", succeeded())
        .await;
    let same = bed.gateway.start_runs(request).await.remove(0);
    assert_eq!(same.run_id, run.run_id);
    assert_eq!(
        stages(&same)[1..3],
        [("publish", "skipped"), ("deploy:test", "succeeded")]
    );
}
