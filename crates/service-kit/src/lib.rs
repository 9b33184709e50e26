//! What every service's main needs: configuration, telemetry, authentication, health, shutdown.
//!
//! A service's `main` calls [`main_of`] and is done: configuration is parsed, the platform file read and the bus
//! connected before the service begins, telemetry is up before it and flushed after it, signals become a
//! `CancellationToken`, and an error becomes an exit code and a readable text.

pub mod auth;
pub mod cause;
pub mod config;
pub mod grpc;
pub mod health;
mod main_of;
pub mod platform;
pub mod shutdown;
pub mod telemetry;

pub use main_of::{Configuration, main_of};
