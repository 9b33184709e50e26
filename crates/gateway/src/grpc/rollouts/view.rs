//! Rollouts as people and scripts see them.

use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::{Act, End, Evidence, Judgement, OnFailure, Rollouts, Step, Verdict};
use domain::run::Actor;
use domain::spec::Percent;
use jiff::Timestamp;
use proto::event::time::to_wire;
use proto::gateway::v1;

use crate::rollouts::{History, Record};

/// One rollout.
pub(crate) fn rollout(
    (environment, service): &(EnvironmentName, ServiceName),
    record: &Record,
    history: &History,
) -> v1::Rollout {
    let (placement, progress) = (&record.placement, &record.progress);
    let weight = weight(record);
    let goal = match (&record.ended, &progress.abort) {
        (Some(_), _) => weight,
        (None, Some(_)) => Percent::ZERO,
        (None, None) => progress.plan.weight_at(progress.index),
    };
    let ended_at = record.ended.as_ref().map(|(_, at)| *at);
    let (reason, address) = match &record.ended {
        Some((End::Completed { address }, _)) => (String::new(), address.clone()),
        Some((End::RolledBack { reason }, _)) => (reason.clone(), String::new()),
        Some((End::Restored { reason, address }, _)) => (reason.clone(), address.clone()),
        None => (String::new(), String::new()),
    };
    v1::Rollout {
        run_id: placement.run.to_string(),
        service: service.to_string(),
        environment: environment.to_string(),
        version: placement.version.clone(),
        image_digest: placement.digest.to_string(),
        previous_version: record.before.clone().unwrap_or_default(),
        is_rollback: placement.is_rollback,
        state: state(record).to_owned(),
        steps: steps(record),
        step: number(progress.index),
        entered_at: Some(to_wire(progress.entered_at)),
        weight: percent(weight),
        goal_weight: percent(goal),
        highest_weight: percent(progress.highest_weight.max(weight)),
        paused: progress
            .paused
            .as_ref()
            .filter(|_| record.ended.is_none())
            .map(|p| requested("pause", p.by.as_ref(), &p.reason, p.at)),
        abort: progress
            .abort
            .as_ref()
            .map(|a| requested("abort", a.by.as_ref(), &a.reason, a.at)),
        verdicts: progress.judgements.iter().map(verdict).collect(),
        started_at: Some(to_wire(placement.at)),
        ended_at: ended_at.map(to_wire),
        reason,
        address,
        requests: record
            .requests
            .iter()
            .filter_map(|(act, at)| request(act, *at))
            .collect(),
        possible: possible(record, &history.rollouts),
        on_failure: match progress.plan.on_failure {
            OnFailure::Rollback => "rollback",
            OnFailure::Hold => "hold",
        }
        .to_owned(),
    }
}

fn state(record: &Record) -> &'static str {
    match &record.ended {
        _ if record.is_restoring => "restoring",
        Some((End::Completed { .. }, _)) => "completed",
        Some((End::RolledBack { .. }, _)) => "rolled_back",
        Some((End::Restored { .. }, _)) => "restored",
        None if record.progress.abort.is_some() => "aborting",
        None if record.progress.paused.is_some() => "paused",
        None => "running",
    }
}

/// The share of the traffic as far as it is certain: a step that moves it has not done so before its end.
fn weight(record: &Record) -> Percent {
    let progress = &record.progress;
    match &record.ended {
        Some((End::Completed { .. }, _)) => Percent::ALL,
        Some((End::RolledBack { .. } | End::Restored { .. }, _)) => Percent::ZERO,
        None if progress.step().is_some_and(Step::moves_traffic) => {
            progress.plan.weight_before(progress.index)
        }
        None => progress.plan.weight_at(progress.index),
    }
}

fn steps(record: &Record) -> Vec<v1::RolloutStep> {
    let plan = &record.progress.plan;
    let step = |(index, step): (usize, &Step)| {
        let entered = |of: usize| record.entered.iter().find(|(step, _)| *step == of);
        let at = entered(index).map(|(_, at)| *at);
        let next = record.entered.iter().find(|(step, _)| *step > index);
        let ended = record.ended.as_ref().map(|(_, at)| *at);
        let left = next.map(|(_, at)| *at).or(ended).filter(|_| at.is_some());
        v1::RolloutStep {
            name: step.to_string(),
            kind: kind(*step).to_owned(),
            state: state_of_step(record, index, *step).to_owned(),
            entered_at: at.map(to_wire),
            left_at: left.map(to_wire),
            seconds: seconds(*step),
            weight: percent(plan.weight_at(index)),
        }
    };
    plan.steps.iter().enumerate().map(step).collect()
}

fn state_of_step(record: &Record, index: usize, step: Step) -> &'static str {
    let was_entered = record.entered.iter().any(|(entered, _)| *entered == index);
    let at = record.progress.index;
    match &record.ended {
        Some((End::Completed { .. } | End::Restored { .. }, _)) => match step {
            // It begins with the end.
            Step::KeepOld(_) => "done",
            _ if was_entered => "done",
            _ => "skipped",
        },
        _ if index > at => "pending",
        Some((End::RolledBack { .. }, _)) if index == at => "stopped",
        None if index == at => "current",
        _ if was_entered => "done",
        _ => "skipped",
    }
}

fn kind(step: Step) -> &'static str {
    match step {
        Step::BringUp => "bring_up",
        Step::Roll { .. } => "roll",
        Step::Weight(_) => "weight",
        Step::Bake(_) => "bake",
        Step::Analyse => "analyse",
        Step::Pause => "pause",
        Step::Preview => "preview",
        Step::Validate => "validate",
        Step::Switch => "switch",
        Step::Monitor(_) => "monitor",
        Step::Retire => "retire",
        Step::KeepOld(_) => "keep_old",
    }
}

fn seconds(step: Step) -> u64 {
    match step {
        Step::Bake(time) | Step::Monitor(time) | Step::KeepOld(time) => time.get().as_secs(),
        Step::BringUp
        | Step::Roll { .. }
        | Step::Weight(_)
        | Step::Analyse
        | Step::Pause
        | Step::Preview
        | Step::Validate
        | Step::Switch
        | Step::Retire => 0,
    }
}

fn verdict(judgement: &Judgement) -> v1::RolloutVerdict {
    let evidence = |evidence: &Evidence| v1::RolloutEvidence {
        query: evidence.query.clone(),
        values: evidence.values.clone(),
        threshold: evidence.threshold.clone(),
    };
    v1::RolloutVerdict {
        step: number(judgement.index),
        verdict: match judgement.verdict {
            Verdict::Pass => "pass",
            Verdict::Fail => "fail",
            Verdict::Inconclusive => "inconclusive",
            Verdict::NoData => "no_data",
            Verdict::Error => "error",
        }
        .to_owned(),
        evidence: judgement.evidence.iter().map(evidence).collect(),
        at: Some(to_wire(judgement.at)),
    }
}

fn request(act: &Act, at: Timestamp) -> Option<v1::RolloutRequested> {
    Some(match act {
        Act::Paused { by, reason } => requested("pause", by.as_ref(), reason, at),
        Act::Resumed { by } => requested("resume", Some(by), "", at),
        Act::Promoted { by, full: false } => requested("promote", Some(by), "", at),
        Act::Promoted { by, full: true } => requested("promote_full", Some(by), "", at),
        Act::AbortRequested { by, reason } => requested("abort", by.as_ref(), reason, at),
        Act::Retried { by } => requested("retry", Some(by), "", at),
        Act::StepEntered { .. } | Act::Judged { .. } => return None,
    })
}

fn requested(what: &str, by: Option<&Actor>, reason: &str, at: Timestamp) -> v1::RolloutRequested {
    v1::RolloutRequested {
        what: what.to_owned(),
        by: by.map(|actor| actor.0.clone()).unwrap_or_default(),
        reason: reason.to_owned(),
        at: Some(to_wire(at)),
    }
}

/// What would not be refused now.
fn possible(record: &Record, rollouts: &Rollouts) -> Vec<String> {
    if record.ended.is_some() {
        return Vec::new();
    }
    let (run, by, now) = (
        &record.placement.run,
        Actor::slipway(),
        Timestamp::UNIX_EPOCH,
    );
    let answers = [
        ("pause", rollouts.pause(run, &by, "", now)),
        ("resume", rollouts.resume(run, &by, now)),
        ("promote", rollouts.promote(run, &by, false, now)),
        ("promote_full", rollouts.promote(run, &by, true, now)),
        ("abort", rollouts.abort(run, &by, "", now)),
        ("retry", rollouts.retry(run, &by, now)),
    ];
    let granted = answers.into_iter().filter(|(_, answer)| answer.is_ok());
    granted.map(|(name, _)| name.to_owned()).collect()
}

fn number(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX).saturating_add(1)
}

fn percent(share: Percent) -> f64 {
    f64::from(share.parts_per_million()) / 1e4
}
