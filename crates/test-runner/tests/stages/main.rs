//! The stages of a test-runner with a real engine, a real bus and a real registry, from a claimed job to its outcome.

#![expect(clippy::unwrap_used, reason = "the helpers of tests fail as tests do")]

mod bench;
mod cancel;
mod environment;
mod functional;
mod unit;
