//! What the gateway learns from the other services, and what it says when they don't answer.

use std::net::SocketAddr;

use domain::platform::PlatformSpec;
use gateway::PartUrls;
use proto::builder::v1::builder_service_server::{BuilderService, BuilderServiceServer};
use proto::builder::v1::{Capacity, GetCapacityRequest, InspectWorkspaceRequest, Workspace};
use proto::deployer::v1::deployer_service_server::{DeployerService, DeployerServiceServer};
use proto::deployer::v1::{
    GetLiveStateRequest, LiveService, LiveState, PreviewDeploymentRequest, Replica,
};
use proto::gateway::v1::{GetEnvironmentRequest, GetStatusRequest, Part};
use proto::preview::v1::DeploymentPreview;
use proto::registry_promoter::v1::registry_promoter_service_server::{
    RegistryPromoterService, RegistryPromoterServiceServer,
};
use proto::registry_promoter::v1::{
    CheckRegistriesRequest, CheckRegistriesResponse, InspectRequest, Inspection, RegistryCheck,
};
use service_kit::auth::{Secret, Tokens};
use service_kit::grpc::Server;
use testkit::git::GitRepository;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::environments::placed;
use crate::harness::{TOKEN, TestGateway, eventually, platform};

#[derive(Clone)]
struct Fake;

#[tonic::async_trait]
impl BuilderService for Fake {
    async fn get_capacity(
        &self,
        _: Request<GetCapacityRequest>,
    ) -> Result<Response<Capacity>, Status> {
        Ok(Response::new(Capacity {
            worker_id: "builder-1".to_owned(),
            engine_id: "engine".to_owned(),
            slots: 4,
            slots_in_use: 1,
        }))
    }

    async fn inspect_workspace(
        &self,
        _: Request<InspectWorkspaceRequest>,
    ) -> Result<Response<Workspace>, Status> {
        Err(Status::unimplemented("not asked here"))
    }
}

#[tonic::async_trait]
impl RegistryPromoterService for Fake {
    async fn inspect(&self, _: Request<InspectRequest>) -> Result<Response<Inspection>, Status> {
        Err(Status::unimplemented("not asked here"))
    }

    async fn check_registries(
        &self,
        _: Request<CheckRegistriesRequest>,
    ) -> Result<Response<CheckRegistriesResponse>, Status> {
        let check = |name: &str, ok: bool, detail: &str| RegistryCheck {
            name: name.to_owned(),
            address: format!("{name}.test"),
            ok,
            detail: detail.to_owned(),
        };
        let registries = vec![
            check("development", true, ""),
            check("production", false, "it is down"),
        ];
        Ok(Response::new(CheckRegistriesResponse { registries }))
    }
}

#[tonic::async_trait]
impl DeployerService for Fake {
    async fn get_live_state(
        &self,
        request: Request<GetLiveStateRequest>,
    ) -> Result<Response<LiveState>, Status> {
        let replica = |ready| Replica {
            ready,
            version: "0.1.0".to_owned(),
            ..Replica::default()
        };
        let service = LiveService {
            service: "orders".to_owned(),
            address: format!("http://orders.{}", request.into_inner().environment),
            replicas: vec![replica(true), replica(false)],
            note: "one replica restarts".to_owned(),
        };
        Ok(Response::new(LiveState {
            services: vec![service],
        }))
    }

    /// What it was asked comes back as notes. An image of `f` only has no manifests.
    async fn preview_deployment(
        &self,
        request: Request<PreviewDeploymentRequest>,
    ) -> Result<Response<DeploymentPreview>, Status> {
        let request = request.into_inner();
        if request.image_digest.ends_with('f') {
            let why = "the manifests of orders can't be had: there is no `k8s`";
            return Err(Status::failed_precondition(why));
        }
        Ok(Response::new(DeploymentPreview {
            version: request.version.clone(),
            notes: vec![
                format!("from {}", request.repository),
                format!("available in {}", request.available_repository),
                format!("made by {}", request.origin_run_id),
            ],
            ..DeploymentPreview::default()
        }))
    }
}

/// Serves a fake to callers with the services' own token.
macro_rules! serve {
    ($serving:expr, $stop:expr, $service:expr) => {{
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address: SocketAddr = listener.local_addr().unwrap();
        let tokens = Tokens::single("gateway", &Secret::new(TOKEN));
        let server = Server::new(tokens, proto::DESCRIPTORS);
        $serving.spawn(server.serve($service, listener, $stop.clone()));
        Some(format!("http://{address}"))
    }};
}

pub(crate) async fn with_parts(
    platform: PlatformSpec,
) -> (TestGateway, CancellationToken, JoinSet<anyhow::Result<()>>) {
    let (stop, mut serving) = (CancellationToken::new(), JoinSet::new());
    let parts = PartUrls {
        builder_url: serve!(serving, stop, BuilderServiceServer::new(Fake)),
        test_runner_url: Some("http://127.0.0.1:1".to_owned()),
        registry_promoter_url: serve!(serving, stop, RegistryPromoterServiceServer::new(Fake)),
        deployer_url: serve!(serving, stop, DeployerServiceServer::new(Fake)),
    };
    (
        TestGateway::with_parts(platform, parts).await,
        stop,
        serving,
    )
}

#[tokio::test]
async fn the_status_has_every_part_and_what_is_wrong_with_it() {
    let (gateway, _stop, _serving) = with_parts(platform(0)).await;
    let parts = gateway
        .system()
        .get_status(GetStatusRequest {})
        .await
        .unwrap()
        .into_inner()
        .parts;
    let part = |name: &str| -> &Part { parts.iter().find(|part| part.name == name).unwrap() };
    assert_eq!(part("builder").detail, "builder-1: 1 of 4 slots in use");
    for (name, ok) in [
        ("nats", true),
        ("builder", true),
        ("test-runner", false),
        ("registry-promoter", true),
        ("development registry", true),
        ("production registry", false),
        ("deployer", true),
    ] {
        assert_eq!(part(name).ok, ok, "{:?}", part(name));
    }
    assert!(
        part("test-runner").detail.contains("is it running"),
        "{:?}",
        part("test-runner")
    );
    assert!(part("production registry").detail.contains("it is down"));
}

#[tokio::test]
async fn an_environment_shows_what_really_runs_and_survives_a_deployer_that_is_gone() {
    let (gateway, stop, serving) = with_parts(platform(0)).await;
    let file = "service: orders\ndeploy: { port: 8080, replicas: 3 }\n";
    let orders = [("slipway.yaml", file), ("Dockerfile", "FROM scratch\n")];
    let run = gateway
        .start_run(&GitRepository::with_files(&orders).unwrap())
        .await;
    placed(&gateway, "test", &run, 'a').await;
    let show = || async {
        let request = GetEnvironmentRequest {
            name: "test".to_owned(),
        };
        let shown = gateway
            .environments()
            .get_environment(request)
            .await
            .unwrap()
            .into_inner();
        shown
            .services
            .into_iter()
            .find(|service| service.version == "0.1.0")
    };
    let live = eventually("the rollout is shown", show).await;
    assert_eq!(
        (live.replicas_ready, live.replicas, live.address.as_str()),
        (1, 3, "http://orders.test"),
        "three are wanted, two are there, one is ready"
    );
    assert_eq!(live.note, "one replica restarts");
    stop.cancel();
    serving.join_all().await;
    let degraded = show().await.unwrap();
    assert_eq!((degraded.version.as_str(), degraded.replicas), ("0.1.0", 3));
    assert!(live.is_live_known && !degraded.is_live_known);
    assert!(
        degraded.note.contains("does not answer"),
        "{}",
        degraded.note
    );
}
