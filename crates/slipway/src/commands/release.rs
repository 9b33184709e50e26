//! `slipway release …`.

use clap::{Args, Subcommand};
use proto::gateway::v1::ListReleasesRequest;

use super::Context;
use crate::Verdict;
use crate::error::CliError;
use crate::output;
use crate::render;

/// The most that the gateway gives at a time.
const LARGEST_PAGE: u32 = 200;

const LIST_EXAMPLES: &str = "\
Examples:
  slipway release list
  slipway release list --service delivery --output json | jq -r '.releases[0].version'

RUNS IN names the environments that run exactly this digest. Other candidates of the same
version are other images: `slipway release show` tells where each of them runs.";

const SHOW_EXAMPLES: &str = "\
Examples:
  slipway release show delivery 1.4.0";

/// What to show.
#[derive(Debug, Subcommand)]
pub enum ReleaseCommand {
    /// Versions, the newest of each service first
    List(ListArgs),
    /// One version of a service
    Show(ShowArgs),
}

/// Which releases.
#[derive(Debug, Args)]
#[command(after_help = LIST_EXAMPLES)]
pub struct ListArgs {
    /// Only those of this service
    #[arg(long, value_name = "NAME")]
    service: Option<String>,
    /// How many at most
    #[arg(long, short = 'n', value_name = "COUNT", default_value_t = 20, value_parser = clap::value_parser!(u32).range(1..))]
    limit: u32,
}

/// Which release.
#[derive(Debug, Args)]
#[command(after_help = SHOW_EXAMPLES)]
pub struct ShowArgs {
    /// The service
    service: String,
    /// The version
    version: String,
}

pub(super) async fn run(
    command: ReleaseCommand,
    context: &Context<'_>,
) -> Result<Verdict, CliError> {
    match command {
        ReleaseCommand::List(args) => list(args, context).await,
        ReleaseCommand::Show(args) => show(&args, context).await,
    }
}

async fn list(args: ListArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let mut request = ListReleasesRequest {
        service: args.service.unwrap_or_default(),
        ..Default::default()
    };
    let limit = usize::try_from(args.limit).unwrap_or(usize::MAX);
    let mut releases = Vec::new();
    while releases.len() < limit {
        request.page_size = u32::try_from(limit - releases.len())
            .unwrap_or(LARGEST_PAGE)
            .min(LARGEST_PAGE);
        let page = context.gateway.list_releases(request.clone()).await?;
        releases.extend(page.releases);
        request.page_token = page.next_page_token;
        if request.page_token.is_empty() {
            break;
        }
    }
    releases.truncate(limit);
    let document = output::release::Releases::of(&releases);
    context.terminal.answer(&document, || {
        render::release::list(&releases, &context.page())
    })?;
    Ok(Verdict::Good)
}

async fn show(args: &ShowArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let release = context
        .gateway
        .release(&args.service, &args.version)
        .await?;
    let document = output::release::Release::of(&release);
    context.terminal.answer(&document, || {
        render::release::show(&release, &context.page())
    })?;
    Ok(Verdict::Good)
}
