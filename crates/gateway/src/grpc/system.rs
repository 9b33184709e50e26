//! Whether all is well.

use proto::gateway::v1::system_service_server::SystemService;
use proto::gateway::v1::{GetStatusRequest, Part, Status as SystemStatus};
use service_kit::grpc::caller;
use tonic::{Request, Response, Status};

use super::Questions;

#[tonic::async_trait]
impl SystemService for Questions {
    async fn get_status(
        &self,
        request: Request<GetStatusRequest>,
    ) -> Result<Response<SystemStatus>, Status> {
        let actor = caller(&request)?.0;
        let mut parts = vec![self.nats().await, self.reading()];
        parts.extend(self.parts.status().await);
        Ok(Response::new(SystemStatus {
            version: env!("CARGO_PKG_VERSION").to_owned(),
            actor,
            parts,
        }))
    }
}

impl Questions {
    async fn nats(&self) -> Part {
        let answer = self.bus.events().last_sequence().await;
        let detail = match &answer {
            Ok(events) => format!("{events} events"),
            Err(error) => format!(
                "{}; is the NATS server running?",
                crate::error::chain(error)
            ),
        };
        Part {
            name: "nats".to_owned(),
            ok: answer.is_ok() && self.bus.is_connected(),
            detail,
        }
    }

    fn reading(&self) -> Part {
        let ok = self.projection.is_caught_up();
        let detail = if ok {
            "it has read all events"
        } else {
            "it still reads what happened before"
        };
        Part {
            name: "gateway".to_owned(),
            ok,
            detail: detail.to_owned(),
        }
    }
}
