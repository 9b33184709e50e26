//! Generated gRPC and event types (`slipway.<area>.v1`), and their conversions to and from `domain`.
//!
//! The generated code under `gen/` is committed; `cargo xtask codegen` makes it anew and a test compares.
//! [`event`] turns the bytes on the bus into `domain`'s events and back: the only place where the wire format of an
//! event and its meaning meet.

pub mod event;
pub mod view;

#[allow(
    missing_docs,
    unreachable_pub,
    unused_qualifications,
    clippy::all,
    clippy::pedantic,
    clippy::needless_pass_by_value
)]
mod generated {
    include!("gen/modules.rs");
}

pub use generated::slipway::{
    builder, deployer, gateway, job, preview, registry_promoter, test_runner,
};

/// The wire formats of events.
pub mod wire {
    pub use crate::generated::slipway::event::v1;
}

/// Every file descriptor, for gRPC reflection.
pub const DESCRIPTORS: &[u8] = include_bytes!("gen/descriptors.bin");
