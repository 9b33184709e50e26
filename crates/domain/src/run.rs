//! A run: one passage of a commit through the pipeline, as the fold of its events.
//!
//! [`Run::fold`] gives the state, [`Run::apply`] is the one step of it, for live events and replay alike; the
//! functions in [`decide`] answer what may happen next and return the event that says so. Appending that event is
//! the caller's business, and is optimistic: of two writers that decided from the same state one loses and decides
//! again.

pub mod apply;
pub mod decide;
pub mod event;
mod restore;
pub mod state;

pub use apply::IllegalTransition;
pub use decide::{Claim, Job, Refusal};
pub use event::{Actor, Change, Created, DeployTarget, Event, Kind, ReusedStage, Trigger};
pub use state::{Attempt, Run, RunState, Stage, StageState};

#[cfg(test)]
mod tests;
