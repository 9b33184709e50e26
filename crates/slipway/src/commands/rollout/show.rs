//! `slipway rollout show`.

use clap::Args;

use super::Which;
use crate::Verdict;
use crate::commands::Context;
use crate::error::CliError;
use crate::output;
use crate::render;

const EXAMPLES: &str = "\
Examples:
  slipway rollout show delivery --in production
  slipway rollout show delivery --in production --run 5f2c8a1b      one that has ended
  slipway rollout show delivery --in production -o json | jq '.verdicts[-1].evidence'

Without --run it is the rollout under way, or the newest. Times are UTC.";

/// Which rollout.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn run(args: ShowArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let request = args.which.resolve(context).await?;
    let rollout = context.gateway.rollout(request).await?;
    let document = output::rollout::Rollout::of(&rollout);
    context.terminal.answer(&document, || {
        render::rollout::show(&rollout, &context.page())
    })?;
    Ok(Verdict::Good)
}
