//! Putting an environment back to what it was, where the version's tests stopped there: when it is to be done, and what
//! it undoes.

use jiff::Timestamp;

use super::apply::ready;
use super::state::{Run, Stage, StageState};
use crate::ids::EnvironmentName;
use crate::stage::{Outcome, StageName};

impl Run {
    /// What puts an environment back waits until the deployment and all tests there have ended, and is to be done if
    /// the version came in and its tests did not all pass: also, and to the end, when the run is cancelled.
    pub(super) fn settled_restore(
        &self,
        stage: &Stage,
        environment: &EnvironmentName,
        at: Timestamp,
    ) -> Option<StageState> {
        let deploy = self.stage(&StageName::Deploy(environment.clone()))?;
        let mut tests = stage.needs.iter().filter_map(|need| self.stage(need));
        let has_ended = |s: &Stage| s.finished_at().is_some();
        let is_due = matches!(stage.state, StageState::Pending)
            && has_ended(deploy)
            && tests.clone().all(has_ended);
        if !is_due {
            return None;
        }
        let outcome = if tests.all(|test| test.state.is_passed()) {
            Outcome::Skipped {
                reason: "not needed: the tests passed".to_owned(),
                result: Box::default(),
            }
        } else if deploy.state.is_passed() {
            return Some(ready(stage, at));
        } else {
            let why = format!("not reached: {} {}", deploy.name, deploy.state.name());
            Outcome::Cancelled { reason: why }
        };
        Some(StageState::Ended { outcome, at })
    }

    /// The stages that count for nothing any more, because their environment was put back: the deployment and all that
    /// needs it.
    pub(super) fn undone(&self) -> Vec<StageName> {
        let restored = self.stages.iter().filter(|s| s.has_begun());
        let mut undone: Vec<StageName> = restored
            .filter_map(|s| match &s.name {
                StageName::Restore(environment) => Some(StageName::Deploy(environment.clone())),
                _ => None,
            })
            .collect();
        for stage in &self.stages {
            if stage.needs.iter().any(|need| undone.contains(need)) {
                undone.push(stage.name.clone());
            }
        }
        undone
    }
}
