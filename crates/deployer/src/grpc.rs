//! What may be asked of a deployer.

use proto::deployer::v1::deployer_service_server::{DeployerService, DeployerServiceServer};
use proto::deployer::v1::{GetLiveStateRequest, LiveState};
use service_kit::auth::Tokens;
use service_kit::grpc::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::target::Targets;

/// Answers questions about environments.
pub(crate) struct Questions {
    targets: Targets,
}

impl Questions {
    pub(crate) fn new(targets: Targets) -> Self {
        Self { targets }
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
        match self.targets.live_state(&environment).await {
            Ok(live) => Ok(Response::new(live)),
            Err(error) => Err(Status::unavailable(container_stage::outcome::chain(&error))),
        }
    }
}
