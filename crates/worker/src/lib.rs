//! The loop around a stage: take its job, claim it, run it, append the outcome, enqueue what became ready.
//!
//! A service that does stages implements [`StageHandler`] and runs a [`Worker`]. The order of the steps is what makes
//! a crash harmless: the outcome is appended before the next stages are enqueued, and these before the job is
//! acknowledged. A job that is delivered again finds its outcome in the fold and only enqueues; a stage whose worker
//! is gone is declared lost and begins anew as the next attempt; a ready stage that nobody claimed is found by the
//! sweep.

mod active;
mod attempt;
mod dead_letters;
mod end;
mod error;
mod held;
mod job;
mod on_job;
mod span;
mod sweep;
mod waiting;
mod work;

use std::sync::Arc;
use std::time::Duration;

use bus::aggregates::Log;
use bus::{Bus, DeliveryOptions};
use domain::ids::WorkerId;
use domain::run::Run;
use domain::stage::{JobKind, Outcome, StageName};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use active::ActiveRuns;
pub use error::Error;
pub use job::{enqueue, enqueue_ready};
pub use work::{StageLog, Stop, Work};

use held::Held;
use waiting::Waiting;

/// How long a job may be without a sign of life before it is delivered to another worker.
pub const ACK_WAIT: Duration = Duration::from_secs(30);

/// Deliveries of one job before it is a dead letter. A stage that waits for its turn is asked for every second, so this
/// is high: what bounds a stage that breaks its workers is the number of its attempts.
const MAX_DELIVER: u32 = 1_000_000;

/// Does the stages of one kind.
pub trait StageHandler: Send + Sync + 'static {
    /// Which jobs it takes.
    const KIND: JobKind;
    /// How long it may take to clean up once it was told to stop; then its attempt is ended without it.
    const CLEAN_UP: Duration = Duration::from_secs(20);

    /// Whether the stage may be claimed now. Asked before the claim, so nothing is recorded for a stage that waits.
    fn admit(&self, _run: &Run, _stage: &StageName) -> impl Future<Output = Admit> + Send {
        async { Admit::Now }
    }

    /// Does one attempt at a stage and says how it ended. Must end soon after [`Work::stop`] says so, and must have
    /// cleaned up by then. The time limit is kept by [`Worker`], through the same [`Stop`].
    fn handle(&self, work: Work) -> impl Future<Output = Outcome> + Send;
}

/// Whether a stage may be claimed.
#[derive(Debug, Clone, PartialEq)]
pub enum Admit {
    /// Yes.
    Now,
    /// Ask again after this long.
    Later(Duration),
    /// It has become needless: claim it, and end it so.
    End(Box<Outcome>),
}

/// A process that takes jobs of one kind.
pub struct Worker<H> {
    pub(crate) id: WorkerId,
    pub(crate) bus: Bus,
    pub(crate) runs: Log<Run>,
    pub(crate) active: ActiveRuns,
    pub(crate) held: Held,
    pub(crate) waiting: Waiting,
    pub(crate) handler: H,
    pub(crate) slots: usize,
    pub(crate) tasks: TaskTracker,
}

impl<H: StageHandler> Worker<H> {
    /// A worker with a fresh identity that does at most `slots` stages at a time.
    #[must_use]
    pub fn new(id: WorkerId, bus: Bus, handler: H, slots: usize) -> Self {
        let runs = Log::new(bus.events());
        Self {
            id,
            runs,
            active: ActiveRuns::default(),
            held: Held::default(),
            waiting: Waiting::default(),
            bus,
            handler,
            slots: slots.max(1),
            tasks: TaskTracker::new(),
        }
    }

    /// Keeps its view of the active runs in `active`, for a handler that needs it too.
    #[must_use]
    pub fn sharing(mut self, active: ActiveRuns) -> Self {
        self.active = active;
        self
    }

    /// How busy it is, for whoever asks.
    #[must_use]
    pub fn load(&self) -> Load {
        Load {
            id: self.id.clone(),
            held: self.held.clone(),
        }
    }

    /// Takes jobs until `stop` is cancelled; then gives back what it is doing and ends.
    ///
    /// # Errors
    /// When a part that should never end did, such as the connection to the bus for good.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Error> {
        let worker = Arc::new(self);
        let held = worker.held.clone();
        let _presence = worker
            .bus
            .presence()
            .announce(worker.id.as_str(), move |question| held.answers(question))
            .await?;
        let closing = Closing(worker.held.clone());
        let ended = tokio::select! {
            ended = worker.take_jobs(&stop) => ended,
            ended = active::follow(&worker.bus, &worker.runs, &worker.active, &worker.held) => ended,
            ended = sweep::sweep(&worker) => ended,
            ended = dead_letters::consume(&worker) => ended,
        };
        drop(closing);
        worker.tasks.close();
        worker.tasks.wait().await;
        ended
    }

    /// Whether another worker is doing what `question` names. One whose id can't be asked for is gone.
    pub(crate) async fn ask(&self, worker: &WorkerId, question: &str) -> bus::WorkerState {
        let question = bytes::Bytes::copy_from_slice(question.as_bytes());
        self.bus
            .presence()
            .ask(worker.as_str(), question)
            .await
            .unwrap_or(bus::WorkerState::Gone)
    }

    async fn take_jobs(self: &Arc<Self>, stop: &CancellationToken) -> Result<(), Error> {
        let options = DeliveryOptions {
            max_deliver: MAX_DELIVER,
            ..DeliveryOptions::new(self.slots, ACK_WAIT)
        };
        let mut deliveries = self
            .bus
            .jobs()
            .deliveries(job::queue(H::KIND), None, options)
            .await?;
        loop {
            let delivery = tokio::select! {
                () = stop.cancelled() => {
                    deliveries.stop();
                    return Ok(());
                }
                delivery = deliveries.next() => delivery,
            };
            let worker = Arc::clone(self);
            self.tasks
                .spawn(async move { on_job::on_job(&worker, delivery).await });
        }
    }
}

/// Stops every stage when it is dropped: also when nobody waits for [`Worker::run`] any more.
struct Closing(Held);

impl Drop for Closing {
    fn drop(&mut self) {
        self.0
            .close("the worker is shutting down; the stage begins anew elsewhere");
    }
}

/// How busy a worker is.
#[derive(Clone)]
pub struct Load {
    id: WorkerId,
    held: Held,
}

impl Load {
    /// Which worker.
    #[must_use]
    pub fn worker(&self) -> &WorkerId {
        &self.id
    }

    /// How many stages it is doing now.
    #[must_use]
    pub fn stages(&self) -> usize {
        self.held.len()
    }
}

/// A fresh worker identity: `<kind>-<random>`.
#[must_use]
pub fn new_worker_id(kind: &str) -> WorkerId {
    let random = uuid::Uuid::new_v4().simple().to_string();
    format!("{kind}-{}", &random[..12])
        .parse()
        .expect("a kind and hexadecimal digits make a token")
}
