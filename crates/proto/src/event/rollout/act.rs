//! What is done with a rollout, on the wire.

use domain::ids::RunId;
use domain::rollout::{Act, Evidence, Verdict};
use domain::run::Actor;

use crate::event::DecodeError;
use crate::wire::v1;

pub(super) fn to_wire(run: &RunId, act: &Act) -> v1::RolloutActed {
    use v1::rollout_acted::Act as Wire;
    let name = |by: &Option<Actor>| by.as_ref().map(|by| by.0.clone());
    let act = match act {
        Act::StepEntered { index } => Wire::StepEntered(v1::StepEntered { index: *index }),
        Act::Paused { by, reason } => Wire::Paused(v1::RolloutPaused {
            by: name(by),
            reason: reason.clone(),
        }),
        Act::Resumed { by } => Wire::Resumed(v1::RolloutResumed { by: by.0.clone() }),
        Act::Promoted { by, full } => Wire::Promoted(v1::RolloutPromoted {
            by: by.0.clone(),
            full: *full,
        }),
        Act::AbortRequested { by, reason } => Wire::AbortRequested(v1::AbortRequested {
            by: name(by),
            reason: reason.clone(),
        }),
        Act::Retried { by } => Wire::Retried(v1::RolloutRetried { by: by.0.clone() }),
        Act::Judged {
            index,
            verdict,
            evidence,
        } => Wire::Judged(v1::RolloutJudged {
            index: *index,
            verdict: verdict_to_wire(*verdict).into(),
            evidence: evidence.iter().cloned().map(evidence_to_wire).collect(),
        }),
    };
    v1::RolloutActed {
        run_id: run.to_string(),
        act: Some(act),
    }
}

pub(super) fn from_wire(acted: v1::RolloutActed) -> Result<(RunId, Act), DecodeError> {
    use v1::rollout_acted::Act as Wire;
    let act = acted.act.ok_or(DecodeError::Missing("act of a rollout"))?;
    let act = match act {
        Wire::StepEntered(a) => Act::StepEntered { index: a.index },
        Wire::Paused(a) => Act::Paused {
            by: a.by.map(Actor),
            reason: a.reason,
        },
        Wire::Resumed(a) => Act::Resumed { by: Actor(a.by) },
        Wire::Promoted(a) => Act::Promoted {
            by: Actor(a.by),
            full: a.full,
        },
        Wire::AbortRequested(a) => Act::AbortRequested {
            by: a.by.map(Actor),
            reason: a.reason,
        },
        Wire::Retried(a) => Act::Retried { by: Actor(a.by) },
        Wire::Judged(a) => Act::Judged {
            index: a.index,
            verdict: verdict_from_wire(a.verdict())?,
            evidence: a.evidence.into_iter().map(evidence_from_wire).collect(),
        },
    };
    Ok((acted.run_id.parse()?, act))
}

fn verdict_to_wire(verdict: Verdict) -> v1::Verdict {
    match verdict {
        Verdict::Pass => v1::Verdict::Pass,
        Verdict::Fail => v1::Verdict::Fail,
        Verdict::Inconclusive => v1::Verdict::Inconclusive,
        Verdict::NoData => v1::Verdict::NoData,
        Verdict::Error => v1::Verdict::Error,
    }
}

fn verdict_from_wire(verdict: v1::Verdict) -> Result<Verdict, DecodeError> {
    Ok(match verdict {
        v1::Verdict::Pass => Verdict::Pass,
        v1::Verdict::Fail => Verdict::Fail,
        v1::Verdict::Inconclusive => Verdict::Inconclusive,
        v1::Verdict::NoData => Verdict::NoData,
        v1::Verdict::Error => Verdict::Error,
        v1::Verdict::Unspecified => return Err(DecodeError::Missing("verdict")),
    })
}

fn evidence_to_wire(evidence: Evidence) -> v1::Evidence {
    v1::Evidence {
        query: evidence.query,
        values: evidence.values,
        threshold: evidence.threshold,
    }
}

fn evidence_from_wire(evidence: v1::Evidence) -> Evidence {
    Evidence {
        query: evidence.query,
        values: evidence.values,
        threshold: evidence.threshold,
    }
}
