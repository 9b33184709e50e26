//! The `slipway` program.

use std::process::ExitCode;

use clap::Parser as _;
use slipway::cli::Cli;

fn main() -> ExitCode {
    slipway::run(Cli::parse())
}
