//! `slipway approve` and `slipway reject`.

use clap::Args;
use proto::gateway::v1::ReviewRunRequest;

use super::run::RunArg;
use super::{Context, deploy, run_id};
use crate::Verdict;
use crate::error::CliError;

const EXAMPLES: &str = "\
Examples:
  slipway run list --state waiting_for_approval
  slipway approve 5f2c8a1b --reason 'checked on staging'
  slipway reject 5f2c8a1b --environment production --reason 'not before Monday'";

/// Which deployment, and why.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ReviewArgs {
    #[command(flatten)]
    run: RunArg,
    /// The environment, if the run waits for more than one
    #[arg(long, value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Why; it is kept with the run
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Wait until the run has ended or waits again
    #[arg(long, short)]
    wait: bool,
}

pub(super) async fn run(
    args: ReviewArgs,
    approved: bool,
    context: &Context<'_>,
) -> Result<Verdict, CliError> {
    let run_id = run_id::resolve(&context.gateway, &args.run.run).await?;
    let environment = args.environment.unwrap_or_default();
    let request = ReviewRunRequest {
        run_id,
        environment: environment.clone(),
        approved,
        reason: args.reason,
    };
    let run = context.gateway.review_run(request).await?;
    if !context.terminal.is_json() {
        let newest = run.reviews.last();
        let place = newest.map_or(environment.as_str(), |review| &review.environment);
        let verb = if approved { "approved" } else { "rejected" };
        context
            .terminal
            .text(format!("{verb} {place}").trim_end())?;
    }
    deploy::answer(run, args.wait, context).await
}
