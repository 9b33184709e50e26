//! Test tools: real NATS servers, registries, repositories and engines for tests.
pub mod docker;
pub mod git;
pub mod kubernetes;
pub mod load;
pub mod nats;
pub mod registry;
pub mod skip;
