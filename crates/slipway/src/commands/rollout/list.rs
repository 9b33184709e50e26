//! `slipway rollout list`.

use clap::Args;
use proto::gateway::v1::ListRolloutsRequest;

use crate::Verdict;
use crate::commands::Context;
use crate::error::CliError;
use crate::output::rollout::Rollouts;
use crate::render;

/// The most that the gateway gives at a time.
const LARGEST_PAGE: u32 = 200;

const EXAMPLES: &str = "\
Examples:
  slipway rollout list
  slipway rollout list --in production --active
  slipway rollout list --output json | jq -r '.rollouts[] | select(.state == \"paused\") | .service'";

/// Which rollouts.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ListArgs {
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// Only those in this environment
    #[arg(long = "in", value_name = "ENVIRONMENT")]
    environment: Option<String>,
    /// Only those under way
    #[arg(long)]
    active: bool,
    /// How many at most
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

pub(super) async fn run(args: ListArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let mut request = ListRolloutsRequest {
        service: args.service.unwrap_or_default(),
        environment: args.environment.unwrap_or_default(),
        active_only: args.active,
        ..ListRolloutsRequest::default()
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut rollouts = Vec::new();
    while rollouts.len() < limit {
        request.page_size = u32::try_from(limit - rollouts.len())
            .unwrap_or(LARGEST_PAGE)
            .min(LARGEST_PAGE);
        let page = context.gateway.list_rollouts(request.clone()).await?;
        rollouts.extend(page.rollouts);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    rollouts.truncate(limit);
    context.terminal.answer(&Rollouts::of(&rollouts), || {
        render::rollout::list(&rollouts, &context.page())
    })?;
    Ok(Verdict::Good)
}
