//! What may be asked of a deployer.

use proto::deployer::v1::deployer_service_server::{DeployerService, DeployerServiceServer};
use proto::deployer::v1::{GetLiveStateRequest, LiveState, PreviewDeploymentRequest};
use proto::preview::v1::DeploymentPreview;
use service_kit::auth::Tokens;
use service_kit::grpc::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::preview::preview;
use crate::service::Deployer;

/// Answers questions about environments.
pub(crate) struct Questions {
    deployer: Deployer,
}

impl Questions {
    pub(crate) fn new(deployer: Deployer) -> Self {
        Self { deployer }
    }

    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        tokens: Tokens,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        Server::new(tokens, proto::DESCRIPTORS)
            .serve(DeployerServiceServer::new(self), listener, stop)
            .await
    }
}

#[tonic::async_trait]
impl DeployerService for Questions {
    async fn get_live_state(
        &self,
        request: Request<GetLiveStateRequest>,
    ) -> Result<Response<LiveState>, Status> {
        let name = request.into_inner().environment;
        let environment = name
            .parse()
            .map_err(|error| Status::invalid_argument(format!("environment: {error}")))?;
        match self.deployer.targets.live_state(&environment).await {
            Ok(live) => Ok(Response::new(live)),
            Err(error) => Err(Status::unavailable(container_stage::outcome::chain(&error))),
        }
    }

    async fn preview_deployment(
        &self,
        request: Request<PreviewDeploymentRequest>,
    ) -> Result<Response<DeploymentPreview>, Status> {
        Ok(Response::new(
            preview(&self.deployer, request.into_inner()).await?,
        ))
    }
}
