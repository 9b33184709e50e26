//! The session that BuildKit asks back through: for secrets and for credentials.
//!
//! The engine upgrades `POST /session` to an HTTP/2 connection on which *it* is the client; see
//! `moby/buildkit/session` for the protocol. The client library's own session offers no secrets together with live
//! progress, and announces its methods under names that BuildKit doesn't know.

use std::{collections::BTreeMap, convert::Infallible, io, time::Duration};

use bollard::{
    health::{
        HealthCheckRequest, HealthCheckResponse, HealthListRequest, HealthListResponse,
        health_check_response::ServingStatus,
        health_server::{Health, HealthServer},
    },
    moby::{
        buildkit::secrets::v1::{
            GetSecretRequest, GetSecretResponse,
            secrets_server::{Secrets, SecretsServer},
        },
        filesync::v1::{
            CredentialsRequest, CredentialsResponse, FetchTokenRequest, FetchTokenResponse,
            GetTokenAuthorityRequest, GetTokenAuthorityResponse, VerifyTokenAuthorityRequest,
            VerifyTokenAuthorityResponse,
            auth_server::{Auth, AuthServer},
        },
    },
};
use futures::stream::{self, BoxStream};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::timeout,
};
use tonic::{
    Request, Response, Status,
    transport::{Server, server::Connected},
};

use crate::{Credentials, Error, Result, Secret};

/// How long the engine may take to accept the session.
const OPEN_LIMIT: Duration = Duration::from_secs(30);
/// The name of Docker Hub in BuildKit's questions and in ours.
const DOCKER_HUB: [&str; 3] = ["registry-1.docker.io", "index.docker.io", "docker.io"];

/// What BuildKit may ask for, by the paths of gRPC.
const METHODS: [&str; 3] = [
    "/moby.buildkit.secrets.v1.Secrets/GetSecret",
    "/moby.filesync.v1.Auth/Credentials",
    "/grpc.health.v1.Health/Check",
];

/// What came of asking for a session.
pub(super) enum Opened {
    /// The engine has BuildKit.
    Session(Session),
    /// The engine has no BuildKit.
    Refused,
    /// We can't open one to an address of this kind.
    Unreachable,
}

/// A session that the engine accepted. It must be [served](Session::serve) while the build runs.
pub(super) struct Session {
    id: String,
    connection: Connection,
    answers: Answers,
}

enum Connection {
    Unix(UnixStream),
    Tcp(TcpStream),
}

/// What BuildKit is told.
#[derive(Clone)]
struct Answers {
    secrets: BTreeMap<String, Secret>,
    credentials: BTreeMap<String, Credentials>,
}

/// Opens a session with the engine at this address.
pub(super) async fn open(
    host: &str,
    secrets: &BTreeMap<String, Secret>,
    credentials: &BTreeMap<String, Credentials>,
) -> Result<Opened> {
    let id = uuid::Uuid::new_v4().to_string();
    let opening = async {
        if let Some(path) = host.strip_prefix("unix://") {
            let mut stream = UnixStream::connect(path).await?;
            let accepted = upgrade(&mut stream, &id).await?;
            Ok(Some(accepted.then_some(Connection::Unix(stream))))
        } else if let Some(address) = host.strip_prefix("tcp://").or(host.strip_prefix("http://")) {
            if std::env::var_os("DOCKER_TLS_VERIFY").is_some() {
                return Ok(None);
            }
            let mut stream = TcpStream::connect(address.trim_end_matches('/')).await?;
            let accepted = upgrade(&mut stream, &id).await?;
            Ok(Some(accepted.then_some(Connection::Tcp(stream))))
        } else {
            Ok(None)
        }
    };
    let doing = "open a build session";
    let opened: io::Result<Option<Option<Connection>>> = timeout(OPEN_LIMIT, opening)
        .await
        .map_err(|_| Error::NoAnswer {
            doing: doing.to_owned(),
            limit: OPEN_LIMIT,
        })?;
    let opened = opened.map_err(|err| Error::of(doing, bollard::errors::Error::IOError { err }))?;
    Ok(match opened {
        None => Opened::Unreachable,
        Some(None) => Opened::Refused,
        Some(Some(connection)) => Opened::Session(Session {
            id,
            connection,
            answers: Answers {
                secrets: secrets.clone(),
                credentials: credentials.clone(),
            },
        }),
    })
}

/// Asks for the upgrade; false if the engine knows no sessions.
async fn upgrade<S: AsyncRead + AsyncWrite + Unpin>(stream: &mut S, id: &str) -> io::Result<bool> {
    let mut request = format!(
        "POST /session HTTP/1.1\r\nHost: docker\r\nConnection: Upgrade\r\nUpgrade: h2c\r\nContent-Length: 0\r\n\
         X-Docker-Expose-Session-Uuid: {id}\r\nX-Docker-Expose-Session-Name: slipway\r\n"
    );
    for method in METHODS {
        request.push_str(&format!(
            "X-Docker-Expose-Session-Grpc-Method: {method}\r\n"
        ));
    }
    request.push_str("\r\n");
    stream.write_all(request.as_bytes()).await?;
    // Byte by byte: what follows the head belongs to HTTP/2.
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if head.len() > 16 << 10 {
            return Err(io::Error::other("the engine's answer has no end"));
        }
        head.push(stream.read_u8().await?);
    }
    Ok(head.starts_with(b"HTTP/1.1 101"))
}

impl Session {
    pub(super) fn id(&self) -> &str {
        &self.id
    }

    /// Answers BuildKit's questions. It never ends by itself: the build does.
    pub(super) async fn serve(self) -> Infallible {
        match self.connection {
            Connection::Unix(stream) => serve_on(stream, self.answers).await,
            Connection::Tcp(stream) => serve_on(stream, self.answers).await,
        }
    }
}

async fn serve_on<S>(stream: S, answers: Answers) -> Infallible
where
    S: AsyncRead + AsyncWrite + Connected + Unpin + Send + 'static,
{
    let router = Server::builder()
        .add_service(HealthServer::new(Alive))
        .add_service(SecretsServer::new(answers.clone()))
        .add_service(AuthServer::new(answers));
    let incoming = stream::iter([Ok::<_, io::Error>(stream)]);
    if let Err(error) = router.serve_with_incoming(incoming).await {
        tracing::debug!(error = %error, "the build session ended");
    }
    std::future::pending().await
}

#[tonic::async_trait]
impl Secrets for Answers {
    async fn get_secret(
        &self,
        request: Request<GetSecretRequest>,
    ) -> Result<Response<GetSecretResponse>, Status> {
        let id = request.into_inner().id;
        match self.secrets.get(&id) {
            Some(secret) => Ok(Response::new(GetSecretResponse {
                data: secret.expose().to_vec(),
            })),
            None => Err(Status::not_found(format!(
                "no build secret is named {id:?}"
            ))),
        }
    }
}

#[tonic::async_trait]
impl Auth for Answers {
    async fn credentials(
        &self,
        request: Request<CredentialsRequest>,
    ) -> Result<Response<CredentialsResponse>, Status> {
        let host = request.into_inner().host;
        let known = self.credentials.get(&host).or_else(|| {
            DOCKER_HUB
                .contains(&host.as_str())
                .then(|| {
                    DOCKER_HUB
                        .iter()
                        .find_map(|name| self.credentials.get(*name))
                })
                .flatten()
        });
        Ok(Response::new(known.map_or_else(
            CredentialsResponse::default,
            |known| CredentialsResponse {
                username: known.username.clone(),
                secret: String::from_utf8_lossy(known.password.expose()).into_owned(),
            },
        )))
    }

    async fn fetch_token(
        &self,
        _: Request<FetchTokenRequest>,
    ) -> Result<Response<FetchTokenResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn get_token_authority(
        &self,
        _: Request<GetTokenAuthorityRequest>,
    ) -> Result<Response<GetTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }

    async fn verify_token_authority(
        &self,
        _: Request<VerifyTokenAuthorityRequest>,
    ) -> Result<Response<VerifyTokenAuthorityResponse>, Status> {
        Err(Status::unimplemented("the engine fetches tokens itself"))
    }
}

/// BuildKit checks now and then that the session is alive.
struct Alive;

#[tonic::async_trait]
impl Health for Alive {
    type WatchStream = BoxStream<'static, Result<HealthCheckResponse, Status>>;

    async fn check(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<HealthCheckResponse>, Status> {
        Ok(Response::new(HealthCheckResponse {
            status: ServingStatus::Serving.into(),
        }))
    }

    async fn list(
        &self,
        _: Request<HealthListRequest>,
    ) -> Result<Response<HealthListResponse>, Status> {
        Err(Status::unimplemented("only checks"))
    }

    async fn watch(
        &self,
        _: Request<HealthCheckRequest>,
    ) -> Result<Response<Self::WatchStream>, Status> {
        Err(Status::unimplemented("only checks"))
    }
}
