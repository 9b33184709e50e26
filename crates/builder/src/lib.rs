//! Checks out a commit, builds its workspace and its container image.
//!
//! Jobs: `build` (stage `build`: the team's commands in the team's container; the result is the workspace image) and
//! `image` (the service's container image, pushed to the development registry under the run's own tag). Events out:
//! `StageStarted` and `StageEnded` of runs. Questions: `slipway.builder.v1.BuilderService`.
//! Configuration: [`Config`].

mod cache;
mod config;
mod error;
mod grpc;
mod images;
mod on_build;
mod on_image;
mod service;

pub use config::Config;
pub use error::Error;
pub use service::Service;
