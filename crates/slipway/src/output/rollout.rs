//! Rollouts for scripts: what `rollout list`, `show`, `watch`, `pause`, `resume`, `promote`, `abort` and `retry` print.

use proto::gateway::v1;
use serde::Serialize;

use super::time::rfc3339;

/// The answer of `rollout list`.
#[derive(Debug, Serialize)]
pub struct Rollouts {
    /// Those under way first; the newest first.
    pub rollouts: Vec<Rollout>,
}

/// One rollout.
#[derive(Debug, Serialize)]
pub struct Rollout {
    /// The run that brings the version.
    pub run_id: String,
    /// The service.
    pub service: String,
    /// The environment.
    pub environment: String,
    /// The version that is brought in.
    pub version: String,
    /// `sha256:…` of its image.
    pub image_digest: String,
    /// What ran before; empty if nothing did.
    pub previous_version: String,
    /// It goes back to an earlier version because somebody asked for that.
    pub is_rollback: bool,
    /// `running`, `paused`, `aborting`, `completed`, `rolled_back`, `restoring` or `restored`.
    pub state: String,
    /// In their order.
    pub steps: Vec<Step>,
    /// The step that it is at, or was at when it ended, from 1.
    pub step: u32,
    /// Since when the time of this step counts: later by as long as it was paused.
    pub entered_at: Option<String>,
    /// The new version's share of the traffic in percent, as far as it is certain.
    pub weight: f64,
    /// The share that this step is about.
    pub goal_weight: f64,
    /// The largest share that it ever had.
    pub highest_weight: f64,
    /// Who lets it wait, while it is paused.
    pub paused: Option<Requested>,
    /// Who took it back.
    pub abort: Option<Requested>,
    /// What analyses found, the newest last.
    pub verdicts: Vec<Verdict>,
    /// When it began.
    pub started_at: Option<String>,
    /// When it ended.
    pub ended_at: Option<String>,
    /// Why it was taken back or out.
    pub reason: String,
    /// Where the service answers, once it is complete.
    pub address: String,
    /// What people and the rollout itself asked for, the newest last.
    pub requests: Vec<Requested>,
    /// What may be asked for now: `pause`, `resume`, `promote`, `promote_full`, `abort`, `retry`.
    pub possible: Vec<String>,
    /// `rollback` or `hold`.
    pub on_failure: String,
}

/// One step.
#[derive(Debug, Serialize)]
pub struct Step {
    /// For people, such as `bake 2m`.
    pub name: String,
    /// `bring_up`, `roll`, `weight`, `bake`, `analyse`, `pause`, `preview`, `validate`, `switch`, `monitor`, `retire` or
    /// `keep_old`.
    pub kind: String,
    /// `pending`, `current`, `done`, `skipped` or `stopped`.
    pub state: String,
    /// When it came to this step last.
    pub entered_at: Option<String>,
    /// When it went on.
    pub left_at: Option<String>,
    /// How long it lasts, where that is known.
    pub seconds: u64,
    /// The new version's share of the traffic at its end, in percent.
    pub weight: f64,
}

/// What somebody asked for.
#[derive(Debug, Serialize)]
pub struct Requested {
    /// `pause`, `resume`, `promote`, `promote_full`, `abort` or `retry`.
    pub what: String,
    /// Who; empty: the rollout itself.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Option<String>,
}

/// What an analysis found.
#[derive(Debug, Serialize)]
pub struct Verdict {
    /// In which step, from 1.
    pub step: u32,
    /// `pass`, `fail`, `inconclusive`, `no_data` or `error`.
    pub verdict: String,
    /// By what.
    pub evidence: Vec<Evidence>,
    /// When.
    pub at: Option<String>,
}

/// What a verdict is based on.
#[derive(Debug, Serialize)]
pub struct Evidence {
    /// What was asked.
    pub query: String,
    /// What came back.
    pub values: String,
    /// What it was held against.
    pub threshold: String,
}

impl Rollouts {
    /// Several rollouts.
    #[must_use]
    pub fn of(rollouts: &[v1::Rollout]) -> Self {
        Self {
            rollouts: rollouts.iter().map(Rollout::of).collect(),
        }
    }
}

impl Rollout {
    /// One rollout.
    #[must_use]
    pub fn of(rollout: &v1::Rollout) -> Self {
        let rollout = rollout.clone();
        Self {
            run_id: rollout.run_id,
            service: rollout.service,
            environment: rollout.environment,
            version: rollout.version,
            image_digest: rollout.image_digest,
            previous_version: rollout.previous_version,
            is_rollback: rollout.is_rollback,
            state: rollout.state,
            steps: rollout.steps.into_iter().map(Step::of).collect(),
            step: rollout.step,
            entered_at: rfc3339(rollout.entered_at.as_ref()),
            weight: rollout.weight,
            goal_weight: rollout.goal_weight,
            highest_weight: rollout.highest_weight,
            paused: rollout.paused.map(Requested::of),
            abort: rollout.abort.map(Requested::of),
            verdicts: rollout.verdicts.into_iter().map(Verdict::of).collect(),
            started_at: rfc3339(rollout.started_at.as_ref()),
            ended_at: rfc3339(rollout.ended_at.as_ref()),
            reason: rollout.reason,
            address: rollout.address,
            requests: rollout.requests.into_iter().map(Requested::of).collect(),
            possible: rollout.possible,
            on_failure: rollout.on_failure,
        }
    }
}

impl Step {
    fn of(step: v1::RolloutStep) -> Self {
        Self {
            name: step.name,
            kind: step.kind,
            state: step.state,
            entered_at: rfc3339(step.entered_at.as_ref()),
            left_at: rfc3339(step.left_at.as_ref()),
            seconds: step.seconds,
            weight: step.weight,
        }
    }
}

impl Requested {
    fn of(requested: v1::RolloutRequested) -> Self {
        Self {
            what: requested.what,
            by: requested.by,
            reason: requested.reason,
            at: rfc3339(requested.at.as_ref()),
        }
    }
}

impl Verdict {
    fn of(verdict: v1::RolloutVerdict) -> Self {
        let evidence = |evidence: v1::RolloutEvidence| Evidence {
            query: evidence.query,
            values: evidence.values,
            threshold: evidence.threshold,
        };
        Self {
            step: verdict.step,
            verdict: verdict.verdict,
            evidence: verdict.evidence.into_iter().map(evidence).collect(),
            at: rfc3339(verdict.at.as_ref()),
        }
    }
}
