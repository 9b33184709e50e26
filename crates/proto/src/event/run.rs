//! Events of runs on the wire.

use domain::plan::{Plan, PlannedEnvironment, PlannedStage};
use domain::run::{Actor, Change, Created, DeployTarget, Event, Kind, ReusedStage, Trigger};
use domain::version::PlannedVersion;

use super::release::{level_from_wire, level_to_wire};
use super::stage::{outcome_from_wire, outcome_to_wire, result_from_wire, result_to_wire};
use super::{DecodeError, time, version};
use crate::wire::v1;
use v1::run_event::Event as Wire;

pub(super) fn to_wire(event: &Event) -> v1::RunEvent {
    let (at, event) = match event {
        Event::Created(created) => (created.at, Wire::Created(created_to_wire(created))),
        Event::Refused { change, reason, at } => {
            let refused = v1::RunRefused {
                change: Some(change_to_wire(change)),
                reason: reason.clone(),
            };
            (*at, Wire::Refused(refused))
        }
        Event::StageStarted {
            stage,
            attempt,
            worker,
            at,
        } => {
            let (stage, worker_id) = (stage.to_string(), worker.to_string());
            (
                *at,
                Wire::StageStarted(v1::StageStarted {
                    stage,
                    attempt: *attempt,
                    worker_id,
                }),
            )
        }
        Event::StageEnded {
            stage,
            attempt,
            outcome,
            at,
        } => {
            let outcome = Some(outcome_to_wire(outcome));
            (
                *at,
                Wire::StageEnded(v1::StageEnded {
                    stage: stage.to_string(),
                    attempt: *attempt,
                    outcome,
                }),
            )
        }
        Event::Approved {
            environment,
            by,
            reason,
            at,
        } => (*at, reviewed(environment.as_str(), true, by, reason)),
        Event::Rejected {
            environment,
            by,
            reason,
            at,
        } => (*at, reviewed(environment.as_str(), false, by, reason)),
        Event::CancelRequested { by, reason, at } => (
            *at,
            Wire::CancelRequested(v1::CancelRequested {
                by: by.0.clone(),
                reason: reason.clone(),
            }),
        ),
        Event::Retried { by, at } => (*at, Wire::Retried(v1::Retried { by: by.0.clone() })),
    };
    v1::RunEvent {
        at: Some(time::to_wire(at)),
        event: Some(event),
    }
}

fn reviewed(environment: &str, approved: bool, by: &Actor, reason: &str) -> Wire {
    Wire::Reviewed(v1::Reviewed {
        environment: environment.to_owned(),
        approved,
        by: by.0.clone(),
        reason: reason.to_owned(),
    })
}

pub(super) fn from_wire(event: v1::RunEvent) -> Result<Event, DecodeError> {
    let at = time::from_wire(event.at)?;
    Ok(
        match event.event.ok_or(DecodeError::Missing("run event"))? {
            Wire::Created(e) => Event::Created(Box::new(created_from_wire(e, at)?)),
            Wire::Refused(e) => {
                let change = Box::new(change_from_wire(
                    e.change.ok_or(DecodeError::Missing("change"))?,
                )?);
                Event::Refused {
                    change,
                    reason: e.reason,
                    at,
                }
            }
            Wire::StageStarted(e) => Event::StageStarted {
                stage: e.stage.parse()?,
                attempt: e.attempt,
                worker: e.worker_id.parse()?,
                at,
            },
            Wire::StageEnded(e) => Event::StageEnded {
                stage: e.stage.parse()?,
                attempt: e.attempt,
                outcome: outcome_from_wire(e.outcome.ok_or(DecodeError::Missing("outcome"))?)?,
                at,
            },
            Wire::Reviewed(e) => {
                let (environment, by, reason) = (e.environment.parse()?, Actor(e.by), e.reason);
                if e.approved {
                    Event::Approved {
                        environment,
                        by,
                        reason,
                        at,
                    }
                } else {
                    Event::Rejected {
                        environment,
                        by,
                        reason,
                        at,
                    }
                }
            }
            Wire::CancelRequested(e) => Event::CancelRequested {
                by: Actor(e.by),
                reason: e.reason,
                at,
            },
            Wire::Retried(e) => Event::Retried {
                by: Actor(e.by),
                at,
            },
        },
    )
}

fn created_to_wire(created: &Created) -> v1::RunCreated {
    v1::RunCreated {
        run_id: created.run.to_string(),
        change: Some(change_to_wire(&created.change)),
        version: created.version.as_ref().map(|planned| v1::PlannedVersion {
            version: planned.version.to_string(),
            previous: planned
                .previous
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            level: level_to_wire(planned.level).into(),
            because: planned.because.clone(),
        }),
        spec_json: serde_json::to_string(&created.spec).expect("a service file's keys are text"),
        plan: Some(plan_to_wire(&created.plan)),
        reused: created.reused.iter().map(reused_to_wire).collect(),
    }
}

fn created_from_wire(created: v1::RunCreated, at: jiff::Timestamp) -> Result<Created, DecodeError> {
    let planned = created.version.map(|planned| {
        let previous = (!planned.previous.is_empty())
            .then(|| version(&planned.previous))
            .transpose()?;
        let level = level_from_wire(planned.level())?;
        Ok::<_, DecodeError>(PlannedVersion {
            version: version(&planned.version)?,
            previous,
            level,
            because: planned.because,
        })
    });
    Ok(Created {
        run: created.run_id.parse()?,
        change: change_from_wire(created.change.ok_or(DecodeError::Missing("change"))?)?,
        version: planned.transpose()?,
        spec: json("service file", &created.spec_json)?,
        plan: plan_from_wire(created.plan.ok_or(DecodeError::Missing("plan"))?)?,
        reused: created
            .reused
            .into_iter()
            .map(reused_from_wire)
            .collect::<Result<_, _>>()?,
        at,
    })
}

fn reused_to_wire(reused: &ReusedStage) -> v1::ReusedStage {
    v1::ReusedStage {
        stage: reused.stage.to_string(),
        from_run_id: reused.from.to_string(),
        result: Some(result_to_wire(&reused.result)),
    }
}

fn reused_from_wire(reused: v1::ReusedStage) -> Result<ReusedStage, DecodeError> {
    Ok(ReusedStage {
        stage: reused.stage.parse()?,
        from: reused.from_run_id.parse()?,
        result: result_from_wire(reused.result.unwrap_or_default())?,
    })
}

fn json<T: serde::de::DeserializeOwned>(what: &'static str, text: &str) -> Result<T, DecodeError> {
    serde_json::from_str(text).map_err(|source| DecodeError::Json { what, source })
}

fn plan_to_wire(plan: &Plan) -> v1::Plan {
    let stage = |s: &PlannedStage| v1::PlannedStage {
        name: s.name.to_string(),
        needs: s.needs.iter().map(ToString::to_string).collect(),
        time_limit: Some(time::duration_to_wire(s.time_limit)),
    };
    let environment = |e: &PlannedEnvironment| v1::PlannedEnvironment {
        name: e.name.to_string(),
        approvals: e.approvals,
        production: e.production,
        target_json: serde_json::to_string(&e.target).expect("a target's keys are text"),
    };
    v1::Plan {
        stages: plan.stages.iter().map(stage).collect(),
        environments: plan.environments.iter().map(environment).collect(),
        development_repository: plan.development_repository.clone(),
        production_repository: plan.production_repository.clone(),
    }
}

fn plan_from_wire(plan: v1::Plan) -> Result<Plan, DecodeError> {
    let stage = |s: v1::PlannedStage| {
        Ok::<_, DecodeError>(PlannedStage {
            name: s.name.parse()?,
            needs: s
                .needs
                .iter()
                .map(|n| n.parse())
                .collect::<Result<_, _>>()?,
            time_limit: time::duration_from_wire(s.time_limit)
                .ok_or(DecodeError::Missing("time limit"))?,
        })
    };
    let environment = |e: v1::PlannedEnvironment| {
        Ok::<_, DecodeError>(PlannedEnvironment {
            name: e.name.parse()?,
            approvals: e.approvals,
            production: e.production,
            target: json("target", &e.target_json)?,
        })
    };
    Ok(Plan {
        stages: plan
            .stages
            .into_iter()
            .map(stage)
            .collect::<Result<_, _>>()?,
        environments: plan
            .environments
            .into_iter()
            .map(environment)
            .collect::<Result<_, _>>()?,
        development_repository: plan.development_repository,
        production_repository: plan.production_repository,
    })
}

fn change_to_wire(change: &Change) -> v1::Change {
    use v1::change::Kind as WireKind;
    let target = |t: &DeployTarget| v1::DeployTarget {
        environment: t.environment.to_string(),
        origin_run_id: t.origin.to_string(),
        repository: t.repository.clone(),
        digest: t.digest.to_string(),
        overwrites_changes: t.overwrites_changes,
    };
    v1::Change {
        service: change.service.to_string(),
        kind: Some(match &change.kind {
            Kind::Change => WireKind::Change(v1::ChangeKind {}),
            Kind::Proposal { number } => WireKind::Proposal(v1::ProposalKind {
                number: number.clone(),
            }),
            Kind::Deploy(t) => WireKind::Deploy(target(t)),
            Kind::Rollback(t) => WireKind::Rollback(target(t)),
        }),
        repository: change.repository.clone(),
        reference: change.reference.clone(),
        commit: change.commit.clone(),
        path: change.path.clone(),
        subject: change.subject.clone(),
        author: change.author.clone(),
        trigger: Some(v1::Trigger {
            via: change.trigger.via.clone(),
            delivery: change.trigger.delivery.clone(),
            actor: change.trigger.actor.0.clone(),
        }),
    }
}

fn change_from_wire(change: v1::Change) -> Result<Change, DecodeError> {
    use v1::change::Kind as WireKind;
    let target = |t: v1::DeployTarget| {
        Ok::<_, DecodeError>(DeployTarget {
            environment: t.environment.parse()?,
            origin: t.origin_run_id.parse()?,
            repository: t.repository,
            digest: t.digest.parse()?,
            overwrites_changes: t.overwrites_changes,
        })
    };
    let trigger = change.trigger.ok_or(DecodeError::Missing("trigger"))?;
    Ok(Change {
        service: change.service.parse()?,
        kind: match change.kind.ok_or(DecodeError::Missing("kind of run"))? {
            WireKind::Change(_) => Kind::Change,
            WireKind::Proposal(p) => Kind::Proposal { number: p.number },
            WireKind::Deploy(t) => Kind::Deploy(target(t)?),
            WireKind::Rollback(t) => Kind::Rollback(target(t)?),
        },
        repository: change.repository,
        reference: change.reference,
        commit: change.commit,
        path: change.path,
        subject: change.subject,
        author: change.author,
        trigger: Trigger {
            via: trigger.via,
            delivery: trigger.delivery,
            actor: Actor(trigger.actor),
        },
    })
}
