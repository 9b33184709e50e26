//! What may be asked of a registry-promoter.

use proto::registry_promoter::v1::registry_promoter_service_server::{
    RegistryPromoterService, RegistryPromoterServiceServer,
};
use proto::registry_promoter::v1::{
    CheckRegistriesRequest, CheckRegistriesResponse, InspectRequest, Inspection, RegistryCheck,
};
use registry::{Digest, ErrorClass, Identifier, Registry, Tag};
use service_kit::auth::Tokens;
use service_kit::grpc::Server;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use tonic::{Request, Response, Status};

use crate::registries::Registries;

/// Answers questions about the registries.
pub(crate) struct Questions {
    registries: Registries,
}

impl Questions {
    pub(crate) fn new(registries: Registries) -> Self {
        Self { registries }
    }

    pub(crate) async fn serve(
        self,
        listener: TcpListener,
        tokens: Tokens,
        stop: CancellationToken,
    ) -> anyhow::Result<()> {
        let service = RegistryPromoterServiceServer::new(self);
        Server::new(tokens, proto::DESCRIPTORS)
            .serve(service, listener, stop)
            .await
    }
}

#[tonic::async_trait]
impl RegistryPromoterService for Questions {
    async fn inspect(
        &self,
        request: Request<InspectRequest>,
    ) -> Result<Response<Inspection>, Status> {
        let request = request.into_inner();
        let Some((registry, name)) = self.registries.find(&request.repository) else {
            return Err(Status::invalid_argument(format!(
                "{} is in neither registry",
                request.repository
            )));
        };
        let reference = identifier(&request.reference)?;
        let Some(found) = registry
            .resolve(&name, reference.clone())
            .await
            .map_err(|error| status(&error))?
        else {
            return Ok(Response::new(Inspection::default()));
        };
        let image = registry
            .image_config(&name, reference, None)
            .await
            .map_err(|error| status(&error))?;
        Ok(Response::new(Inspection {
            exists: true,
            digest: found.digest.to_string(),
            media_type: found.media_type,
            labels: image
                .config
                .and_then(|c| c.labels)
                .unwrap_or_default()
                .into_iter()
                .collect(),
        }))
    }

    async fn check_registries(
        &self,
        _: Request<CheckRegistriesRequest>,
    ) -> Result<Response<CheckRegistriesResponse>, Status> {
        let Registries {
            development,
            production,
            ..
        } = &self.registries;
        let (development, production) = tokio::join!(
            check("development", development),
            check("production", production)
        );
        Ok(Response::new(CheckRegistriesResponse {
            registries: vec![development, production],
        }))
    }
}

async fn check(name: &str, registry: &Registry) -> RegistryCheck {
    let answer = registry.ping().await;
    RegistryCheck {
        name: name.to_owned(),
        address: registry.address().to_owned(),
        ok: answer.is_ok(),
        detail: answer
            .err()
            .map(|error| error.to_string())
            .unwrap_or_default(),
    }
}

fn identifier(text: &str) -> Result<Identifier, Status> {
    if let Ok(digest) = text.parse::<Digest>() {
        return Ok(Identifier::Digest(digest));
    }
    text.parse::<Tag>()
        .map(Identifier::Tag)
        .map_err(|error| Status::invalid_argument(format!("reference: {error}")))
}

fn status(error: &registry::Error) -> Status {
    match error.class() {
        ErrorClass::NotFound => Status::not_found(error.to_string()),
        ErrorClass::Refused => Status::permission_denied(error.to_string()),
        ErrorClass::Conflict => Status::failed_precondition(error.to_string()),
        ErrorClass::Unavailable => Status::unavailable(error.to_string()),
        ErrorClass::Corrupt => Status::data_loss(error.to_string()),
        ErrorClass::Protocol => Status::internal(error.to_string()),
    }
}
