//! What teams ask over gRPC: one file per service; no decisions here.

mod environments;
mod logs;
mod paging;
mod previews;
mod releases;
mod rollouts;
mod runs;
mod system;
mod watch;
mod wishes;

use std::sync::Arc;

use domain::ids::ServiceName;
use proto::gateway::v1::environment_service_server::EnvironmentServiceServer;
use proto::gateway::v1::release_service_server::ReleaseServiceServer;
use proto::gateway::v1::rollout_service_server::RolloutServiceServer;
use proto::gateway::v1::run_service_server::RunServiceServer;
use proto::gateway::v1::system_service_server::SystemServiceServer;
use tonic::service::Routes;

use crate::Error;
use crate::gateway::Gateway;
use crate::projection::{Page, RunFilter};

/// The largest request: texts only.
const MAX_REQUEST_BYTES: usize = 1 << 20;
/// Services that are named where one is asked for that there is not.
const SERVICES_NAMED: usize = 20;

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

impl Questions {
    /// Whether there ever was a run of the service: an empty list would hide that its name is mistyped.
    fn knows_service(&self, service: &ServiceName) -> Result<(), Error> {
        let of_service = RunFilter {
            service: Some(service.clone()),
            state: None,
        };
        let first = Page {
            size: 1,
            token: None,
        };
        let (runs, _) = self.projection.runs(&of_service, &first)?;
        if !runs.is_empty() || !self.projection.releases(Some(service)).is_empty() {
            return Ok(());
        }
        let all = self.projection.releases(None);
        let known: Vec<&str> = all
            .iter()
            .map(|(name, _)| name.as_str())
            .take(SERVICES_NAMED)
            .collect();
        let known = match (known.len(), all.len()) {
            (0, _) => "no service has had a run yet".to_owned(),
            (some, all) if some < all => format!("there are {} and others", known.join(", ")),
            _ => format!("there is {}", known.join(", ")),
        };
        Err(Error::not_found(format!(
            "there is no service `{service}`; {known}"
        )))
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
    .add_service(
        RolloutServiceServer::new(questions.clone()).max_decoding_message_size(MAX_REQUEST_BYTES),
    )
    .add_service(SystemServiceServer::new(questions).max_decoding_message_size(MAX_REQUEST_BYTES))
}
