//! The gRPC side that all services have alike: authentication, health, reflection, a drained end.

use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::net::TcpListener;
use tokio_stream::wrappers::TcpListenerStream;
use tokio_util::sync::CancellationToken;
use tonic::body::Body;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::server::NamedService;
use tonic::service::Interceptor;
use tonic::transport::{Channel, Endpoint};
use tonic::{Request, Status};
use tower::{Layer, Service};

use crate::auth::{Caller, Secret, Tokens};

/// Opens a listener, with an error that names the address.
///
/// # Errors
/// When the address is taken or not ours.
pub async fn listen(address: SocketAddr) -> anyhow::Result<TcpListener> {
    TcpListener::bind(address).await.map_err(|error| {
        anyhow::anyhow!("can't listen on {address}: {error}; choose another address, or end the program that has it")
    })
}

/// A lazily connected channel to another service, with time-outs and keep-alive.
///
/// # Errors
/// When the address is not a URL.
pub fn channel(url: &str) -> anyhow::Result<Channel> {
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| {
        anyhow::anyhow!("{url} is not a URL such as http://127.0.0.1:7071: {error}")
    })?;
    Ok(endpoint
        .connect_timeout(Duration::from_secs(3))
        .timeout(Duration::from_secs(30))
        .http2_keep_alive_interval(Duration::from_secs(20))
        .keep_alive_while_idle(true)
        .connect_lazy())
}

/// Shows our token on every call to another service.
#[derive(Clone)]
pub struct ShowToken(MetadataValue<Ascii>);

impl ShowToken {
    /// Takes the token in.
    ///
    /// # Errors
    /// When it has characters that can't stand in a header.
    pub fn new(token: &Secret) -> anyhow::Result<Self> {
        let mut value: MetadataValue<Ascii> = format!("Bearer {}", token.reveal()).parse()?;
        value.set_sensitive(true);
        Ok(Self(value))
    }
}

impl Interceptor for ShowToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        request
            .metadata_mut()
            .insert("authorization", self.0.clone());
        Ok(request)
    }
}

/// Lets only calls with a known token through, and tells the service whose it is ([`Caller`]). Health checks and
/// reflection need none.
#[derive(Clone)]
pub struct AuthLayer {
    tokens: Tokens,
}

impl AuthLayer {
    /// A layer that knows `tokens`.
    #[must_use]
    pub fn new(tokens: Tokens) -> Self {
        Self { tokens }
    }
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;
    fn layer(&self, inner: S) -> Auth<S> {
        Auth {
            inner,
            tokens: self.tokens.clone(),
        }
    }
}

/// See [`AuthLayer`].
#[derive(Clone)]
pub struct Auth<S> {
    inner: S,
    tokens: Tokens,
}

impl<S, B> Service<http::Request<B>> for Auth<S>
where
    S: Service<http::Request<B>, Response = http::Response<Body>> + Clone + Send + 'static,
    S::Future: Send,
    B: Send + 'static,
{
    type Response = S::Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<S::Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, mut request: http::Request<B>) -> Self::Future {
        let path = request.uri().path();
        let open = path.starts_with("/grpc.health.v1.") || path.starts_with("/grpc.reflection.v1");
        let caller = bearer(request.headers())
            .and_then(|token| self.tokens.holder(token))
            .map(|h| Caller(h.to_owned()));
        if caller.is_none() && !open {
            let refused = Status::unauthenticated(
                "this call needs a valid token in 'authorization: Bearer <token>'",
            );
            return Box::pin(async move { Ok(refused.into_http()) });
        }
        if let Some(caller) = caller {
            request.extensions_mut().insert(caller);
        }
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(async move { inner.call(request).await })
    }
}

fn bearer(headers: &http::HeaderMap) -> Option<&str> {
    headers
        .get(http::header::AUTHORIZATION)?
        .to_str()
        .ok()?
        .strip_prefix("Bearer ")
        .map(str::trim)
}

/// A gRPC server with what all of ours have alike.
pub struct Server {
    tokens: Tokens,
    descriptors: &'static [u8],
}

impl Server {
    /// A server for callers with `tokens`; `descriptors` are served by reflection.
    #[must_use]
    pub fn new(tokens: Tokens, descriptors: &'static [u8]) -> Self {
        Self {
            tokens,
            descriptors,
        }
    }

    /// Serves until `stop` is cancelled and calls under way have ended.
    ///
    /// # Errors
    /// When the listener breaks.
    pub async fn serve<S>(
        self,
        service: S,
        listener: TcpListener,
        stop: CancellationToken,
    ) -> anyhow::Result<()>
    where
        S: Service<
                http::Request<Body>,
                Response = http::Response<Body>,
                Error = std::convert::Infallible,
            > + NamedService
            + Clone
            + Send
            + Sync
            + 'static,
        S::Future: Send + 'static,
    {
        let (health, health_service) = tonic_health::server::health_reporter();
        health
            .set_service_status("", tonic_health::ServingStatus::Serving)
            .await;
        let reflection = tonic_reflection::server::Builder::configure()
            .register_encoded_file_descriptor_set(self.descriptors)
            .register_encoded_file_descriptor_set(tonic_health::pb::FILE_DESCRIPTOR_SET)
            .build_v1()?;
        let stopped = async {
            stop.cancelled().await;
            health
                .set_service_status("", tonic_health::ServingStatus::NotServing)
                .await;
        };
        tonic::transport::Server::builder()
            .http2_keepalive_interval(Some(Duration::from_secs(20)))
            .layer(AuthLayer::new(self.tokens))
            .add_service(health_service)
            .add_service(reflection)
            .add_service(service)
            .serve_with_incoming_shutdown(TcpListenerStream::new(listener), stopped)
            .await?;
        Ok(())
    }
}

/// Who is calling.
///
/// # Errors
/// `UNAUTHENTICATED` when the request did not come through [`AuthLayer`].
pub fn caller<T>(request: &Request<T>) -> Result<Caller, Status> {
    request
        .extensions()
        .get::<Caller>()
        .cloned()
        .ok_or_else(|| Status::unauthenticated("no token"))
}
