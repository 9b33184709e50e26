//! What may be asked of a test-runner.

use proto::test_runner::v1::test_runner_service_server::{
    TestRunnerService, TestRunnerServiceServer,
};
use proto::test_runner::v1::{Capacity, GetCapacityRequest};
use service_kit::auth::Tokens;
use service_kit::grpc::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};
use worker::{Load, Worker};

/// Answers questions about a test-runner.
pub(crate) struct Questions {
    load: Load,
    engine: String,
    slots: usize,
}

impl Questions {
    pub(crate) fn new<H: worker::StageHandler>(
        worker: &Worker<H>,
        engine: &engine::Engine,
        slots: usize,
    ) -> Self {
        Self {
            load: worker.load(),
            engine: engine.id().to_owned(),
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
            .serve(TestRunnerServiceServer::new(self), listener, stop)
            .await
    }
}

#[tonic::async_trait]
impl TestRunnerService for Questions {
    async fn get_capacity(
        &self,
        _: Request<GetCapacityRequest>,
    ) -> Result<Response<Capacity>, Status> {
        Ok(Response::new(Capacity {
            worker_id: self.load.worker().to_string(),
            engine_id: self.engine.clone(),
            slots: u32::try_from(self.slots).unwrap_or(u32::MAX),
            slots_in_use: u32::try_from(self.load.stages()).unwrap_or(u32::MAX),
        }))
    }
}
