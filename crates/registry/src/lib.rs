//! OCI registries: copy by digest, referrers, tags.
//!
//! A client of the [distribution specification] for what a release needs: images go from one registry to another byte
//! for byte ([`copy`]), with everything attached to them, without touching the disk; then one tag is written that never
//! moves ([`tag_release`]). Every digest is computed while the bytes pass; what doesn't match never becomes complete in
//! the target.
//!
//! All retrying happens in one place, [`RetryPolicy`]; what is left is an [`Error`] that names the registry, the
//! repository and the reference, says what to do next, and has an [`ErrorClass`] to decide by.
//!
//! [distribution specification]: https://github.com/opencontainers/distribution-spec/blob/main/spec.md

mod auth;
mod blobs;
mod challenge;
mod client;
mod config;
mod copy;
mod digest;
mod error;
mod failure;
mod image_config;
mod link;
mod manifest;
mod manifests;
mod name;
mod reference;
mod referrers;
mod release;
mod retry;
mod transport;
mod verify;

pub use client::Registry;
pub use config::{Credentials, RegistryConfig, Timeouts};
pub use copy::{CopyOptions, CopyReport, copy};
pub use digest::{Algorithm, Digest, InvalidDigest};
pub use error::{Error, ErrorClass, Place};
pub use image_config::{ContainerConfig, ImageConfig};
pub use manifest::{Descriptor, Manifest, Platform, media_type};
pub use manifests::Deletion;
pub use name::{InvalidName, RepositoryName, Tag};
pub use reference::{Identifier, InvalidReference, Reference};
pub use release::{TagOutcome, tag_release};
pub use retry::RetryPolicy;
