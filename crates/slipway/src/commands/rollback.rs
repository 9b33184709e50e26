//! `slipway rollback`.

use clap::Args;
use proto::gateway::v1::RollbackRequest;

use super::{Context, deploy};
use crate::Verdict;
use crate::error::CliError;

const EXAMPLES: &str = "\
Examples:
  slipway rollback delivery --in production --wait
  slipway rollback delivery --in production --to 1.3.2 --reason 'totals are wrong'
  slipway rollback delivery --in production --dry-run";

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
    /// Show what would change, and change nothing
    #[arg(long, conflicts_with = "wait")]
    dry_run: bool,
    /// Overwrite what somebody else changed on the service's objects, instead of stopping there
    #[arg(long)]
    overwrite_changes: bool,
}

pub(super) async fn run(args: RollbackArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let RollbackArgs {
        service,
        environment,
        version,
        reason,
        wait,
        dry_run,
        overwrite_changes,
    } = args;
    let to = version
        .as_ref()
        .map_or_else(String::new, |version| format!(" --to {version}"));
    let overwrite = match overwrite_changes {
        true => format!(" {}", deploy::OVERWRITE),
        false => String::new(),
    };
    let because = deploy::because(&reason);
    let command = format!("slipway rollback {service} --in {environment}{to}{overwrite}{because}");
    let request = RollbackRequest {
        service,
        environment,
        version: version.unwrap_or_default(),
        reason,
        overwrite_changes,
    };
    if dry_run {
        let preview = context.gateway.preview_rollback(request).await?;
        return deploy::show(&preview, &command, context);
    }
    let run = context.gateway.rollback(request).await?;
    deploy::answer(run, wait, context).await
}
