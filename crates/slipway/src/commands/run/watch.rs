//! `slipway run watch`.

use clap::Args;

use super::RunArg;
use crate::Verdict;
use crate::commands::watching::{self, Show, Until};
use crate::commands::{Context, run_id};
use crate::error::CliError;

const EXAMPLES: &str = "\
Examples:
  slipway run watch 5f2c8a1b
  slipway run watch 5f2c8a1b && echo released
  slipway run watch 5f2c8a1b --until-rest           don't wait for an approval
  slipway run watch 5f2c8a1b --output json          the run at every change, one a line

The exit code is 0 only if the run succeeded, or waits for approval with --until-rest.";

/// Which run, and until when.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct WatchArgs {
    #[command(flatten)]
    run: RunArg,
    /// Stop also when the run waits for approval
    #[arg(long)]
    until_rest: bool,
}

pub(super) async fn run(args: &WatchArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let id = run_id::resolve(&context.gateway, &args.run.run).await?;
    let run = context.gateway.run(&id).await?;
    let until = if args.until_rest {
        Until::AtRest
    } else {
        Until::Ended
    };
    let show = if context.terminal.is_json() {
        Show::JsonLines
    } else {
        Show::Progress
    };
    let runs = watching::watch(vec![run], until, show, context).await?;
    if show == Show::Progress {
        context
            .terminal
            .text(&watching::endings(&runs, &context.page()))?;
    }
    Ok(watching::verdict(&runs))
}
