//! `slipway rollback`.

use clap::Args;
use proto::gateway::v1::RollbackRequest;

use super::{Context, deploy};
use crate::Verdict;
use crate::error::CliError;

const EXAMPLES: &str = "\
Examples:
  slipway rollback delivery --in production --wait
  slipway rollback delivery --in production --to 1.3.2 --reason 'totals are wrong'";

/// What to take back where.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct RollbackArgs {
    /// The service
    service: String,
    /// The environment
    #[arg(long = "in", value_name = "ENVIRONMENT")]
    environment: String,
    /// The version to go back to [default: the one that ran before]
    #[arg(long = "to", value_name = "VERSION")]
    version: Option<String>,
    /// Why; it is kept with the run
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
    /// Wait until it is done
    #[arg(long, short)]
    wait: bool,
}

pub(super) async fn run(args: RollbackArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let RollbackArgs {
        service,
        environment,
        version,
        reason,
        wait,
    } = args;
    let version = version.unwrap_or_default();
    let run = context
        .gateway
        .rollback(RollbackRequest {
            service,
            environment,
            version,
            reason,
        })
        .await?;
    deploy::answer(run, wait, context).await
}
