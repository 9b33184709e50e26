//! `slipway environment …`.

use clap::{Args, Subcommand};

use super::Context;
use crate::Verdict;
use crate::error::CliError;
use crate::output;
use crate::render;

const LIST_EXAMPLES: &str = "\
Examples:
  slipway environment list";

const SHOW_EXAMPLES: &str = "\
Examples:
  slipway environment show production
  slipway environment show test --output json | jq -r '.services[] | \"\\(.service) \\(.address)\"'";

/// What to show.
#[derive(Debug, Subcommand)]
pub enum EnvironmentCommand {
    /// All environments, in promotion order
    #[command(after_help = LIST_EXAMPLES)]
    List,
    /// What runs in one environment: versions, addresses, replicas
    Show(ShowArgs),
}

/// Which environment.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub struct ShowArgs {
    /// The environment
    name: String,
}

pub(super) async fn run(
    command: EnvironmentCommand,
    context: &Context<'_>,
) -> Result<Verdict, CliError> {
    match command {
        EnvironmentCommand::List => list(context).await,
        EnvironmentCommand::Show(args) => show(&args, context).await,
    }
}

async fn list(context: &Context<'_>) -> Result<Verdict, CliError> {
    let environments = context.gateway.list_environments().await?;
    let document = output::environment::Environments::of(&environments);
    context.terminal.answer(&document, || {
        render::environment::list(&environments, &context.page())
    })?;
    Ok(Verdict::Good)
}

async fn show(args: &ShowArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let environment = context.gateway.environment(&args.name).await?;
    let document = output::environment::Environment::of(&environment);
    context.terminal.answer(&document, || {
        render::environment::show(&environment, &context.page())
    })?;
    Ok(Verdict::Good)
}
