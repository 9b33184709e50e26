//! The output of stages, stored and as it comes.

use std::collections::HashMap;
use std::time::Duration;

use bus::{LogItem, LogReader, LogStream};
use domain::ids::RunId;
use domain::run::{Run, StageState};
use domain::stage::StageName;
use futures::{FutureExt as _, stream};
use jiff::{SignedDuration, Timestamp};
use proto::event::time::to_wire;
use proto::gateway::v1::{LogLine, LogLines, ReadLogsRequest};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use super::watch::{Answers, stopping};
use crate::Error;
use crate::gateway::Gateway;
use crate::projection::{Changes, Projection};

/// Lines in one message at most.
const MAX_LINES: usize = 500;
/// Bytes in one message, after which no further line is added.
const MAX_BYTES: usize = 256 << 10;
/// How long after its end a stage's last lines may be under way, where its writer did not say that it has finished.
const GRACE: Duration = Duration::from_secs(3);
/// A stage that ended this long ago has said everything.
const LONG_AGO: SignedDuration = SignedDuration::from_secs(10);

/// The lines that a request asks for.
pub(super) async fn read(
    gateway: &Gateway,
    request: ReadLogsRequest,
) -> Result<Answers<LogLines>, Error> {
    let run = gateway.run(&request.run_id).await?;
    let stage = stage(&run, &request.stage)?;
    let settled = is_settled(&run, stage.as_ref())
        && Timestamp::now().duration_since(run.updated_at) > LONG_AGO;
    let follow = request.follow && !settled;
    // Followed, a stage's reader would end at the end of its first attempt; so all are read, and one is shown.
    let only = stage.as_ref().filter(|_| !follow).map(ToString::to_string);
    let reader = gateway
        .bus
        .logs()
        .read(run.id.as_str(), only.as_deref(), follow)
        .await?;
    let lines = Lines {
        reader,
        follow,
        id: run.id,
        stage,
        ends: HashMap::new(),
        projection: gateway.projection.clone(),
        changes: gateway.projection.changes(),
        stop: gateway.stop.clone(),
        settled_since: None,
        over: false,
    };
    Ok(Box::pin(stream::unfold(lines, |mut lines| async move {
        let answer = lines.next().await?;
        Some((answer, lines))
    })))
}

fn stage(run: &Run, name: &str) -> Result<Option<StageName>, Error> {
    if name.is_empty() {
        return Ok(None);
    }
    let found = run
        .stages
        .iter()
        .find(|stage| stage.name.to_string() == name);
    found.map(|stage| Some(stage.name.clone())).ok_or_else(|| {
        let names: Vec<String> = run
            .stages
            .iter()
            .filter(|stage| stage.is_shown())
            .map(|stage| stage.name.to_string())
            .collect();
        let there = if names.is_empty() {
            "it has none".to_owned()
        } else {
            format!("it has {}", names.join(", "))
        };
        Error::not_found(format!("run {} has no stage {name:?}; {there}", run.id))
    })
}

/// Whether nothing more comes: the run, or the stage that is asked for, has ended.
fn is_settled(run: &Run, stage: Option<&StageName>) -> bool {
    let stage_ended = || {
        stage
            .and_then(|s| run.stage(s))
            .is_some_and(|s| matches!(s.state, StageState::Ended { .. }))
    };
    run.state().is_ended() || stage_ended()
}

struct Lines {
    reader: LogReader,
    follow: bool,
    id: RunId,
    stage: Option<StageName>,
    /// How often each stage has said that it has finished: once in each attempt.
    ends: HashMap<String, usize>,
    projection: Projection,
    changes: Changes,
    stop: CancellationToken,
    settled_since: Option<Instant>,
    over: bool,
}

/// What happened while waiting for lines.
enum Woken {
    Item(Option<LogItem>),
    Changed,
    Stopped,
}

impl Lines {
    async fn next(&mut self) -> Option<Result<LogLines, Status>> {
        while !self.over {
            match self.wake().await {
                Woken::Item(None) => self.over = true,
                Woken::Item(Some(item)) => {
                    let lines = self.batch(item);
                    if !lines.is_empty() {
                        return Some(Ok(LogLines { lines }));
                    }
                }
                Woken::Changed => self.over = self.is_complete(),
                Woken::Stopped => {
                    self.over = true;
                    return Some(Err(stopping()));
                }
            }
        }
        None
    }

    async fn wake(&mut self) -> Woken {
        if !self.follow {
            return Woken::Item(self.reader.next().await);
        }
        if self.is_complete() {
            // What is stored already still comes first.
            return self
                .reader
                .next()
                .now_or_never()
                .map_or(Woken::Changed, Woken::Item);
        }
        let grace = self
            .settled_since
            .map_or(GRACE, |since| GRACE.saturating_sub(since.elapsed()));
        tokio::select! {
            biased;
            () = self.stop.cancelled() => Woken::Stopped,
            item = self.reader.next() => Woken::Item(item),
            () = self.changes.next() => Woken::Changed,
            () = tokio::time::sleep(grace), if self.settled_since.is_some() => Woken::Changed,
        }
    }

    /// This item and those that are there already.
    fn batch(&mut self, first: LogItem) -> Vec<LogLine> {
        let (mut lines, mut bytes) = (Vec::new(), 0);
        let mut item = Some(first);
        while let Some(next) = item.take() {
            if let Some(line) = self.line(next) {
                bytes += line.text.len();
                lines.push(line);
            }
            if lines.len() >= MAX_LINES || bytes >= MAX_BYTES {
                break;
            }
            match self.reader.next().now_or_never() {
                Some(None) => self.over = true,
                Some(next) => item = next,
                None => {}
            }
        }
        lines
    }

    fn line(&mut self, item: LogItem) -> Option<LogLine> {
        let stage = match &item {
            LogItem::Line(line) => line.stage.clone(),
            LogItem::Truncated { stage } | LogItem::End { stage } => stage.clone(),
        };
        self.settled_since = self.settled_since.map(|_| Instant::now());
        let wanted = self
            .stage
            .as_ref()
            .is_none_or(|only| only.to_string() == stage);
        let line = match item {
            LogItem::End { .. } => {
                *self.ends.entry(stage).or_default() += 1;
                return None;
            }
            LogItem::Truncated { .. } => LogLine {
                stage,
                is_error_stream: true,
                at: Some(to_wire(Timestamp::now())),
                text: b"[this stage has printed more than is kept; the rest is missing]".to_vec(),
                continued: false,
            },
            LogItem::Line(line) => LogLine {
                stage,
                is_error_stream: line.stream == LogStream::Err,
                at: Some(to_wire(line.time)),
                text: line.bytes.to_vec(),
                continued: line.continued,
            },
        };
        wanted.then_some(line)
    }

    /// Whether everything has been said: nothing more comes, and each attempt that began has said that it has
    /// finished, or there was silence for a while.
    fn is_complete(&mut self) -> bool {
        let Some(run) = self.projection.run(&self.id) else {
            return false;
        };
        if !is_settled(&run, self.stage.as_ref()) {
            self.settled_since = None;
            return false;
        }
        let since = *self.settled_since.get_or_insert_with(Instant::now);
        let wanted = |name: &StageName| self.stage.as_ref().is_none_or(|only| only == name);
        let mut begun = run
            .stages
            .iter()
            .filter(|stage| wanted(&stage.name) && !stage.attempts.is_empty());
        let ends = |name: &StageName| self.ends.get(&name.to_string()).copied().unwrap_or(0);
        begun.all(|stage| ends(&stage.name) >= stage.attempts.len()) || since.elapsed() >= GRACE
    }
}
