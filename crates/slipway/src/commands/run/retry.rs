//! `slipway run retry`.

use clap::Args;

use super::RunArg;
use crate::Verdict;
use crate::commands::{Context, deploy, run_id};
use crate::error::CliError;

const EXAMPLES: &str = "\
Examples:
  slipway run retry 5f2c8a1b --wait";

/// Which run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RetryArgs {
    #[command(flatten)]
    run: RunArg,
    /// Wait until it has ended or waits for approval
    #[arg(long, short)]
    wait: bool,
}

pub(super) async fn run(args: &RetryArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let id = run_id::resolve(&context.gateway, &args.run.run).await?;
    let run = context.gateway.retry_run(&id).await?;
    deploy::answer(run, args.wait, context).await
}
