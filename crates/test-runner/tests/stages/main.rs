//! The stages of a test-runner with a real engine, a real bus and a real registry, from a claimed job to its outcome.

mod bench;
mod cancel;
mod environment;
mod functional;
mod unit;
