//! The `slipway` program against a gateway that is scripted in this process: what it prints, where, and how it ends.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod errors;
mod fake_gateway;
mod files;
mod json;
mod machine;
mod people;
mod previews;
mod program;
mod rollouts;
mod samples;
mod watching;
