//! One run as people see it, and followed until it has ended.

use std::pin::Pin;

use domain::ids::RunId;
use domain::rollout::Rollouts;
use domain::run::Run;
use domain::run::state::{Stage, StageState};
use domain::stage::StageName;
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
    for (name, standing) in standings(run, projection) {
        let stage = view.stages.iter_mut().find(|s| s.name == name);
        if let Some(stage) = stage {
            stage.rollout = Some(standing);
        }
    }
    view
}

/// Where the rollouts of the deploy stages are that are running.
fn standings(run: &Run, projection: &Projection) -> Vec<(String, v1::StageRollout)> {
    let running = run
        .stages
        .iter()
        .filter(|stage| matches!(stage.state, StageState::Running { .. }));
    let of_stage = |stage: &Stage| {
        let StageName::Deploy(environment) = &stage.name else {
            return None;
        };
        let key = (environment.clone(), run.change.service.clone());
        let history = projection.rollouts_of(&key)?;
        Some((
            stage.name.to_string(),
            standing(&history.rollouts, &run.id)?,
        ))
    };
    running.filter_map(of_stage).collect()
}

/// How far a run's rollout has come; `None` if it is not under way, or has only one step.
pub(super) fn standing(rollouts: &Rollouts, run: &RunId) -> Option<v1::StageRollout> {
    let progress = rollouts.progress.as_ref()?;
    let is_it = rollouts
        .active
        .as_ref()
        .is_some_and(|active| active.run == *run);
    let step = progress.plan.name_of(progress.index);
    let (standing, is_paused) = match (&progress.abort, &progress.paused) {
        (Some(abort), _) => (format!("is taken back: {}", abort.reason), false),
        // The rollout itself names the step.
        (None, Some(paused)) if paused.reason.contains(&step) => {
            (format!("paused: {}", paused.reason), true)
        }
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
    shown: u64,
    standings: Vec<(String, v1::StageRollout)>,
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
        shown: 0,
        standings: Vec::new(),
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
            // Also when only a rollout of it went on.
            let standings = standings(&self.run, &self.projection);
            if self.run.last_sequence > self.shown || standings != self.standings {
                self.shown = self.run.last_sequence;
                self.standings = standings;
                self.over = self.run.state().is_ended();
                return Some(Ok(view(&self.run, &self.projection)));
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
