//! `slipway run cancel`.

use clap::Args;
use proto::gateway::v1::CancelRunRequest;

use super::RunArg;
use crate::Verdict;
use crate::commands::{Context, run_id};
use crate::error::CliError;
use crate::output;
use crate::render::ending;

const EXAMPLES: &str = "\
Examples:
  slipway run cancel 5f2c8a1b --reason 'wrong branch'";

/// Which run, and why.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CancelArgs {
    #[command(flatten)]
    run: RunArg,
    /// Why; it is kept with the run
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

pub(super) async fn run(args: CancelArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let run_id = run_id::resolve(&context.gateway, &args.run.run).await?;
    let run = context
        .gateway
        .cancel_run(CancelRunRequest {
            run_id,
            reason: args.reason,
        })
        .await?;
    context.terminal.answer(&output::run::Run::of(&run), || {
        ending::screen_of(&run, &context.page())
    })?;
    Ok(Verdict::Good)
}
