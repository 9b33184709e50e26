//! The plan of a rollout on the wire.

use domain::rollout::{OnFailure, Plan, Step};
use domain::spec::{Batch, Percent, TimeSpan};

use crate::event::{DecodeError, time};
use crate::wire::v1;

pub(super) fn to_wire(plan: &Plan) -> v1::RolloutPlan {
    v1::RolloutPlan {
        steps: plan.steps.iter().map(|step| step_to_wire(*step)).collect(),
        is_analysed: plan.is_analysed,
        holds_on_failure: plan.on_failure == OnFailure::Hold,
    }
}

pub(super) fn from_wire(plan: v1::RolloutPlan) -> Result<Plan, DecodeError> {
    let steps: Result<Vec<Step>, DecodeError> =
        plan.steps.into_iter().map(step_from_wire).collect();
    Ok(Plan {
        steps: steps?,
        is_analysed: plan.is_analysed,
        on_failure: if plan.holds_on_failure {
            OnFailure::Hold
        } else {
            OnFailure::Rollback
        },
    })
}

fn step_to_wire(step: Step) -> v1::RolloutStep {
    use v1::rollout_step::Step as Wire;
    let nothing = v1::Nothing {};
    let span = |span: TimeSpan| time::duration_to_wire(span.get());
    let step = match step {
        Step::BringUp => Wire::BringUp(nothing),
        Step::Roll {
            max_surge,
            max_unavailable,
        } => Wire::Roll(v1::RollStep {
            max_surge: Some(batch_to_wire(max_surge)),
            max_unavailable: Some(batch_to_wire(max_unavailable)),
        }),
        Step::Weight(weight) => Wire::WeightPartsPerMillion(weight.parts_per_million()),
        Step::Bake(time) => Wire::Bake(span(time)),
        Step::Analyse => Wire::Analyse(nothing),
        Step::Pause => Wire::Pause(nothing),
        Step::Preview => Wire::Preview(nothing),
        Step::Validate => Wire::Validate(nothing),
        Step::Switch => Wire::SwitchOver(nothing),
        Step::Monitor(time) => Wire::Monitor(span(time)),
        Step::Retire => Wire::Retire(nothing),
        Step::KeepOld(time) => Wire::KeepOld(span(time)),
    };
    v1::RolloutStep { step: Some(step) }
}

fn step_from_wire(step: v1::RolloutStep) -> Result<Step, DecodeError> {
    use v1::rollout_step::Step as Wire;
    let span = |duration| {
        let time = time::duration_from_wire(Some(duration))
            .ok_or(DecodeError::Missing("time of a step"))?;
        let milliseconds = u64::try_from(time.as_millis()).map_err(|_| DecodeError::Time)?;
        Ok::<_, DecodeError>(TimeSpan::from_millis(milliseconds))
    };
    Ok(
        match step.step.ok_or(DecodeError::Missing("step of a rollout"))? {
            Wire::BringUp(_) => Step::BringUp,
            Wire::Roll(roll) => Step::Roll {
                max_surge: batch_from_wire(roll.max_surge)?,
                max_unavailable: batch_from_wire(roll.max_unavailable)?,
            },
            Wire::WeightPartsPerMillion(parts) => {
                Step::Weight(Percent::from_parts_per_million(parts))
            }
            Wire::Bake(time) => Step::Bake(span(time)?),
            Wire::Analyse(_) => Step::Analyse,
            Wire::Pause(_) => Step::Pause,
            Wire::Preview(_) => Step::Preview,
            Wire::Validate(_) => Step::Validate,
            Wire::SwitchOver(_) => Step::Switch,
            Wire::Monitor(time) => Step::Monitor(span(time)?),
            Wire::Retire(_) => Step::Retire,
            Wire::KeepOld(time) => Step::KeepOld(span(time)?),
        },
    )
}

fn batch_to_wire(batch: Batch) -> v1::Batch {
    use v1::batch::Batch as Wire;
    let batch = match batch {
        Batch::Count(count) => Wire::Count(count),
        Batch::Share(share) => Wire::SharePartsPerMillion(share.parts_per_million()),
    };
    v1::Batch { batch: Some(batch) }
}

fn batch_from_wire(batch: Option<v1::Batch>) -> Result<Batch, DecodeError> {
    use v1::batch::Batch as Wire;
    let batch = batch
        .and_then(|b| b.batch)
        .ok_or(DecodeError::Missing("batch of a rolling update"))?;
    Ok(match batch {
        Wire::Count(count) => Batch::Count(count),
        Wire::SharePartsPerMillion(parts) => Batch::Share(Percent::from_parts_per_million(parts)),
    })
}
