//! One run as people see it, and followed until it has ended.

use std::pin::Pin;

use domain::ids::RunId;
use domain::rollout::Rollouts;
use domain::run::Run;
use futures::{Stream, stream};
use proto::gateway::v1;
use tokio_util::sync::CancellationToken;
use tonic::Status;

use crate::projection::{Changes, Projection};

/// A stream of answers.
pub(super) type Answers<T> = Pin<Box<dyn Stream<Item = Result<T, Status>> + Send>>;

/// What a stream says when the gateway stops.
pub(super) fn stopping() -> Status {
    Status::unavailable("the gateway is being stopped; ask again")
}

/// A run, with where the rollouts of its stages are.
pub(super) fn view(run: &Run, projection: &Projection) -> v1::Run {
    let mut view = proto::view::run(run);
    for stage in view.stages.iter_mut().filter(|s| s.state == "running") {
        let environment = stage.name.strip_prefix("deploy:");
        let key =
            environment.and_then(|name| Some((name.parse().ok()?, run.change.service.clone())));
        let history = key.and_then(|key| projection.rollouts_of(&key));
        stage.rollout = history.and_then(|history| standing(&history.rollouts, &run.id));
    }
    view
}

fn standing(rollouts: &Rollouts, run: &RunId) -> Option<v1::StageRollout> {
    let progress = rollouts.progress.as_ref()?;
    let is_it = rollouts
        .active
        .as_ref()
        .is_some_and(|active| active.run == *run);
    let step = progress.plan.name_of(progress.index);
    let (standing, is_paused) = match (&progress.abort, &progress.paused) {
        (Some(abort), _) => (format!("is taken back: {}", abort.reason), false),
        (None, Some(paused)) => (format!("{step}, paused: {}", paused.reason), true),
        (None, None) if progress.plan.steps.len() == 1 => return None,
        (None, None) => (step, false),
    };
    is_it.then_some(v1::StageRollout {
        standing,
        is_paused,
    })
}

struct Watch {
    projection: Projection,
    changes: Changes,
    stop: CancellationToken,
    run: Run,
    shown: Option<v1::Run>,
    shown_sequence: u64,
    over: bool,
}

/// The run as it is, and again at every change until it has ended.
pub(super) fn watch(run: Run, projection: Projection, stop: CancellationToken) -> Answers<v1::Run> {
    let changes = projection.changes();
    let watch = Watch {
        projection,
        changes,
        stop,
        run,
        shown: None,
        shown_sequence: 0,
        over: false,
    };
    Box::pin(stream::unfold(watch, |mut watch| async move {
        let answer = watch.next().await?;
        Some((answer, watch))
    }))
}

impl Watch {
    async fn next(&mut self) -> Option<Result<v1::Run, Status>> {
        while !self.over {
            if let Some(run) = self
                .projection
                .run(&self.run.id)
                .filter(|run| run.last_sequence > self.run.last_sequence)
            {
                self.run = Run::clone(&run);
            }
            let view = view(&self.run, &self.projection);
            // Also when only a rollout of it went on.
            if self.run.last_sequence > self.shown_sequence || self.shown.as_ref() != Some(&view) {
                self.shown_sequence = self.run.last_sequence;
                self.shown = Some(view.clone());
                self.over = self.run.state().is_ended();
                return Some(Ok(view));
            }
            tokio::select! {
                () = self.changes.next() => {}
                () = self.stop.cancelled() => {
                    self.over = true;
                    return Some(Err(stopping()));
                }
            }
        }
        None
    }
}
