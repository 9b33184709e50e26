//! Runs unit, functional, integration and load tests in containers and reads their reports.
//!
//! Jobs: `test`, one for each of the four test stages (`on_*.rs`). Events out: `StageStarted` and `StageEnded` of
//! runs. Questions: `slipway.test_runner.v1.TestRunnerService`. Configuration: [`Config`].

mod attempt;
mod compose;
mod config;
mod dependency;
mod ended;
mod error;
mod grpc;
mod load;
mod on_functional_test;
mod on_integration_test;
mod on_load_test;
mod on_unit_test;
mod place;
mod probe;
mod readiness;
mod reports;
mod service;
mod stack;
mod suite;
mod verdict;

pub use config::Config;
pub use error::Error;
pub use service::Service;
