//! A server, runs on it, and workers as processes of their own.

use std::time::Duration;

use bus::aggregates::Log;
use bus::{Bus, BusConfig, DeliveryOptions, JobKind};
use domain::ids::RunId;
use domain::plan::plan;
use domain::run::{Actor, Change, Created, Event, Kind, Run, Trigger};
use jiff::Timestamp;
use testkit::nats::TestNats;
use tokio::runtime::Runtime;
use tokio::sync::oneshot;
use tokio_util::sync::CancellationToken;
use worker::{StageHandler, Worker, enqueue_ready, new_worker_id};

/// A test that waits this long has failed.
const LIMIT: Duration = Duration::from_secs(60);

pub(crate) const IMAGE_ONLY: &str = "
service: delivery
test: {}
";

pub(crate) const BUILD_AND_TEST: &str = "
service: delivery
build: { image: rust, run: make }
test:
  unit: { run: make test }
  functional: { image: curl, run: curl http://delivery, ready: { http: /, port: 80 } }
";

const PLATFORM: &str = "
registries:
  development: { address: \"127.0.0.1:5000\" }
  production: { address: \"127.0.0.1:5001\" }
environments: { test: {}, production: {} }
";

/// A server of the test's own and a connection to it.
pub(crate) struct Bed {
    pub(crate) server: TestNats,
    pub(crate) bus: Bus,
    pub(crate) runs: Log<Run>,
}

impl Bed {
    pub(crate) async fn new() -> Self {
        let server = TestNats::start().await.expect("a test server starts");
        let bus = connect(&server.url()).await;
        let runs = Log::new(bus.events());
        Self { server, bus, runs }
    }

    /// A planned run, not yet enqueued.
    pub(crate) async fn plan(&self, spec: &str) -> Run {
        let id: RunId = uuid::Uuid::now_v7().to_string().parse().expect("a token");
        let created = created(&id, spec);
        let append = self.runs.update(&id, |_| {
            Ok::<_, std::convert::Infallible>(Some(created.clone()))
        });
        append.await.expect("the bus is there").state
    }

    /// A planned run whose first jobs are in their queues.
    pub(crate) async fn begin(&self, spec: &str) -> RunId {
        let run = self.plan(spec).await;
        enqueue_ready(&self.bus, &run).await;
        run.id
    }

    pub(crate) async fn run(&self, id: &RunId) -> Run {
        self.runs
            .get(id)
            .await
            .expect("the bus is there")
            .expect("the run exists")
    }

    /// Appends what `decide` says.
    pub(crate) async fn append(&self, id: &RunId, decide: impl Fn(&Run) -> Event) -> Run {
        let decide = |run: Option<&Run>| Ok::<_, std::convert::Infallible>(run.map(&decide));
        self.runs
            .update(id, decide)
            .await
            .expect("the bus is there")
            .state
    }

    pub(crate) async fn cancel(&self, id: &RunId) {
        self.append(id, |run| {
            run.cancel(&person(), "not needed", Timestamp::now())
                .expect("it has not ended")
        })
        .await;
    }

    /// Waits until the run is as it should be.
    pub(crate) async fn until(&self, what: &str, id: &RunId, test: impl Fn(&Run) -> bool) -> Run {
        let deadline = tokio::time::Instant::now() + LIMIT;
        loop {
            // The server may be away for a while.
            let run = self.runs.get(id).await.ok().flatten();
            match run {
                Some(run) if test(&run) => return run,
                run if tokio::time::Instant::now() > deadline => {
                    panic!("waited in vain until {what}: {run:#?}")
                }
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    pub(crate) async fn until_ended(&self, id: &RunId) -> Run {
        self.until("the run ended", id, |run| run.state().is_ended())
            .await
    }

    /// Takes the only job of a queue away, as if it had got lost.
    pub(crate) async fn lose_job(&self, kind: JobKind) {
        self.take_job(kind)
            .await
            .ack()
            .await
            .expect("the bus is there");
    }

    pub(crate) async fn take_job(&self, kind: JobKind) -> bus::Delivery {
        let options = DeliveryOptions {
            max_deliver: 1_000_000,
            ..DeliveryOptions::new(1, worker::ACK_WAIT)
        };
        let mut deliveries = self
            .bus
            .jobs()
            .deliveries(kind, None, options)
            .await
            .expect("the bus is there");
        soon("there was a job", deliveries.next()).await
    }
}

pub(crate) fn person() -> Actor {
    Actor("ada".to_owned())
}

async fn connect(url: &str) -> Bus {
    let mut config = BusConfig::new(url, "test");
    config.presence_grace = Duration::from_millis(500);
    config.request_timeout = Duration::from_secs(2);
    Bus::connect(&config)
        .await
        .expect("the test server takes connections")
}

fn created(id: &RunId, spec: &str) -> Event {
    let spec = domain::spec::parse("slipway.yaml", spec).expect("it is valid");
    let platform = domain::platform::parse("platform.yaml", PLATFORM).expect("it is valid");
    let kind = Kind::Proposal {
        number: "1".to_owned(),
    };
    let change = Change {
        service: spec.service.clone(),
        kind: kind.clone(),
        repository: "/repository".to_owned(),
        reference: "main".to_owned(),
        commit: "a".repeat(40),
        path: String::new(),
        subject: "feat: a".to_owned(),
        author: "Ada <ada@example.org>".to_owned(),
        trigger: Trigger {
            via: "grpc".to_owned(),
            delivery: id.to_string(),
            actor: person(),
        },
    };
    let plan = plan(&spec, &platform, &kind);
    Event::Created(Box::new(Created {
        run: id.clone(),
        change,
        version: None,
        spec,
        plan,
        reused: Vec::new(),
        at: Timestamp::now(),
    }))
}

/// The future's result; a test that waits too long has failed.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(LIMIT, future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}

/// A worker with a runtime and a connection of its own, so that it can be killed.
pub(crate) struct Process {
    runtime: Option<Runtime>,
    stop: CancellationToken,
    ended: oneshot::Receiver<()>,
}

impl Process {
    pub(crate) fn start<H: StageHandler>(bed: &Bed, handler: H, slots: usize) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .enable_all()
            .build()
            .expect("a runtime");
        let (stop, url) = (CancellationToken::new(), bed.server.url());
        let (stopped, (ends, ended)) = (stop.clone(), oneshot::channel());
        runtime.spawn(async move {
            let bus = connect(&url).await;
            let worker = Worker::new(new_worker_id("test"), bus.clone(), handler, slots);
            worker
                .run(stopped)
                .await
                .expect("the worker ends only when it is stopped");
            bus.close(Duration::from_secs(5)).await;
            let _ = ends.send(());
        });
        Self {
            runtime: Some(runtime),
            stop,
            ended,
        }
    }

    /// Ends it at once, in the middle of whatever it is doing.
    pub(crate) fn kill(mut self) {
        self.end_now();
    }

    /// Ends it as an operator would.
    pub(crate) async fn shut_down(mut self) {
        self.stop.cancel();
        soon("the worker ended", &mut self.ended)
            .await
            .expect("it ended well");
        self.end_now();
    }

    fn end_now(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end_now();
    }
}
