//! Events of rollouts on the wire.

use domain::rollout::{End, Event, Placement};

use super::{DecodeError, time};
use crate::wire::v1;

mod act;
mod plan;

pub(super) fn to_wire(event: &Event) -> v1::RolloutEvent {
    use v1::rollout_event::Event as Wire;
    let (at, event) = match event {
        Event::Started { placement: p, plan } => (
            p.at,
            Wire::Started(v1::RolloutStarted {
                run_id: p.run.to_string(),
                origin_run_id: p.origin.to_string(),
                order: p.order,
                version: p.version.clone(),
                repository: p.repository.clone(),
                digest: p.digest.to_string(),
                is_rollback: p.is_rollback,
                plan: plan.as_ref().map(plan::to_wire),
            }),
        ),
        Event::Acted { run, act, at } => (*at, Wire::Acted(act::to_wire(run, act))),
        Event::RestoreStarted { run, at } => (
            *at,
            Wire::RestoreStarted(v1::RestoreStarted {
                run_id: run.to_string(),
            }),
        ),
        Event::Ended { run, end, at } => {
            use v1::rollout_ended::End as WireEnd;
            let end = match end {
                End::Completed { address } => WireEnd::Completed(v1::RolloutCompleted {
                    address: address.clone(),
                }),
                End::RolledBack { reason } => WireEnd::RolledBack(v1::RolledBack {
                    reason: reason.clone(),
                }),
                End::Restored { reason, address } => WireEnd::Restored(v1::Restored {
                    reason: reason.clone(),
                    address: address.clone(),
                }),
            };
            (
                *at,
                Wire::Ended(v1::RolloutEnded {
                    run_id: run.to_string(),
                    end: Some(end),
                }),
            )
        }
    };
    v1::RolloutEvent {
        at: Some(time::to_wire(at)),
        event: Some(event),
    }
}

pub(super) fn from_wire(event: v1::RolloutEvent) -> Result<Event, DecodeError> {
    use v1::rollout_event::Event as Wire;
    let at = time::from_wire(event.at)?;
    Ok(
        match event.event.ok_or(DecodeError::Missing("rollout event"))? {
            Wire::Started(e) => Event::Started {
                placement: Placement {
                    run: e.run_id.parse()?,
                    origin: e.origin_run_id.parse()?,
                    order: e.order,
                    version: e.version,
                    repository: e.repository,
                    digest: e.digest.parse()?,
                    is_rollback: e.is_rollback,
                    at,
                },
                plan: e.plan.map(plan::from_wire).transpose()?,
            },
            Wire::Acted(e) => {
                let (run, act) = act::from_wire(e)?;
                Event::Acted { run, act, at }
            }
            Wire::RestoreStarted(e) => Event::RestoreStarted {
                run: e.run_id.parse()?,
                at,
            },
            Wire::Ended(e) => {
                use v1::rollout_ended::End as WireEnd;
                let end = match e.end.ok_or(DecodeError::Missing("end of a rollout"))? {
                    WireEnd::Completed(c) => End::Completed { address: c.address },
                    WireEnd::RolledBack(r) => End::RolledBack { reason: r.reason },
                    WireEnd::Restored(r) => End::Restored {
                        reason: r.reason,
                        address: r.address,
                    },
                };
                Event::Ended {
                    run: e.run_id.parse()?,
                    end,
                    at,
                }
            }
        },
    )
}
