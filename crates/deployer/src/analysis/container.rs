//! A number from a container that runs to its end: its exit code.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

use container_stage::outcome::chain;
use container_stage::{limits, secrets};
use domain::platform::PlatformSpec;
use domain::spec::{ContainerQuery, TimeSpan};
use engine::labels::Labels;
use engine::{Attachment, Engine, OutputChunk, StepExit, StepSpec};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::service::SERVICE;

/// How long it may take if the file does not say.
const LIMIT: Duration = Duration::from_secs(300);
/// How much is kept of what it prints last.
const KEPT_BYTES: usize = 4096;
pub(crate) const KEPT_LINES: usize = 5;

/// What runs, and where.
pub(super) struct Job<'a> {
    pub(super) query: &'a ContainerQuery,
    pub(super) variables: BTreeMap<String, String>,
    pub(super) network: Option<&'a str>,
    pub(super) labels: &'a Labels,
}

/// How it ended.
pub(crate) struct Ran {
    pub(crate) code: i64,
    /// What it printed last.
    pub(crate) last_lines: String,
}

/// How long a container may take.
pub(crate) fn limit(query: &ContainerQuery) -> Duration {
    query.timeout.map_or(LIMIT, TimeSpan::get)
}

/// What runs, for people.
pub(super) fn words(query: &ContainerQuery) -> String {
    format!("`{}` in {}", query.run.join("; "), query.image)
}

/// Runs it to its end, confined like every container of a team. It is gone when this returns or is dropped.
pub(super) async fn run(
    engine: &Engine,
    platform: &PlatformSpec,
    job: Job<'_>,
) -> Result<Ran, String> {
    let (image, time) = (&job.query.image, limit(job.query));
    let credentials =
        secrets::credentials_for(platform, image, SERVICE).map_err(|error| chain(&error))?;
    engine
        .ensure_image(image, credentials.as_ref())
        .await
        .map_err(|error| chain(&error))?;
    let mut step = StepSpec::shell(image, job.query.run.iter());
    step.env = job.variables;
    step.network = job
        .network
        .map(|network| Attachment::new(network, Vec::<String>::new()));
    step.limits = limits::of(&job.query.resources, Some(time));
    step.labels = job.labels.clone();
    let (sink, chunks) = mpsc::channel(16);
    let nobody = CancellationToken::new();
    let (ended, last_lines) = tokio::join!(engine.run_step(step, sink, &nobody), tail(chunks));
    let last_lines = lines(&last_lines);
    let why = match ended.map_err(|error| chain(&error))?.exit {
        StepExit::Exited(code) => return Ok(Ran { code, last_lines }),
        StepExit::TimedOut => format!("it took longer than {} s", time.as_secs()),
        StepExit::OutOfMemory => "it used more memory than it may and was killed".to_owned(),
        StepExit::Cancelled => "it was told to stop".to_owned(),
    };
    Err(match last_lines.as_str() {
        "" => why,
        lines => format!("{why}; it printed last: {lines}"),
    })
}

async fn tail(mut chunks: mpsc::Receiver<OutputChunk>) -> VecDeque<u8> {
    let mut kept = VecDeque::new();
    while let Some(chunk) = chunks.recv().await {
        kept.extend(chunk.bytes.iter());
        kept.drain(..kept.len().saturating_sub(KEPT_BYTES));
    }
    kept
}

fn lines(kept: &VecDeque<u8>) -> String {
    let bytes: Vec<u8> = kept.iter().copied().collect();
    let text = String::from_utf8_lossy(&bytes);
    let lines = text.lines().map(str::trim_end).filter(|l| !l.is_empty());
    let mut last: Vec<&str> = lines.rev().take(KEPT_LINES).collect();
    last.reverse();
    last.join(" / ")
}
