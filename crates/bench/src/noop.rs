//! Runs of ten stages, and workers that do nothing with them but take time.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use bus::Bus;
use bus::aggregates::Log;
use domain::ids::RunId;
use domain::platform::PlatformSpec;
use domain::run::{Actor, Change, Created, Event, Kind, Run, Trigger};
use domain::stage::{JobKind, Outcome, StageName, StageResult};
use jiff::Timestamp;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use worker::{StageHandler, Work, Worker, enqueue_ready, new_worker_id};

/// Stages of a run.
pub(crate) const STAGES: usize = 10;

const SPEC: &str = "
service: delivery
build: { image: debian, run: make }
test:
  unit: { run: make test }
  functional: { image: debian, run: make functional, ready: { tcp: 80 } }
  integration: { image: debian, run: make integration }
  load: { path: /, rate: 10, duration: 1s }
deploy: { port: 80 }
";

/// What happened, and when.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    /// When a stage's handler was done.
    pub ended: HashMap<(RunId, StageName), Instant>,
    /// From the end of the last stage that a stage needs to its own start.
    pub hand_overs: Vec<Duration>,
    /// Whether hand-overs are kept.
    pub is_recording: bool,
}

/// A handler that does nothing for a while.
#[derive(Debug, Clone)]
pub(crate) struct Idle {
    pub journal: Arc<Mutex<Journal>>,
    /// How long the stage takes, at least and at most.
    pub takes: (Duration, Duration),
}

impl Idle {
    pub(crate) fn new(least: Duration, most: Duration) -> Self {
        Self {
            journal: Arc::default(),
            takes: (least, most),
        }
    }

    async fn pass(&self, work: Work) -> Outcome {
        let began = Instant::now();
        self.begin(&work, began);
        let (least, most) = self.takes;
        if !most.is_zero() {
            tokio::time::sleep(least + (most - least).mul_f64(share())).await;
        }
        let key = (work.run.id.clone(), work.stage.clone());
        self.journal().ended.insert(key, Instant::now());
        Outcome::Succeeded(Box::new(StageResult {
            summary: "nothing was done".to_owned(),
            ..StageResult::default()
        }))
    }

    fn begin(&self, work: &Work, began: Instant) {
        let stages = &work.created().plan.stages;
        let Some(planned) = stages.iter().find(|stage| stage.name == work.stage) else {
            return;
        };
        let mut journal = self.journal();
        if !journal.is_recording {
            return;
        }
        let key = |stage: &StageName| (work.run.id.clone(), stage.clone());
        let ends = planned
            .needs
            .iter()
            .map(|need| journal.ended.get(&key(need)));
        let ends: Option<Vec<_>> = ends.collect();
        if let Some(ready) = ends.and_then(|ends| ends.into_iter().max().copied()) {
            journal.hand_overs.push(began.duration_since(ready));
        }
    }

    pub(crate) fn journal(&self) -> std::sync::MutexGuard<'_, Journal> {
        self.journal.lock().expect("nobody panics while holding it")
    }
}

/// A number between 0 and 1, another one each time.
fn share() -> f64 {
    f64::from(uuid::Uuid::new_v4().as_fields().0) / f64::from(u32::MAX)
}

struct Builds(Idle);
struct Tests(Idle);
struct Promotions(Idle);
struct Deployments(Idle);

macro_rules! handles {
    ($name:ident, $kind:expr) => {
        impl StageHandler for $name {
            const KIND: JobKind = $kind;

            async fn handle(&self, work: Work) -> Outcome {
                self.0.pass(work).await
            }
        }
    };
}
handles!(Builds, JobKind::Build);
handles!(Tests, JobKind::Test);
handles!(Promotions, JobKind::Promote);
handles!(Deployments, JobKind::Deploy);

/// The four services' workers, each with `slots`, until `stop`.
pub(crate) fn start(
    bus: &Bus,
    idle: &Idle,
    slots: usize,
    stop: &CancellationToken,
) -> JoinSet<Result<(), worker::Error>> {
    let mut workers = JoinSet::new();
    macro_rules! start {
        ($name:literal, $handler:expr) => {
            let worker = Worker::new(new_worker_id($name), bus.clone(), $handler, slots);
            workers.spawn(worker.run(stop.clone()));
        };
    }
    start!("builder", Builds(idle.clone()));
    start!("test-runner", Tests(idle.clone()));
    start!("registry-promoter", Promotions(idle.clone()));
    start!("deployer", Deployments(idle.clone()));
    workers
}

/// Makes runs.
pub(crate) struct Maker {
    bus: Bus,
    runs: Log<Run>,
    platform: PlatformSpec,
}

impl Maker {
    pub(crate) fn new(bus: &Bus) -> Self {
        let platform = PlatformSpec::default_for_one_machine("127.0.0.1:5000", "127.0.0.1:5001");
        Self {
            bus: bus.clone(),
            runs: Log::new(bus.events()),
            platform,
        }
    }

    /// Appends a run's first event and enqueues its first stage.
    pub(crate) async fn begin(&self) -> Result<RunId> {
        let id: RunId = uuid::Uuid::new_v4().simple().to_string().parse()?;
        let created = self.created(&id)?;
        let append = self.runs.update(&id, |_| {
            Ok::<_, std::convert::Infallible>(Some(created.clone()))
        });
        let run = append.await?.state;
        enqueue_ready(&self.bus, &run).await;
        Ok(id)
    }

    /// Waits until all runs have ended, and sees that they ended well.
    pub(crate) async fn wait(&self, ids: &[RunId]) -> Result<()> {
        for id in ids {
            loop {
                let run = self.runs.get(id).await?;
                if let Some(run) = run.filter(|run| run.state().is_ended()) {
                    ensure!(
                        run.state() == domain::run::RunState::Succeeded,
                        "a run ended as {:?}",
                        run.state()
                    );
                    break;
                }
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Ok(())
    }

    fn created(&self, id: &RunId) -> Result<Event> {
        let spec = domain::spec::parse("slipway.yaml", SPEC)?;
        let plan = domain::plan::plan(&spec, &self.platform, &Kind::Change);
        // The way back is only planned: the tests pass.
        let is_done =
            |stage: &&domain::plan::PlannedStage| !matches!(stage.name, StageName::Restore(_));
        let stages = plan.stages.iter().filter(is_done).count();
        ensure!(stages == STAGES, "the plan has {stages} stages");
        let change = Change {
            service: spec.service.clone(),
            kind: Kind::Change,
            repository: "/repository".to_owned(),
            reference: "main".to_owned(),
            commit: "a".repeat(40),
            path: String::new(),
            subject: "feat: Do nothing".to_owned(),
            author: "Ada <ada@example.org>".to_owned(),
            trigger: Trigger {
                via: "grpc".to_owned(),
                delivery: id.to_string(),
                actor: Actor("ada".to_owned()),
            },
        };
        Ok(Event::Created(Box::new(Created {
            run: id.clone(),
            change,
            version: None,
            spec,
            plan,
            reused: Vec::new(),
            at: Timestamp::now(),
        })))
    }
}
