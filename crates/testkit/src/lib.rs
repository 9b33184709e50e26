//! Test tools: real NATS servers, registries, repositories and engines for tests.
