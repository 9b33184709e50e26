//! `slipway run list`.

use clap::Args;
use proto::gateway::v1::ListRunsRequest;

use crate::Verdict;
use crate::commands::Context;
use crate::error::CliError;
use crate::output::run::Runs;
use crate::render;

/// The most that the gateway gives at a time.
const LARGEST_PAGE: u32 = 200;

const EXAMPLES: &str = "\
Examples:
  slipway run list --service delivery
  slipway run list --state failed --limit 5
  slipway run list --output json | jq -r '.runs[] | select(.state == \"running\") | .run_id'";

/// Which runs.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only those in this state
    #[arg(long, value_parser = ["queued", "running", "waiting_for_approval", "succeeded", "failed", "cancelled"])]
    state: Option<String>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) async fn run(args: ListArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let mut request = ListRunsRequest {
        service: args.service.unwrap_or_default(),
        state: args.state.unwrap_or_default(),
        ..ListRunsRequest::default()
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut runs = Vec::new();
    while runs.len() < limit {
        request.page_size = u32::try_from(limit - runs.len())
            .unwrap_or(LARGEST_PAGE)
            .min(LARGEST_PAGE);
        let page = context.gateway.list_runs(request.clone()).await?;
        runs.extend(page.runs);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    runs.truncate(limit);
    context.terminal.answer(&Runs::of(&runs), || {
        render::run::list(&runs, &context.page())
    })?;
    Ok(Verdict::Good)
}
