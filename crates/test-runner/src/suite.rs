//! Runs the commands of tests in one container and judges them.

use std::collections::BTreeMap;

use container_stage::limits;
use container_stage::naming::{WORKSPACE, stage_labels, variables};
use container_stage::output::Output;
use domain::spec::Resources;
use domain::stage::StageResult;
use engine::{Attachment, StepExit, StepSpec};
use indexmap::IndexMap;

use crate::attempt::Attempt;
use crate::ended::Stopped;
use crate::place::Place;
use crate::reports::find;
use crate::verdict::judge;

/// The commands of tests, and what they need.
pub(crate) struct Suite<'a> {
    pub(crate) place: Place,
    pub(crate) run: &'a [String],
    pub(crate) reports: &'a [String],
    /// Variables besides those that every command sees.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) network: Option<String>,
    pub(crate) resources: Resources,
}

/// Runs the commands to their end. The container is left to the attempt's clean-up.
pub(crate) async fn run(attempt: &Attempt<'_>, suite: Suite<'_>) -> Result<StageResult, Stopped> {
    suite.place.fetch(attempt).await?;
    let work = attempt.work;
    let mut step = StepSpec::shell(suite.place.image(), suite.run);
    step.name = Some(work.name());
    step.workdir = Some(WORKSPACE.to_owned());
    step.env = variables(work);
    step.env.extend(suite.env);
    step.network = suite
        .network
        .map(|network| Attachment::new(network, ["tests"]));
    step.limits = limits::of(&suite.resources, Some(work.time_limit));
    step.labels = stage_labels(work);
    step.keep = true;
    if suite.place.needs_files() {
        step.files = Some(attempt.files().await?);
    }
    let output = Output::to(work.log.clone());
    let ended = attempt
        .engine()
        .run_step(step, output.sink(), work.stop.token())
        .await;
    let last_lines = output.finish().await;
    let ended = ended?;
    if ended.exit == StepExit::Cancelled {
        return Err(attempt.asked(&last_lines));
    }
    let report = match &ended.container {
        Some(container) if !suite.reports.is_empty() => {
            let (report, notes) = find::reports(attempt.engine(), container, suite.reports).await;
            for note in notes {
                attempt.say(&format!("note: {note}")).await;
            }
            report
        }
        _ => None,
    };
    judge(ended.exit, work.time_limit, report, &last_lines).map_err(Stopped::Red)
}

/// Variables of a service file.
pub(crate) fn env_of(variables: &IndexMap<String, String>) -> BTreeMap<String, String> {
    variables
        .iter()
        .map(|(name, value)| (name.clone(), value.clone()))
        .collect()
}
