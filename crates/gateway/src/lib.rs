//! Faces teams: gRPC, webhooks, the inbox of commits; plans runs and takes approvals.
//!
//! In: `slipway.gateway.v1` over gRPC and gRPC-Web, `POST /webhooks` over HTTP, commits on `slipway.commit.*`. Events
//! out: `Reserved` of releases; `Created`, `Refused`, reviews, `CancelRequested` and `Retried` of runs; what people ask of rollouts. Lists come
//! from a [`projection`] of all events; what is about one run is read anew. Configuration: [`Config`].

pub mod commit_event;
mod config;
mod error;
mod gateway;
mod grpc;
mod http;
mod inbox;
pub mod intake;
mod parts;
mod placing;
pub mod projection;
pub mod rollouts;
mod service;
pub mod webhook;

pub use config::{Config, PartUrls};
pub use error::Error;
pub use service::Service;
