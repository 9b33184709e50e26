//! Wires the gateway: source, projection, intake, inbox, gRPC and HTTP on one port.

use std::sync::Arc;
use std::time::Duration;

use bus::Bus;
use bus::aggregates::Log;
use domain::platform::PlatformSpec;
use service_kit::auth::Tokens;
use service_kit::grpc::{AuthLayer, ShowToken, listen};
use source::{Source, SourceConfig};
use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tonic_health::ServingStatus;
use tonic_web::GrpcWebLayer;
use tower::Layer as _;

use crate::gateway::Gateway;
use crate::http::Doors;
use crate::intake::Intake;
use crate::parts::Parts;
use crate::projection::Projection;
use crate::{Config, Error, grpc, http, inbox};

const KEEP_ALIVE: Duration = Duration::from_secs(20);

/// A gateway, ready to run.
pub struct Service {
    config: Config,
    platform: PlatformSpec,
    bus: Bus,
    listener: Option<TcpListener>,
}

impl Service {
    /// A gateway for a platform, on a bus.
    #[must_use]
    pub fn new(config: Config, platform: PlatformSpec, bus: Bus) -> Self {
        Self {
            config,
            platform,
            bus,
            listener: None,
        }
    }

    /// Listens where `listener` does, instead of where the configuration says.
    #[must_use]
    pub fn with_listener(self, listener: TcpListener) -> Self {
        Self {
            listener: Some(listener),
            ..self
        }
    }

    /// Answers and takes commits in until `stop` is cancelled.
    ///
    /// # Errors
    /// When it can't begin, or a part of it ends.
    pub async fn run(self, stop: CancellationToken) -> anyhow::Result<()> {
        let mut sources = SourceConfig::from_environment();
        sources.allow_local_paths = true;
        let source = Source::new(&self.config.source_cache, sources).map_err(Error::from)?;
        let tokens = self.config.common.tokens()?;
        let token = ShowToken::new(&self.config.common.own_token()?)?;
        let parts = Arc::new(Parts::new(&self.config.parts, token)?);
        let secrets = http::secrets(&self.platform.webhooks)?;
        let platform = Arc::new(self.platform);
        let (projection, tasks) = (Projection::default(), TaskTracker::new());
        let (runs, releases) = (Log::new(self.bus.events()), Log::new(self.bus.events()));
        let intake = Intake::new(
            self.bus.clone(),
            source,
            Arc::clone(&platform),
            projection.clone(),
            Arc::clone(&parts),
            runs.clone(),
            releases.clone(),
        );
        let doors = Doors {
            bus: self.bus.clone(),
            intake: intake.clone(),
            projection: projection.clone(),
            secrets,
        };
        let gateway = Gateway {
            bus: self.bus.clone(),
            platform,
            projection: projection.clone(),
            intake: intake.clone(),
            runs,
            releases,
            rollouts: Log::new(self.bus.events()),
            parts,
            stop: stop.clone(),
            tasks: tasks.clone(),
        };
        let listener = match self.listener {
            Some(listener) => listener,
            None => listen(self.config.listen).await?,
        };
        tracing::info!("gateway listens on {}", listener.local_addr()?);
        let taking_commits = async {
            tokio::select! {
                () = projection.ready() => Ok(inbox::consume(&self.bus, &intake, &stop).await?),
                () = stop.cancelled() => Ok(()),
            }
        };
        let serving = serve(Arc::new(gateway), doors, tokens, listener, stop.clone());
        tokio::select! {
            ended = projection.follow(&self.bus) => Ok(ended?),
            ended = async { tokio::try_join!(taking_commits, serving) } => {
                tasks.close();
                tasks.wait().await;
                ended.map(drop)
            }
        }
    }
}

/// Serves gRPC, gRPC-Web and HTTP until `stop` is cancelled and calls under way have ended.
async fn serve(
    gateway: Arc<Gateway>,
    doors: Doors,
    tokens: Tokens,
    listener: TcpListener,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let (health, health_service) = tonic_health::server::health_reporter();
    health
        .set_service_status("", ServingStatus::NotServing)
        .await;
    let reflection = tonic_reflection::server::Builder::configure()
        .register_encoded_file_descriptor_set(proto::DESCRIPTORS)
        .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
        .build_v1()?;
    let projection = gateway.projection.clone();
    let grpc = grpc::routes(gateway)
        .add_service(health_service)
        .add_service(reflection)
        .prepare();
    let grpc = AuthLayer::new(tokens).layer(GrpcWebLayer::new().layer(grpc));
    let routes =
        http::routes(doors).fallback(move |request| http::elsewhere(grpc.clone(), request));
    let stopped = async {
        tokio::select! {
            () = stop.cancelled() => {}
            () = async {
                projection.ready().await;
                health.set_service_status("", ServingStatus::Serving).await;
                stop.cancelled().await;
            } => {}
        }
        health
            .set_service_status("", ServingStatus::NotServing)
            .await;
    };
    tonic::transport::Server::builder()
        .accept_http1(true)
        .http2_keepalive_interval(Some(KEEP_ALIVE))
        .add_routes(tonic::service::Routes::from(routes))
        .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped)
        .await?;
    Ok(())
}
