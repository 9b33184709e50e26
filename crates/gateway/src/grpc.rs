//! What teams ask over gRPC: one file per service; no decisions here.

mod environments;
mod logs;
mod paging;
mod releases;
mod runs;
mod system;
mod watch;

use std::sync::Arc;

use proto::gateway::v1::environment_service_server::EnvironmentServiceServer;
use proto::gateway::v1::release_service_server::ReleaseServiceServer;
use proto::gateway::v1::run_service_server::RunServiceServer;
use proto::gateway::v1::system_service_server::SystemServiceServer;
use tonic::service::Routes;

use crate::gateway::Gateway;

/// The largest request: texts only.
const MAX_REQUEST_BYTES: usize = 1 << 20;

/// The gateway's gRPC services.
#[derive(Clone)]
pub(crate) struct Questions {
    gateway: Arc<Gateway>,
}

impl std::ops::Deref for Questions {
    type Target = Gateway;
    fn deref(&self) -> &Gateway {
        &self.gateway
    }
}

/// All of them, to be served.
pub(crate) fn routes(gateway: Arc<Gateway>) -> Routes {
    let questions = Questions { gateway };
    Routes::new(
        RunServiceServer::new(questions.clone()).max_decoding_message_size(MAX_REQUEST_BYTES),
    )
    .add_service(
        ReleaseServiceServer::new(questions.clone()).max_decoding_message_size(MAX_REQUEST_BYTES),
    )
    .add_service(
        EnvironmentServiceServer::new(questions.clone())
            .max_decoding_message_size(MAX_REQUEST_BYTES),
    )
    .add_service(SystemServiceServer::new(questions).max_decoding_message_size(MAX_REQUEST_BYTES))
}
