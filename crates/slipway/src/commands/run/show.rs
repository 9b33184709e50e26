//! `slipway run show`.

use clap::Args;

use super::RunArg;
use crate::Verdict;
use crate::commands::{Context, run_id};
use crate::error::CliError;
use crate::output;
use crate::render::{failure, run as screens};

const EXAMPLES: &str = "\
Examples:
  slipway run show 5f2c8a1b
  slipway run show 5f2c8a1b --output json | jq '.stages[] | {name, state}'";

/// Which run.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ShowArgs {
    #[command(flatten)]
    run: RunArg,
}

pub(super) async fn run(args: &ShowArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let id = run_id::resolve(&context.gateway, &args.run.run).await?;
    let run = context.gateway.run(&id).await?;
    context
        .terminal
        .answer(&output::run::Run::of(&run), || match run.state.as_str() {
            "failed" => failure::screen(&run, &context.page()).join("\n"),
            _ => screens::show(&run, &context.page()),
        })?;
    Ok(Verdict::Good)
}
