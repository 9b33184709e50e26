//! The gateway, as a command asks it: one method for each call, refusals already in words.

use std::path::Path;
use std::time::Duration;

use proto::gateway::v1::environment_service_client::EnvironmentServiceClient;
use proto::gateway::v1::release_service_client::ReleaseServiceClient;
use proto::gateway::v1::run_service_client::RunServiceClient;
use proto::gateway::v1::system_service_client::SystemServiceClient;
use proto::gateway::v1::{self, Environment, Release, Run};
use proto::preview::v1::DeploymentPreview;
use tonic::metadata::{Ascii, MetadataValue};
use tonic::service::Interceptor;
use tonic::service::interceptor::InterceptedService;
use tonic::transport::{Certificate, Channel, ClientTlsConfig, Endpoint};
use tonic::{Request, Response, Status, Streaming};

use crate::cli::Global;
use crate::error::CliError;
use crate::failure::{self, Asked};
use crate::token::{self, Environment as Lookup, FoundToken};

mod rollouts;

/// A question that is answered from what the gateway knows.
const QUICK: Duration = Duration::from_secs(30);
/// A question for which the gateway fetches a repository.
const SLOW: Duration = Duration::from_secs(300);
/// No message of ours is larger: a run with all its stages, a chunk of log lines.
const MESSAGE_LIMIT: usize = 64 << 20;

/// Shows the token on each call.
#[derive(Clone)]
pub struct ShowToken(Option<MetadataValue<Ascii>>);

impl ShowToken {
    fn new(found: &FoundToken) -> Result<Self, CliError> {
        let Some(token) = &found.token else {
            return Ok(Self(None));
        };
        let mut value: MetadataValue<Ascii> =
            format!("Bearer {token}")
                .parse()
                .map_err(|_| CliError::BadToken {
                    place: found.place.clone(),
                })?;
        value.set_sensitive(true);
        Ok(Self(Some(value)))
    }
}

impl Interceptor for ShowToken {
    fn call(&mut self, mut request: Request<()>) -> Result<Request<()>, Status> {
        if let Some(token) = &self.0 {
            request
                .metadata_mut()
                .insert("authorization", token.clone());
        }
        Ok(request)
    }
}

/// The channel that shows the token.
pub type Authorized = InterceptedService<Channel, ShowToken>;

/// The gateway. Nothing is sent before the first call.
#[derive(Clone)]
pub struct Gateway {
    asked: Asked,
    channel: Authorized,
}

impl Gateway {
    /// The gateway and the token that the command line, the environment or `slipway up` name.
    ///
    /// # Errors
    /// When the address is no URL, or a file that is named can't be read.
    pub fn from(global: &Global, lookup: Lookup<'_>) -> Result<Self, CliError> {
        let server = token::find_server(global.server.as_deref(), lookup);
        let found = token::find_token(global.token.as_deref(), lookup)?;
        let authority = lookup("SLIPWAY_CA_FILE").map(Into::into);
        let channel = endpoint(&server, authority)?.connect_lazy();
        let channel = InterceptedService::new(channel, ShowToken::new(&found)?);
        let asked = Asked {
            server,
            has_token: found.token.is_some(),
            token_place: found.place,
        };
        Ok(Self { asked, channel })
    }

    /// Its URL.
    #[must_use]
    pub fn server(&self) -> &str {
        &self.asked.server
    }

    fn runs(&self) -> RunServiceClient<Authorized> {
        RunServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn releases(&self) -> ReleaseServiceClient<Authorized> {
        ReleaseServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    fn environments(&self) -> EnvironmentServiceClient<Authorized> {
        EnvironmentServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// Puts a refusal into words.
    #[must_use]
    pub fn explain(&self, status: &Status) -> CliError {
        CliError::Call(failure::explain(status, &self.asked))
    }

    async fn within<T>(
        &self,
        limit: Duration,
        call: impl Future<Output = Result<Response<T>, Status>>,
    ) -> Result<T, CliError> {
        match tokio::time::timeout(limit, call).await {
            Ok(Ok(answer)) => Ok(answer.into_inner()),
            Ok(Err(status)) => Err(self.explain(&status)),
            Err(_) => {
                let text = format!("no answer within {} seconds", limit.as_secs());
                Err(self.explain(&Status::deadline_exceeded(text)))
            }
        }
    }

    /// Plans the runs of a commit.
    ///
    /// # Errors
    /// When the gateway refuses or is not there; so for every call.
    pub async fn start_run(&self, request: v1::StartRunRequest) -> Result<Vec<Run>, CliError> {
        Ok(self
            .within(SLOW, self.runs().start_run(request))
            .await?
            .runs)
    }

    /// One run.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn run(&self, run_id: &str) -> Result<Run, CliError> {
        let request = v1::GetRunRequest {
            run_id: run_id.to_owned(),
        };
        self.within(QUICK, self.runs().get_run(request)).await
    }

    /// One page of runs, the newest first.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn list_runs(
        &self,
        request: v1::ListRunsRequest,
    ) -> Result<v1::ListRunsResponse, CliError> {
        self.within(QUICK, self.runs().list_runs(request)).await
    }

    /// The run at every change. The refusal is not in words yet: a lost gateway is tried again.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn watch_run(&self, run_id: &str) -> Result<Streaming<Run>, Status> {
        let request = v1::WatchRunRequest {
            run_id: run_id.to_owned(),
        };
        Ok(self.runs().watch_run(request).await?.into_inner())
    }

    /// Ends a run.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn cancel_run(&self, request: v1::CancelRunRequest) -> Result<Run, CliError> {
        self.within(QUICK, self.runs().cancel_run(request)).await
    }

    /// Starts the red stages of a run again.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn retry_run(&self, run_id: &str) -> Result<Run, CliError> {
        let request = v1::RetryRunRequest {
            run_id: run_id.to_owned(),
        };
        self.within(QUICK, self.runs().retry_run(request)).await
    }

    /// The output of stages. The refusal is not in words yet: a lost gateway is tried again.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn read_logs(
        &self,
        request: v1::ReadLogsRequest,
    ) -> Result<Streaming<v1::LogLines>, Status> {
        Ok(self.runs().read_logs(request).await?.into_inner())
    }

    /// Agrees to a deployment, or refuses it.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn review_run(&self, request: v1::ReviewRunRequest) -> Result<Run, CliError> {
        self.within(QUICK, self.runs().review_run(request)).await
    }

    /// One page of releases.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn list_releases(
        &self,
        request: v1::ListReleasesRequest,
    ) -> Result<v1::ListReleasesResponse, CliError> {
        self.within(QUICK, self.releases().list_releases(request))
            .await
    }

    /// One release.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn release(&self, service: &str, version: &str) -> Result<Release, CliError> {
        let request = v1::GetReleaseRequest {
            service: service.to_owned(),
            version: version.to_owned(),
        };
        self.within(QUICK, self.releases().get_release(request))
            .await
    }

    /// All environments in promotion order.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn list_environments(&self) -> Result<Vec<Environment>, CliError> {
        let call = async {
            self.environments()
                .list_environments(v1::ListEnvironmentsRequest {})
                .await
        };
        Ok(self.within(QUICK, call).await?.environments)
    }

    /// One environment with its live state.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn environment(&self, name: &str) -> Result<Environment, CliError> {
        let request = v1::GetEnvironmentRequest {
            name: name.to_owned(),
        };
        self.within(QUICK, self.environments().get_environment(request))
            .await
    }

    /// Starts a run that brings a version into an environment.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn deploy(&self, request: v1::DeployRequest) -> Result<Run, CliError> {
        self.within(SLOW, self.environments().deploy(request)).await
    }

    /// Starts a run that goes back.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn rollback(&self, request: v1::RollbackRequest) -> Result<Run, CliError> {
        self.within(SLOW, self.environments().rollback(request))
            .await
    }

    /// What a deployment would change.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn preview_deploy(
        &self,
        request: v1::DeployRequest,
    ) -> Result<DeploymentPreview, CliError> {
        self.within(SLOW, self.environments().preview_deploy(request))
            .await
    }

    /// What going back would change.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn preview_rollback(
        &self,
        request: v1::RollbackRequest,
    ) -> Result<DeploymentPreview, CliError> {
        self.within(SLOW, self.environments().preview_rollback(request))
            .await
    }

    /// Who we are, and whether each part of Slipway answers.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn status(&self) -> Result<v1::Status, CliError> {
        let call = async {
            SystemServiceClient::new(self.channel.clone())
                .get_status(v1::GetStatusRequest {})
                .await
        };
        self.within(QUICK, call).await
    }
}

/// A channel that notices within half a minute that the other side has gone.
fn endpoint(server: &str, authority: Option<std::path::PathBuf>) -> Result<Endpoint, CliError> {
    let bad = |reason: String| CliError::BadServer {
        server: server.to_owned(),
        reason,
    };
    let endpoint =
        Endpoint::from_shared(server.to_owned()).map_err(|error| bad(error.to_string()))?;
    let endpoint = match endpoint.uri().scheme_str() {
        Some("http") => endpoint,
        Some("https") => {
            let path = authority.unwrap_or_else(|| "/etc/ssl/certs/ca-certificates.crt".into());
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(read(&path)?));
            endpoint
                .tls_config(tls)
                .map_err(|error| bad(error.to_string()))?
        }
        _ => return Err(bad("it begins with neither http:// nor https://".to_owned())),
    };
    endpoint
        .connect_timeout(Duration::from_secs(5))
        .http2_keep_alive_interval(Duration::from_secs(15))
        .keep_alive_timeout(Duration::from_secs(10))
        .user_agent(concat!("slipway/", env!("CARGO_PKG_VERSION")))
        .map_err(|error| bad(error.to_string()))
}

fn read(path: &Path) -> Result<Vec<u8>, CliError> {
    std::fs::read(path).map_err(|source| CliError::ReadFile {
        path: path.display().to_string(),
        source,
    })
}
