//! Rust from the `.proto` files, without a system `protoc`.
//!
//! Included by `cargo xtask codegen`, which writes `crates/proto/src/gen`, and by a test of this crate, which generates
//! again into a temporary directory and compares. Generated files are committed, so a build needs neither.

use std::error::Error;
use std::fs;
use std::path::{Path, PathBuf};

use prost::Message as _;

/// The module tree: `slipway::event::v1` and so on, each including its package's file from the same directory.
pub(crate) const MODULES: &str = "modules.rs";
/// The file descriptor set for gRPC reflection, without comments and positions.
pub(crate) const DESCRIPTORS: &str = "descriptors.bin";

/// Generates everything under `proto_root` into `out`, and removes from `out` what no `.proto` file stands for any more.
///
/// Returns the names of the files in `out`, sorted.
pub(crate) fn generate(
    proto_root: &Path,
    out: &Path,
) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let sources = proto_files(proto_root)?;
    if sources.is_empty() {
        return Err(format!("no .proto file under {}", proto_root.display()).into());
    }
    let mut compiler = protox::Compiler::new([proto_root])?;
    compiler.include_imports(true).include_source_info(true);
    compiler.open_files(&sources)?;
    let mut descriptors = compiler.file_descriptor_set();

    fs::create_dir_all(out)?;
    for stale in fs::read_dir(out)? {
        fs::remove_file(stale?.path())?;
    }
    tonic_prost_build::configure()
        .out_dir(out)
        .include_file(MODULES)
        .btree_map(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors.clone())?;

    for file in &mut descriptors.file {
        file.source_code_info = None;
    }
    fs::write(out.join(DESCRIPTORS), descriptors.encode_to_vec())?;
    names(out)
}

fn proto_files(root: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut unread = vec![root.to_owned()];
    while let Some(directory) = unread.pop() {
        for entry in fs::read_dir(directory)? {
            let path = entry?.path();
            if path.is_dir() {
                unread.push(path);
            } else if path
                .extension()
                .is_some_and(|extension| extension == "proto")
            {
                found.push(path);
            }
        }
    }
    // The order of the files is the order of the descriptors: it must not depend on the file system.
    found.sort();
    Ok(found)
}

fn names(directory: &Path) -> Result<Vec<String>, Box<dyn Error + Send + Sync>> {
    let mut names = Vec::new();
    for entry in fs::read_dir(directory)? {
        names.push(entry?.file_name().to_string_lossy().into_owned());
    }
    names.sort();
    Ok(names)
}
