//! The slipway command: the CLI, and all services in one process.
