//! `cargo xtask codegen`: the generated half of `crates/proto`.

use std::path::Path;

use anyhow::{Context, Result};

#[path = "../../proto/build_support/generate.rs"]
mod generate;

/// Regenerates `crates/proto/src/gen` from `proto/`.
pub fn run(root: &Path) -> Result<()> {
    let out = root.join("crates/proto/src/gen");
    let files = generate::generate(&root.join("proto"), &out)
        .map_err(anyhow::Error::from_boxed)
        .context("could not generate Rust from the .proto files")?;
    println!("{}: {}", out.display(), files.join(", "));
    Ok(())
}
