//! The weighted HTTP proxy of the docker target.
//!
//! One edge runs per environment and service, in a container that carries the service's network alias. It listens on
//! the service's port and spreads requests over the replicas by exact weights, among those that are ready. Slipway's
//! deployer steers it without a network path of its own: it puts a [`table::Table`] into the container as
//! `/state/table.json`, and runs `edge reload` (through `docker exec`), which answers with a [`status::Status`].
//!
//! What it promises: no request fails because replicas come and go. A replica that leaves the table gets nothing new
//! and finishes what it has; one that cannot be connected to is set aside at once, and the request goes elsewhere.
//!
//! | module | holds |
//! |---|---|
//! | [`table`], [`status`] | the two documents exchanged with the deployer |
//! | [`server`] | a running edge; reload and graceful stop |
//! | [`probe`] | waiting for something to answer |
//! | [`load`] | requests at a constant rate, measured |
//! | [`get`] | one question and its whole answer |
//! | [`cli`] | the commands of the binary |

mod admin;
mod answer;
mod backend;
mod body;
pub mod cli;
mod connect;
mod cookies;
mod counters;
mod duration;
mod error;
mod forward;
pub mod get;
mod headers;
pub mod histogram;
mod listener;
pub mod load;
mod outgoing;
pub mod probe;
mod prober;
mod readiness;
mod route;
mod router;
mod schedule;
pub mod server;
pub mod status;
pub mod table;
mod tunnel;

pub use error::Error;
