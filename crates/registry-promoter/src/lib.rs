//! Publishes candidates and promotes releases between registries.
//!
//! Jobs: `promote` (stages `publish` and `promote`). Events out: `StageStarted` and `StageEnded` of runs,
//! `CandidatePublished` and `Released` of releases. Questions: `slipway.registry_promoter.v1.RegistryPromoterService`.
//! Configuration: [`Config`].
//!
//! An image is never built again on its way and a release tag never moves: what is promoted is the digest that was
//! tested, copied byte by byte, and the tag is written last.

mod config;
mod error;
mod grpc;
mod labels;
mod on_promote;
mod on_publish;
mod registries;
mod service;
mod stage_end;

pub use config::Config;
pub use error::Error;
pub use service::Service;
