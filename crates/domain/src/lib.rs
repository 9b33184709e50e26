//! What Slipway knows: the files that teams write, the plan of a run, and the three aggregates
//! (run, release, rollout) as folds over their events.
//!
//! Nothing here does I/O, reads a clock or makes an identifier: a caller brings events and the time, and gets a
//! state or a decision. Every service asks these same functions what may happen next, so no orchestrator is needed.

pub mod analysis;
pub mod diagnostic;
mod document;
pub mod ids;
pub mod manifest;
pub mod plan;
pub mod platform;
pub mod release;
pub mod rollout;
pub mod run;
pub mod spec;
pub mod stage;
pub mod version;
