//! A gateway that answers what a test told it.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex};

use futures::{Stream, StreamExt as _, stream};
use proto::gateway::v1::environment_service_server::{
    EnvironmentService, EnvironmentServiceServer,
};
use proto::gateway::v1::release_service_server::{ReleaseService, ReleaseServiceServer};
use proto::gateway::v1::rollout_service_server::{RolloutService, RolloutServiceServer};
use proto::gateway::v1::run_service_server::{RunService, RunServiceServer};
use proto::gateway::v1::system_service_server::{SystemService, SystemServiceServer};
use proto::gateway::v1::*;
use proto::preview::v1::DeploymentPreview;
use tokio::net::TcpListener;
use tokio::task::JoinSet;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{Request, Response};

use crate::{previews, samples};

/// The one token that it knows.
pub(crate) const TOKEN: &str = "0123456789abcdef-test";

type Answer<T> = Result<Response<T>, tonic::Status>;
type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, tonic::Status>> + Send>>;

/// Ends when dropped.
pub(crate) struct FakeGateway {
    url: String,
    script: Arc<Script>,
    _tasks: JoinSet<()>,
}

/// What it knows, and what it was asked.
#[derive(Default)]
struct Script {
    /// Each run as it is after each of its changes; a call that is no watch sees the last.
    histories: Mutex<Vec<Vec<Run>>>,
    /// A rollout as it is after each of its changes; a call that is no watch sees the last.
    rollouts: Mutex<Vec<Rollout>>,
    /// How many watches break after their first run.
    breaks: Mutex<HashMap<String, u32>>,
    refusal: Mutex<Option<tonic::Status>>,
    asked: Mutex<Vec<String>>,
}

impl FakeGateway {
    /// With these runs, the newest first, each with its history.
    pub(crate) async fn with(histories: Vec<Vec<Run>>) -> Self {
        let script = Arc::new(Script {
            histories: Mutex::new(histories),
            ..Script::default()
        });
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let server = tonic::transport::Server::builder()
            .add_service(RunServiceServer::with_interceptor(
                Faked(script.clone()),
                authorize,
            ))
            .add_service(ReleaseServiceServer::with_interceptor(
                Faked(script.clone()),
                authorize,
            ))
            .add_service(EnvironmentServiceServer::with_interceptor(
                Faked(script.clone()),
                authorize,
            ))
            .add_service(RolloutServiceServer::with_interceptor(
                Faked(script.clone()),
                authorize,
            ))
            .add_service(SystemServiceServer::with_interceptor(
                Faked(script.clone()),
                authorize,
            ))
            .serve_with_incoming(TcpListenerStream::new(listener));
        let mut tasks = JoinSet::new();
        tasks.spawn(async move { server.await.unwrap() });
        Self {
            url,
            script,
            _tasks: tasks,
        }
    }

    /// With one rollout and its history.
    pub(crate) async fn with_rollout(history: Vec<Rollout>) -> Self {
        let gateway = Self::with(vec![vec![samples::waiting()]]).await;
        *gateway.script.rollouts.lock().unwrap() = history;
        gateway
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Breaks the first `times` watches of a run after what they say first.
    pub(crate) fn breaks_watches(&self, run_id: &str, times: u32) {
        self.script
            .breaks
            .lock()
            .unwrap()
            .insert(run_id.to_owned(), times);
    }

    /// Refuses every call from now on.
    pub(crate) fn refuses(&self, status: tonic::Status) {
        *self.script.refusal.lock().unwrap() = Some(status);
    }

    /// The requests so far, as text.
    pub(crate) fn asked(&self) -> Vec<String> {
        self.script.asked.lock().unwrap().clone()
    }
}

fn authorize(request: Request<()>) -> Result<Request<()>, tonic::Status> {
    let token = request
        .metadata()
        .get("authorization")
        .and_then(|value| value.to_str().ok());
    if token == Some(&format!("Bearer {TOKEN}")) {
        Ok(request)
    } else {
        Err(tonic::Status::unauthenticated(
            "this call needs a valid token",
        ))
    }
}

struct Faked(Arc<Script>);

impl Faked {
    fn hear<T: std::fmt::Debug>(&self, request: Request<T>) -> Result<T, tonic::Status> {
        let request = request.into_inner();
        self.0.asked.lock().unwrap().push(format!("{request:?}"));
        match self.0.refusal.lock().unwrap().clone() {
            Some(status) => Err(status),
            None => Ok(request),
        }
    }

    fn newest(&self) -> Vec<Run> {
        self.0
            .histories
            .lock()
            .unwrap()
            .iter()
            .filter_map(|history| history.last().cloned())
            .collect()
    }

    fn run(&self, run_id: &str) -> Answer<Run> {
        let run = self.newest().into_iter().find(|run| run.run_id == run_id);
        run.map(Response::new)
            .ok_or_else(|| tonic::Status::not_found(format!("there is no run {run_id}")))
    }
}

#[tonic::async_trait]
impl RunService for Faked {
    async fn start_run(&self, request: Request<StartRunRequest>) -> Answer<StartRunResponse> {
        self.hear(request)?;
        let histories = self.0.histories.lock().unwrap();
        let runs = histories
            .iter()
            .filter_map(|history| history.first().cloned())
            .collect();
        Ok(Response::new(StartRunResponse { runs }))
    }

    async fn get_run(&self, request: Request<GetRunRequest>) -> Answer<Run> {
        self.run(&self.hear(request)?.run_id)
    }

    async fn list_runs(&self, request: Request<ListRunsRequest>) -> Answer<ListRunsResponse> {
        let request = self.hear(request)?;
        let wanted = |run: &Run| request.state.is_empty() || run.state == request.state;
        let runs: Vec<Run> = self.newest().into_iter().filter(wanted).collect();
        // One run a page: so that every list is put together from pages.
        let from: usize = request.page_token.parse().unwrap_or(0);
        let next_page_token = if from + 1 < runs.len() {
            (from + 1).to_string()
        } else {
            String::new()
        };
        let runs = runs.into_iter().skip(from).take(1).collect();
        Ok(Response::new(ListRunsResponse {
            runs,
            next_page_token,
        }))
    }

    type WatchRunStream = Answers<Run>;

    async fn watch_run(&self, request: Request<WatchRunRequest>) -> Answer<Self::WatchRunStream> {
        let run_id = self.hear(request)?.run_id;
        let histories = self.0.histories.lock().unwrap();
        let history = histories
            .iter()
            .find(|history| history[0].run_id == run_id)
            .cloned()
            .unwrap_or_default();
        let breaks = self
            .0
            .breaks
            .lock()
            .unwrap()
            .get_mut(&run_id)
            .is_some_and(|left| {
                let now = *left > 0;
                *left = left.saturating_sub(1);
                now
            });
        let seen = stream::iter(history.into_iter().map(Ok));
        if breaks {
            let end = stream::once(async { Err(tonic::Status::unavailable("the gateway stops")) });
            return Ok(Response::new(Box::pin(seen.take(1).chain(end))));
        }
        Ok(Response::new(Box::pin(seen)))
    }

    async fn cancel_run(&self, request: Request<CancelRunRequest>) -> Answer<Run> {
        let request = self.hear(request)?;
        let mut run = self.run(&request.run_id)?.into_inner();
        (run.state, run.reason) = ("cancelled".into(), request.reason);
        Ok(Response::new(run))
    }

    async fn retry_run(&self, request: Request<RetryRunRequest>) -> Answer<Run> {
        self.run(&self.hear(request)?.run_id)
    }

    type ReadLogsStream = Answers<LogLines>;

    async fn read_logs(&self, request: Request<ReadLogsRequest>) -> Answer<Self::ReadLogsStream> {
        let stage = self.hear(request)?.stage;
        let lines = samples::log()
            .into_iter()
            .filter(move |line| stage.is_empty() || line.stage == stage);
        Ok(Response::new(Box::pin(stream::iter(
            lines.map(|line| Ok(LogLines { lines: vec![line] })),
        ))))
    }

    async fn review_run(&self, request: Request<ReviewRunRequest>) -> Answer<Run> {
        self.run(&self.hear(request)?.run_id)
    }
}

#[tonic::async_trait]
impl ReleaseService for Faked {
    async fn list_releases(
        &self,
        request: Request<ListReleasesRequest>,
    ) -> Answer<ListReleasesResponse> {
        self.hear(request)?;
        Ok(Response::new(ListReleasesResponse {
            releases: vec![samples::release()],
            ..Default::default()
        }))
    }

    async fn get_release(&self, request: Request<GetReleaseRequest>) -> Answer<Release> {
        self.hear(request)?;
        Ok(Response::new(samples::release()))
    }
}

#[tonic::async_trait]
impl EnvironmentService for Faked {
    async fn list_environments(
        &self,
        request: Request<ListEnvironmentsRequest>,
    ) -> Answer<ListEnvironmentsResponse> {
        self.hear(request)?;
        Ok(Response::new(ListEnvironmentsResponse {
            environments: vec![samples::environment()],
        }))
    }

    async fn get_environment(
        &self,
        request: Request<GetEnvironmentRequest>,
    ) -> Answer<Environment> {
        self.hear(request)?;
        Ok(Response::new(samples::environment()))
    }

    async fn deploy(&self, request: Request<DeployRequest>) -> Answer<Run> {
        self.hear(request)?;
        self.run(samples::DELIVERY)
    }

    async fn rollback(&self, request: Request<RollbackRequest>) -> Answer<Run> {
        self.hear(request)?;
        self.run(samples::DELIVERY)
    }

    async fn preview_deploy(&self, request: Request<DeployRequest>) -> Answer<DeploymentPreview> {
        let version = self.hear(request)?.version;
        Ok(Response::new(previews::preview(&version)))
    }

    async fn preview_rollback(
        &self,
        request: Request<RollbackRequest>,
    ) -> Answer<DeploymentPreview> {
        self.hear(request)?;
        Ok(Response::new(previews::preview("1.3.2")))
    }
}

impl Faked {
    fn rollout<T: std::fmt::Debug>(&self, request: Request<T>) -> Answer<Rollout> {
        self.hear(request)?;
        let rollouts = self.0.rollouts.lock().unwrap();
        let last = rollouts.last().cloned();
        last.map(Response::new)
            .ok_or_else(|| tonic::Status::not_found("delivery was never rolled out to production"))
    }
}

#[tonic::async_trait]
impl RolloutService for Faked {
    async fn list_rollouts(
        &self,
        request: Request<ListRolloutsRequest>,
    ) -> Answer<ListRolloutsResponse> {
        self.hear(request)?;
        let rollouts = self.0.rollouts.lock().unwrap();
        Ok(Response::new(ListRolloutsResponse {
            rollouts: rollouts.clone(),
            ..Default::default()
        }))
    }

    async fn get_rollout(&self, request: Request<GetRolloutRequest>) -> Answer<Rollout> {
        self.rollout(request)
    }

    type WatchRolloutStream = Answers<Rollout>;

    async fn watch_rollout(
        &self,
        request: Request<WatchRolloutRequest>,
    ) -> Answer<Self::WatchRolloutStream> {
        self.hear(request)?;
        let rollouts = self.0.rollouts.lock().unwrap().clone();
        Ok(Response::new(Box::pin(stream::iter(
            rollouts.into_iter().map(Ok),
        ))))
    }

    async fn pause_rollout(&self, request: Request<PauseRolloutRequest>) -> Answer<Rollout> {
        self.rollout(request)
    }

    async fn resume_rollout(&self, request: Request<ResumeRolloutRequest>) -> Answer<Rollout> {
        self.rollout(request)
    }

    async fn promote_rollout(&self, request: Request<PromoteRolloutRequest>) -> Answer<Rollout> {
        self.rollout(request)
    }

    async fn abort_rollout(&self, request: Request<AbortRolloutRequest>) -> Answer<Rollout> {
        self.rollout(request)
    }

    async fn retry_rollout(&self, request: Request<RetryRolloutRequest>) -> Answer<Rollout> {
        self.rollout(request)
    }
}

#[tonic::async_trait]
impl SystemService for Faked {
    async fn get_status(&self, request: Request<GetStatusRequest>) -> Answer<Status> {
        self.hear(request)?;
        let part = |name: &str, ok, detail: &str| Part {
            name: name.into(),
            ok,
            detail: detail.into(),
        };
        let parts = vec![
            part("nats", true, "nats-server 2.10.27"),
            part(
                "registry production",
                false,
                "no answer from 127.0.0.1:5001\nstart it",
            ),
        ];
        let version = env!("CARGO_PKG_VERSION").into();
        Ok(Response::new(Status {
            version,
            actor: "operator".into(),
            parts,
        }))
    }
}
