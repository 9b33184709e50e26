//! `slipway rollout pause`, `resume`, `promote`, `abort` and `retry`.

use clap::Args;
use proto::gateway::v1::{
    AbortRolloutRequest, PauseRolloutRequest, PromoteRolloutRequest, ResumeRolloutRequest,
    RetryRolloutRequest, Rollout,
};

use super::Which;
use crate::Verdict;
use crate::commands::Context;
use crate::error::CliError;
use crate::output;
use crate::render;

const PAUSE_EXAMPLES: &str = "\
Examples:
  slipway rollout pause delivery --in production --reason 'the logs look odd'

The new version keeps the traffic that it has; a bake time stands still. `slipway rollout resume` goes on.";

const RESUME_EXAMPLES: &str = "\
Examples:
  slipway rollout resume delivery --in production

A pause step is left; a step that waited for a verdict looks again. To leave any other step early, promote.";

const PROMOTE_EXAMPLES: &str = "\
Examples:
  slipway rollout promote delivery --in production             leave this step: its time, verdict or pause
  slipway rollout promote delivery --in production --full      leave out all steps up to 100 %

Replicas are waited for in any case: no version gets traffic that it can't carry.";

const ABORT_EXAMPLES: &str = "\
Examples:
  slipway rollout abort delivery --in production --reason 'totals are wrong'

The version before gets all the traffic again, and the run fails with the reason. Of a rollout that has completed,
`slipway rollback` takes the version back.";

const RETRY_EXAMPLES: &str = "\
Examples:
  slipway rollout retry delivery --in production

For a rollout that is held, or is being taken back. One that has ended begins again with `slipway run retry`.";

/// Which rollout, and why.
#[derive(Debug, Args)]
#[command(after_help = PAUSE_EXAMPLES)]
pub struct PauseArgs {
    #[command(flatten)]
    which: Which,
    /// Why; it is kept with the rollout
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Which rollout.
#[derive(Debug, Args)]
#[command(after_help = RESUME_EXAMPLES)]
pub struct ResumeArgs {
    #[command(flatten)]
    which: Which,
}

/// Which rollout, and how far.
#[derive(Debug, Args)]
#[command(after_help = PROMOTE_EXAMPLES)]
pub struct PromoteArgs {
    #[command(flatten)]
    which: Which,
    /// To the last step, without pauses and analyses
    #[arg(long)]
    full: bool,
}

/// Which rollout, and why.
#[derive(Debug, Args)]
#[command(after_help = ABORT_EXAMPLES)]
pub struct AbortArgs {
    #[command(flatten)]
    which: Which,
    /// Why; it is kept with the rollout
    #[arg(long, default_value = "", hide_default_value = true)]
    reason: String,
}

/// Which rollout.
#[derive(Debug, Args)]
#[command(after_help = RETRY_EXAMPLES)]
pub struct RetryArgs {
    #[command(flatten)]
    which: Which,
}

pub(super) async fn pause(args: PauseArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let which = args.which.resolve(context).await?;
    let request = PauseRolloutRequest {
        service: which.service,
        environment: which.environment,
        run_id: which.run_id,
        reason: args.reason,
    };
    answer(&context.gateway.pause_rollout(request).await?, context)
}

pub(super) async fn resume(args: ResumeArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let which = args.which.resolve(context).await?;
    let request = ResumeRolloutRequest {
        service: which.service,
        environment: which.environment,
        run_id: which.run_id,
    };
    answer(&context.gateway.resume_rollout(request).await?, context)
}

pub(super) async fn promote(args: PromoteArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let which = args.which.resolve(context).await?;
    let request = PromoteRolloutRequest {
        service: which.service,
        environment: which.environment,
        run_id: which.run_id,
        full: args.full,
    };
    answer(&context.gateway.promote_rollout(request).await?, context)
}

pub(super) async fn abort(args: AbortArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let which = args.which.resolve(context).await?;
    let request = AbortRolloutRequest {
        service: which.service,
        environment: which.environment,
        run_id: which.run_id,
        reason: args.reason,
    };
    answer(&context.gateway.abort_rollout(request).await?, context)
}

pub(super) async fn retry(args: RetryArgs, context: &Context<'_>) -> Result<Verdict, CliError> {
    let which = args.which.resolve(context).await?;
    let request = RetryRolloutRequest {
        service: which.service,
        environment: which.environment,
        run_id: which.run_id,
    };
    answer(&context.gateway.retry_rollout(request).await?, context)
}

fn answer(rollout: &Rollout, context: &Context<'_>) -> Result<Verdict, CliError> {
    let document = output::rollout::Rollout::of(rollout);
    context.terminal.answer(&document, || {
        render::rollout::brief(rollout, &context.page())
    })?;
    Ok(Verdict::Good)
}
