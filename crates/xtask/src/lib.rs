//! Repository chores: setup, build, bench, demo, test, verify, code generation.

pub mod bench;
pub mod build;
pub mod codegen;
pub mod demo;
pub mod process;
pub mod setup;
pub mod test;
pub mod verify;

use std::path::PathBuf;

/// The root of the checkout that this program was built from.
pub fn repository_root() -> PathBuf {
    let crate_directory = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    crate_directory
        .ancestors()
        .nth(2)
        .expect("this crate lies two directories below the repository's root")
        .to_owned()
}
