//! The other services, asked over gRPC whether they are there and what really runs.

use std::error::Error as _;
use std::time::Duration;

use domain::ids::EnvironmentName;
use proto::builder::v1::InspectWorkspaceRequest;
use proto::builder::v1::builder_service_client::BuilderServiceClient;
use proto::deployer::v1::deployer_service_client::DeployerServiceClient;
use proto::deployer::v1::{GetLiveStateRequest, LiveState, PreviewDeploymentRequest};
use proto::gateway::v1::Part;
use proto::preview::v1::DeploymentPreview;
use proto::registry_promoter::v1::registry_promoter_service_client::RegistryPromoterServiceClient;
use proto::registry_promoter::v1::{CheckRegistriesRequest, InspectRequest};
use proto::test_runner::v1::test_runner_service_client::TestRunnerServiceClient;
use service_kit::grpc::{ShowToken, channel};
use tonic::transport::Channel;
use tonic::{Code, Status};
use tonic_health::pb::health_check_response::ServingStatus;

use crate::Error;
use crate::config::PartUrls;

/// How long a part may take to answer.
const TIME_LIMIT: Duration = Duration::from_secs(5);
/// How long a part may take to say whether something is still there.
const STILL_THERE_LIMIT: Duration = Duration::from_secs(2);
/// How long the deployer may take to say what runs: it asks engines and clusters.
const LIVE_STATE_LIMIT: Duration = Duration::from_secs(10);

/// How long the deployer may take to say what a deployment would change: it reads manifests from a repository, and asks
/// a cluster about each of them.
const PREVIEW_LIMIT: Duration = Duration::from_secs(120);
/// The largest preview: an object of a cluster may have a megabyte, and is told twice.
const PREVIEW_BYTES: usize = 64 << 20;

/// The services that the gateway was told of.
pub(crate) struct Parts {
    builder: Option<Channel>,
    test_runner: Option<Channel>,
    registry_promoter: Option<Channel>,
    deployer: Option<Channel>,
    token: ShowToken,
}

impl Parts {
    /// Channels to the services; they connect when they are used.
    ///
    /// # Errors
    /// When an address is none.
    pub(crate) fn new(urls: &PartUrls, token: ShowToken) -> anyhow::Result<Self> {
        let open = |url: &Option<String>| {
            url.as_deref()
                .filter(|url| !url.is_empty())
                .map(channel)
                .transpose()
        };
        Ok(Self {
            builder: open(&urls.builder_url)?,
            test_runner: open(&urls.test_runner_url)?,
            registry_promoter: open(&urls.registry_promoter_url)?,
            deployer: open(&urls.deployer_url)?,
            token,
        })
    }

    /// Whether each answers, and whether the registries do.
    pub(crate) async fn status(&self) -> Vec<Part> {
        let (builder, test_runner, promoter, deployer) = tokio::join!(
            self.builder(),
            self.test_runner(),
            self.registry_promoter(),
            self.deployer()
        );
        builder
            .into_iter()
            .chain(test_runner)
            .chain(promoter.unwrap_or_default())
            .chain(deployer)
            .collect()
    }

    async fn builder(&self) -> Option<Part> {
        let mut client =
            BuilderServiceClient::with_interceptor(self.builder.clone()?, self.token.clone());
        let answer = within(
            TIME_LIMIT,
            client.get_capacity(proto::builder::v1::GetCapacityRequest {}),
        )
        .await;
        Some(part(
            "builder",
            answer.map(|c| workload(&c.worker_id, c.slots_in_use, c.slots)),
        ))
    }

    async fn test_runner(&self) -> Option<Part> {
        let mut client = TestRunnerServiceClient::with_interceptor(
            self.test_runner.clone()?,
            self.token.clone(),
        );
        let answer = within(
            TIME_LIMIT,
            client.get_capacity(proto::test_runner::v1::GetCapacityRequest {}),
        )
        .await;
        Some(part(
            "test-runner",
            answer.map(|c| workload(&c.worker_id, c.slots_in_use, c.slots)),
        ))
    }

    async fn registry_promoter(&self) -> Option<Vec<Part>> {
        let channel = self.registry_promoter.clone()?;
        let mut client =
            RegistryPromoterServiceClient::with_interceptor(channel, self.token.clone());
        let answer = match within(
            TIME_LIMIT,
            client.check_registries(CheckRegistriesRequest {}),
        )
        .await
        {
            Ok(answer) => answer,
            Err(why) => return Some(vec![part("registry-promoter", Err(why))]),
        };
        let mut parts = vec![part("registry-promoter", Ok("it answers".to_owned()))];
        parts.extend(answer.registries.into_iter().map(|registry| {
            let separator = if registry.detail.is_empty() { "" } else { ": " };
            Part {
                name: format!("{} registry", registry.name),
                ok: registry.ok,
                detail: format!("{}{separator}{}", registry.address, registry.detail),
            }
        }));
        Some(parts)
    }

    async fn deployer(&self) -> Option<Part> {
        let channel = self.deployer.clone()?;
        let mut client = tonic_health::pb::health_client::HealthClient::new(channel);
        let question = tonic_health::pb::HealthCheckRequest {
            service: String::new(),
        };
        let answer = within(TIME_LIMIT, client.check(question)).await;
        let serving = answer.and_then(|answer| match answer.status() {
            ServingStatus::Serving => Ok("it answers".to_owned()),
            _ => Err("it answers, but does not serve yet".to_owned()),
        });
        Some(part("deployer", serving))
    }

    /// Whether a registry holds an image: its digest or tag.
    ///
    /// # Errors
    /// When it does not, or nobody says so soon.
    pub(crate) async fn registry_holds(
        &self,
        repository: &str,
        reference: &str,
    ) -> Result<(), String> {
        let channel = self.registry_promoter.clone();
        let channel = channel.ok_or("no registry-promoter is known")?;
        let mut client =
            RegistryPromoterServiceClient::with_interceptor(channel, self.token.clone());
        let question = InspectRequest {
            repository: repository.to_owned(),
            reference: reference.to_owned(),
        };
        let answer = within(STILL_THERE_LIMIT, client.inspect(question)).await;
        let held = answer.map_err(|why| format!("the registry-promoter did not say: {why}"))?;
        let missing = || format!("the registry does not hold {reference} of {repository} any more");
        held.exists.then_some(()).ok_or_else(missing)
    }

    /// Whether the builder's engine has the workspace of a build.
    ///
    /// # Errors
    /// When it does not, or does not say so soon.
    pub(crate) async fn builder_has(&self, workspace: &str) -> Result<(), String> {
        let channel = self.builder.clone().ok_or("no builder is known")?;
        let mut client = BuilderServiceClient::with_interceptor(channel, self.token.clone());
        let question = InspectWorkspaceRequest {
            image: workspace.to_owned(),
        };
        let answer = within(STILL_THERE_LIMIT, client.inspect_workspace(question)).await;
        let found = answer.map_err(|why| format!("the builder did not say: {why}"))?;
        let missing = || format!("the builder does not have the workspace {workspace} any more");
        found.exists.then_some(()).ok_or_else(missing)
    }

    /// What really runs in an environment; `None` when there is no deployer to ask.
    pub(crate) async fn live_state(
        &self,
        environment: &EnvironmentName,
    ) -> Option<Result<LiveState, String>> {
        let mut client =
            DeployerServiceClient::with_interceptor(self.deployer.clone()?, self.token.clone());
        let question = GetLiveStateRequest {
            environment: environment.to_string(),
        };
        Some(within(LIVE_STATE_LIMIT, client.get_live_state(question)).await)
    }

    /// What a deployment would change.
    ///
    /// # Errors
    /// When there is no deployer to ask, or it can't say.
    pub(crate) async fn preview(
        &self,
        question: PreviewDeploymentRequest,
    ) -> Result<DeploymentPreview, Error> {
        let place = format!("deployment to {}", question.environment);
        let Some(channel) = self.deployer.clone() else {
            let why = "only a deployer can say what would change, and the gateway knows none; start it with \
                       --deployer-url, or SLIPWAY_DEPLOYER_URL";
            return Err(Error::precondition(place, why));
        };
        let mut client = DeployerServiceClient::with_interceptor(channel, self.token.clone())
            .max_decoding_message_size(PREVIEW_BYTES);
        let asked = client.preview_deployment(question);
        match tokio::time::timeout(PREVIEW_LIMIT, asked).await {
            Ok(Ok(preview)) => Ok(preview.into_inner()),
            Ok(Err(status)) => Err(not_previewed(&place, &status)),
            Err(_) => Err(Error::Unavailable {
                why: format!(
                    "the deployer did not say within {} seconds what would change",
                    PREVIEW_LIMIT.as_secs()
                ),
            }),
        }
    }
}

/// Why the deployer did not say what would change, for whoever asked.
fn not_previewed(place: &str, status: &Status) -> Error {
    let said = status.message();
    match status.code() {
        Code::FailedPrecondition => Error::precondition(place, said),
        Code::Unimplemented => Error::precondition(
            place,
            "the deployer is older than this gateway and can't say what would change; update it",
        ),
        // What it said itself, rather than that nobody was there.
        Code::Unavailable if status.source().is_none() => Error::Unavailable {
            why: said.to_owned(),
        },
        code => Error::Unavailable {
            why: format!(
                "the deployer does not say what would change ({code}: {said}); is it running, and is its address right?"
            ),
        },
    }
}

async fn within<T>(
    limit: Duration,
    answer: impl Future<Output = Result<tonic::Response<T>, Status>>,
) -> Result<T, String> {
    match tokio::time::timeout(limit, answer).await {
        Ok(Ok(answer)) => Ok(answer.into_inner()),
        Ok(Err(status)) => Err(format!("{}: {}", status.code(), status.message())),
        Err(_) => Err(format!("no answer within {} seconds", limit.as_secs())),
    }
}

fn workload(worker: &str, in_use: u32, slots: u32) -> String {
    format!("{worker}: {in_use} of {slots} slots in use")
}

fn part(name: &str, answer: Result<String, String>) -> Part {
    let ok = answer.is_ok();
    let detail =
        answer.unwrap_or_else(|why| format!("{why}; is it running, and is its address right?"));
    Part {
        name: name.to_owned(),
        ok,
        detail,
    }
}
