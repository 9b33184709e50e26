//! A gateway in this process, and clients for it.

use std::future::Future;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use bus::aggregates::Log;
use bus::{Bus, BusConfig};
use domain::ids::{RunId, WorkerId};
use domain::platform::PlatformSpec;
use domain::run::{Event, Run};
use domain::stage::{Artifact, Outcome, StageName, StageResult};
use gateway::{Config, PartUrls, Service};
use jiff::Timestamp;
use proto::gateway::v1;
use proto::gateway::v1::environment_service_client::EnvironmentServiceClient;
use proto::gateway::v1::release_service_client::ReleaseServiceClient;
use proto::gateway::v1::run_service_client::RunServiceClient;
use proto::gateway::v1::system_service_client::SystemServiceClient;
use service_kit::auth::Secret;
use service_kit::config::Common;
use service_kit::grpc::{ShowToken, channel};
use tempfile::TempDir;
use testkit::git::GitRepository;
use testkit::nats::TestNats;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};
use tonic::service::interceptor::InterceptedService;
use tonic::transport::Channel;

pub(crate) const TOKEN: &str = "0123456789abcdef-ada";
pub(crate) const OTHER_TOKEN: &str = "0123456789abcdef-bob";
pub(crate) const WEBHOOK_SECRET: &str = "webhook-secret-of-the-test";

pub(crate) type Intercepted = InterceptedService<Channel, ShowToken>;

/// Stops a gateway when dropped, and says how it ended.
pub(crate) type Running = (DropGuard, JoinHandle<anyhow::Result<()>>);

/// A gateway with a bus of its own.
pub(crate) struct TestGateway {
    pub(crate) bus: Bus,
    pub(crate) address: SocketAddr,
    pub(crate) nats: TestNats,
    pub(crate) folder: TempDir,
    pub(crate) runs: Log<Run>,
    platform: PlatformSpec,
    parts: PartUrls,
    running: Option<Running>,
}

/// Two environments; production waits for `approvals` people.
pub(crate) fn platform(approvals: u32) -> PlatformSpec {
    let mut platform = PlatformSpec::default_for_one_machine("dev.test:5000", "prod.test:5000");
    for environment in platform.environments.values_mut().filter(|e| e.production) {
        environment.approvals = approvals;
    }
    platform
}

impl TestGateway {
    pub(crate) async fn start() -> Self {
        Self::with_platform(platform(0)).await
    }

    pub(crate) async fn with_platform(platform: PlatformSpec) -> Self {
        Self::with_parts(platform, PartUrls::default()).await
    }

    pub(crate) async fn with_parts(platform: PlatformSpec, parts: PartUrls) -> Self {
        let nats = TestNats::start().await.unwrap();
        let bus = Bus::connect(&BusConfig::new(nats.url(), "gateway-test"))
            .await
            .unwrap();
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(
            folder.path().join("tokens"),
            format!("ada {TOKEN}\nbob {OTHER_TOKEN}\n"),
        )
        .unwrap();
        let runs = Log::new(bus.events());
        let address = ([127, 0, 0, 1], 0).into();
        let mut gateway = Self {
            bus,
            address,
            nats,
            folder,
            runs,
            platform,
            parts,
            running: None,
        };
        gateway.begin().await;
        gateway
    }

    /// Starts the gateway, on another port than before.
    pub(crate) async fn begin(&mut self) {
        let (address, running) = self.launch("cache").await;
        self.address = address;
        self.running = Some(running);
    }

    /// Another gateway on the same bus, with a cache of its own.
    pub(crate) async fn another(&self) -> (RunServiceClient<Intercepted>, Running) {
        let (address, running) = self.launch("another-cache").await;
        let channel = channel(&format!("http://{address}")).unwrap();
        (
            RunServiceClient::with_interceptor(channel, show(TOKEN)),
            running,
        )
    }

    async fn launch(&self, cache: &str) -> (SocketAddr, Running) {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let config = Config {
            common: Common {
                nats_url: self.nats.url(),
                nats_replicas: 1,
                nats_credentials: None,
                nats_monitoring_url: None,
                platform: PathBuf::new(),
                token_file: self.folder.path().join("tokens"),
            },
            listen: address,
            source_cache: self.folder.path().join(cache),
            parts: self.parts.clone(),
        };
        let stop = CancellationToken::new();
        let service =
            Service::new(config, self.platform.clone(), self.bus.clone()).with_listener(listener);
        #[expect(
            clippy::disallowed_methods,
            reason = "awaited when the gateway is ended"
        )]
        let task = tokio::spawn(service.run(stop.clone()));
        (address, (stop.drop_guard(), task))
    }

    /// Stops the gateway and waits until it has ended.
    pub(crate) async fn end(&mut self) {
        let (stop, task) = self.running.take().unwrap();
        drop(stop);
        tokio::time::timeout(Duration::from_secs(20), task)
            .await
            .unwrap()
            .unwrap()
            .unwrap();
    }

    pub(crate) fn channel(&self) -> Channel {
        channel(&format!("http://{}", self.address)).unwrap()
    }

    pub(crate) fn runs(&self) -> RunServiceClient<Intercepted> {
        self.runs_as(TOKEN)
    }

    pub(crate) fn runs_as(&self, token: &str) -> RunServiceClient<Intercepted> {
        RunServiceClient::with_interceptor(self.channel(), show(token))
    }

    pub(crate) fn releases(&self) -> ReleaseServiceClient<Intercepted> {
        ReleaseServiceClient::with_interceptor(self.channel(), show(TOKEN))
    }

    pub(crate) fn environments(&self) -> EnvironmentServiceClient<Intercepted> {
        EnvironmentServiceClient::with_interceptor(self.channel(), show(TOKEN))
    }

    pub(crate) fn system(&self) -> SystemServiceClient<Intercepted> {
        SystemServiceClient::with_interceptor(self.channel(), show(TOKEN))
    }

    /// Starts runs of a repository's newest commit.
    pub(crate) async fn start_runs(&self, request: v1::StartRunRequest) -> Vec<v1::Run> {
        self.runs()
            .start_run(request)
            .await
            .unwrap()
            .into_inner()
            .runs
    }

    /// Starts the only run of a repository's newest commit.
    pub(crate) async fn start_run(&self, repository: &GitRepository) -> v1::Run {
        let mut runs = self.start_runs(of(repository)).await;
        assert_eq!(runs.len(), 1, "{runs:?}");
        runs.remove(0)
    }

    pub(crate) async fn get_run(&self, id: &str) -> v1::Run {
        self.runs()
            .get_run(v1::GetRunRequest {
                run_id: id.to_owned(),
            })
            .await
            .unwrap()
            .into_inner()
    }

    pub(crate) async fn list_runs(&self) -> Vec<v1::Run> {
        self.runs()
            .list_runs(v1::ListRunsRequest::default())
            .await
            .unwrap()
            .into_inner()
            .runs
    }

    /// Does a stage of a run, as a worker would.
    pub(crate) async fn do_stage(&self, run: &str, stage: &str, outcome: Outcome) {
        let run: RunId = run.parse().unwrap();
        let stage: StageName = stage.parse().unwrap();
        let worker: WorkerId = "worker-of-the-test".parse().unwrap();
        let now = Timestamp::now;
        let attempt = {
            let state = self.runs.get(&run).await.unwrap().unwrap();
            state
                .stage(&stage)
                .unwrap()
                .attempts
                .last()
                .map_or(0, |a| a.number)
                + 1
        };
        let start = Event::StageStarted {
            stage: stage.clone(),
            attempt,
            worker,
            at: now(),
        };
        let end = Event::StageEnded {
            stage: stage.clone(),
            attempt,
            outcome,
            at: now(),
        };
        for event in [start, end] {
            let mut event = Some(event);
            self.runs
                .update(&run, |_| Ok::<_, std::fmt::Error>(event.take()))
                .await
                .unwrap();
        }
        let state = self.runs.get(&run).await.unwrap().unwrap();
        assert!(
            !state.stage(&stage).unwrap().attempts.is_empty(),
            "{stage} could not begin: {state:?}"
        );
    }

    /// Begins a stage of a run for the first time, as a worker would.
    pub(crate) async fn begin_stage(&self, run: &str, stage: &str) {
        let mut start = Some(Event::StageStarted {
            stage: stage.parse().unwrap(),
            attempt: 1,
            worker: "worker-of-the-test".parse().unwrap(),
            at: Timestamp::now(),
        });
        self.runs
            .update(&run.parse().unwrap(), |_| {
                Ok::<_, std::fmt::Error>(start.take())
            })
            .await
            .unwrap();
    }

    /// Does the stages of a run, one after the other, with success.
    pub(crate) async fn do_stages(&self, run: &str, stages: &[&str]) {
        for stage in stages {
            self.do_stage(run, stage, succeeded()).await;
        }
    }

    /// Sends an HTTP/1.1 request; returns the status and the body.
    pub(crate) async fn http(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &[u8],
    ) -> (u16, Vec<u8>) {
        let mut connection = TcpStream::connect(self.address).await.unwrap();
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nhost: gateway\r\nconnection: close\r\n");
        head.push_str(&format!("content-length: {}\r\n", body.len()));
        for (name, value) in headers {
            head.push_str(&format!("{name}: {value}\r\n"));
        }
        head.push_str("\r\n");
        connection.write_all(head.as_bytes()).await.unwrap();
        // A server that refuses a body may close before it has read all of it.
        let _ = connection.write_all(body).await;
        let mut answer = Vec::new();
        let _ = connection.read_to_end(&mut answer).await;
        let end = answer
            .windows(4)
            .position(|w| w == b"\r\n\r\n")
            .expect("an HTTP answer");
        let status = String::from_utf8_lossy(&answer[9..12]).parse().unwrap();
        (status, answer.split_off(end + 4))
    }
}

pub(crate) fn show(token: &str) -> ShowToken {
    ShowToken::new(&Secret::new(token)).unwrap()
}

/// A request for all services of a repository.
pub(crate) fn of(repository: &GitRepository) -> v1::StartRunRequest {
    v1::StartRunRequest {
        repository: path(repository),
        ..Default::default()
    }
}

pub(crate) fn path(repository: &GitRepository) -> String {
    repository.path().to_str().unwrap().to_owned()
}

/// A repository of one service with a Dockerfile only.
pub(crate) fn small_service(name: &str) -> GitRepository {
    let file = format!("service: {name}\n");
    GitRepository::with_files(&[("slipway.yaml", &file), ("Dockerfile", "FROM scratch\n")]).unwrap()
}

pub(crate) fn succeeded() -> Outcome {
    Outcome::Succeeded(Box::new(StageResult {
        summary: "done".to_owned(),
        ..StageResult::default()
    }))
}

pub(crate) fn made(artifact: Artifact) -> Outcome {
    Outcome::Succeeded(Box::new(StageResult {
        artifact: Some(artifact),
        ..StageResult::default()
    }))
}

/// Waits until `question` has an answer.
pub(crate) async fn eventually<T, F: Future<Output = Option<T>>>(
    what: &str,
    mut question: impl FnMut() -> F,
) -> T {
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    loop {
        if let Some(answer) = question().await {
            return answer;
        }
        assert!(
            tokio::time::Instant::now() < deadline,
            "it did not come true: {what}"
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
