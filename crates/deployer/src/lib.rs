//! Rolls releases out to environments and back.
//!
//! Jobs: `deploy` (stages `deploy:<environment>` and `restore:<environment>`). Events out: `StageStarted` and `StageEnded` of runs, `Started`,
//! `RestoreStarted` and `Ended` of rollouts. Questions: `slipway.deployer.v1.DeployerService`. Configuration: [`Config`].
//!
//! A rollout is a loop: look at what is there, let [`rolling`] decide, do it. The loop keeps nothing that can't be
//! seen on the target, so another deployer goes on where one stopped.

mod admission;
mod analysis;
mod config;
mod converge;
mod docker;
mod error;
mod events;
mod grpc;
mod kept;
mod kubernetes;
mod on_deploy;
mod on_restore;
mod origin;
mod placement;
mod preview;
mod repair;
pub mod rolling;
mod service;
mod side_by_side;
mod steps;
mod take_back;
mod target;
mod voice;
mod wanted;

pub use config::Config;
pub use error::Error;
pub use service::Service;
