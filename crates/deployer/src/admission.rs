//! Whether a run's rollout may begin: asks `domain`, with what is known of the service's other runs.

use domain::ids::EnvironmentName;
use domain::rollout::Neighbour;
use domain::run::{Kind, Run, RunState};
use domain::stage::StageName;

/// A run as the environment sees it. It is coming if it will get to its deployment here, or stop on the way, without
/// anybody having to act.
pub(crate) fn neighbour(run: &Run, environment: &EnvironmentName) -> Option<Neighbour> {
    let stage = run.stage(&StageName::Deploy(environment.clone()))?;
    let is_change = matches!(run.change.kind, Kind::Change);
    let passed = stage.finished_at().is_some();
    let moves = matches!(run.state(), RunState::Queued | RunState::Running);
    let waits_before = run
        .waits_for()
        .iter()
        .any(|waiting| comes_before(run, waiting, environment));
    Some(Neighbour {
        run: run.id.clone(),
        order: run.order,
        is_coming: is_change && moves && !passed && !waits_before,
    })
}

/// Whether an approval of `first` is needed on the way to `environment`.
fn comes_before(run: &Run, first: &EnvironmentName, environment: &EnvironmentName) -> bool {
    let place = |name: StageName| run.stages.iter().position(|s| s.name == name);
    let approval = place(StageName::Approve(first.clone()));
    approval.is_some_and(|approval| Some(approval) < place(StageName::Deploy(environment.clone())))
}
