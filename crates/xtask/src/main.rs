//! `cargo xtask`: repository chores.

use std::path::Path;
use std::process::ExitCode;

use anyhow::Result;
use clap::{Parser, Subcommand};
use xtask::demo;
use xtask::setup::Purpose;

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
    /// Carries the demo application from a commit to production on this machine
    Demo(demo::Options),
    /// Builds slipway and the edge that it puts before deployed services
    Build,
    /// Sets up and runs every test that this machine can run
    Test,
    /// Checks format, lints, dependencies and tests: what the continuous integration runs
    Verify,
    /// Measures Slipway against peers on this machine
    Bench {
        /// What to pass on, such as `--only edge`
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<String>,
    },
    /// Regenerates crates/proto/src/gen from the .proto files
    Codegen,
}

async fn build(root: &Path) -> Result<bool> {
    let programs = xtask::build::run(root).await?;
    println!("\nRun it with:");
    println!(
        "  {} up --edge-binary {}",
        programs.slipway.display(),
        programs.edge.display()
    );
    Ok(true)
}

#[tokio::main]
async fn main() -> Result<ExitCode> {
    let root = xtask::repository_root();
    let in_order = match Arguments::parse().chore {
        Chore::Setup { purpose } => xtask::setup::run(&root, purpose).await?.complete(),
        Chore::Build => build(&root).await?,
        Chore::Demo(options) => demo::run(&root, options).await?,
        Chore::Test => xtask::test::run(&root).await?,
        Chore::Verify => xtask::verify::run(&root).await?,
        Chore::Bench { arguments } => xtask::bench::run(&root, &arguments).await?,
        Chore::Codegen => xtask::codegen::run(&root).map(|()| true)?,
    };
    Ok(if in_order {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}
