//! `cargo xtask`: repository chores.

use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::setup::{self, Purpose};

/// Repository chores.
#[derive(Parser)]
#[command(name = "cargo xtask", bin_name = "cargo xtask")]
struct Arguments {
    #[command(subcommand)]
    chore: Chore,
}

#[derive(Subcommand)]
enum Chore {
    /// Finds, installs or starts what this machine needs for a purpose
    Setup {
        /// What the machine is set up for
        #[arg(long = "for", default_value = "demo")]
        purpose: Purpose,
    },
    /// Regenerates crates/proto/src/gen from the .proto files
    Codegen,
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let root = xtask::repository_root();
    match Arguments::parse().chore {
        Chore::Setup { purpose } => {
            let report = setup::run(&root, purpose).await?;
            Ok(if report.complete() {
                ExitCode::SUCCESS
            } else {
                ExitCode::FAILURE
            })
        }
        Chore::Codegen => xtask::codegen::run(&root).map(|()| ExitCode::SUCCESS),
    }
}
