//! `cargo xtask`: repository chores.

use anyhow::Result;
use clap::{Parser, Subcommand};

/// Repository chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Regenerates crates/proto/src/gen from the .proto files
    Codegen,
}

fn main() -> Result<()> {
    let root = xtask::repository_root();
    match Arguments::parse().chore {
        Chore::Codegen => xtask::codegen::run(&root),
    }
}
