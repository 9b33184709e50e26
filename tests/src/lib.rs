//! What the end-to-end suites in `tests/` share: an [`Installation`] of the real programs with registries and
//! environments of its own, its command line, services to carry through it, and a look at the container engine.

pub mod binaries;
pub mod cli;
pub mod docker;
pub mod forge;
pub mod http_client;
pub mod installation;
pub mod processes;
pub mod python;
pub mod registries;
pub mod services;
pub mod wait;

pub use cli::Answer;
pub use installation::{Installation, Setup};
pub use wait::eventually;

/// The image of services in Python.
pub const PYTHON: &str = "python:3.11-slim";
