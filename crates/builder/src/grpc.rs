//! What may be asked of a builder, and what it asks of test-runners.

use container_stage::outcome;
use engine::Engine;
use proto::builder::v1::builder_service_server::{BuilderService, BuilderServiceServer};
use proto::builder::v1::{Capacity, GetCapacityRequest, InspectWorkspaceRequest, Workspace};
use proto::test_runner::v1::test_runner_service_client::TestRunnerServiceClient;
use service_kit::auth::Tokens;
use service_kit::grpc::{Server, ShowToken, channel};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use worker::{Load, Worker};

/// Answers questions about a builder.
pub(crate) struct Questions {
    load: Load,
    engine: Engine,
    slots: usize,
}

impl Questions {
    pub(crate) fn new<H: worker::StageHandler>(
        worker: &Worker<H>,
        engine: &Engine,
        slots: usize,
    ) -> Self {
        Self {
            load: worker.load(),
            engine: engine.clone(),
            slots,
        }
    }

    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        tokens: Tokens,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        Server::new(tokens, proto::DESCRIPTORS)
            .serve(BuilderServiceServer::new(self), listener, stop)
            .await
    }
}

#[tonic::async_trait]
impl BuilderService for Questions {
    async fn get_capacity(
        &self,
        _: Request<GetCapacityRequest>,
    ) -> Result<Response<Capacity>, Status> {
        Ok(Response::new(Capacity {
            worker_id: self.load.worker().to_string(),
            engine_id: self.engine.id().to_owned(),
            slots: u32::try_from(self.slots).unwrap_or(u32::MAX),
            slots_in_use: u32::try_from(self.load.stages()).unwrap_or(u32::MAX),
        }))
    }

    async fn inspect_workspace(
        &self,
        request: Request<InspectWorkspaceRequest>,
    ) -> Result<Response<Workspace>, Status> {
        let exists = self.engine.has_image(&request.into_inner().image).await;
        let exists = exists.map_err(|error| Status::unavailable(outcome::chain(&error)))?;
        Ok(Response::new(Workspace { exists }))
    }
}

/// The container engine that the test-runner at `url` uses.
pub(crate) async fn engine_of(url: &str, token: &ShowToken) -> anyhow::Result<String> {
    let mut client = TestRunnerServiceClient::with_interceptor(channel(url)?, token.clone());
    let request = proto::test_runner::v1::GetCapacityRequest {};
    Ok(client.get_capacity(request).await?.into_inner().engine_id)
}
