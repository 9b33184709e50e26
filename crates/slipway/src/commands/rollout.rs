//! `slipway rollout …`.

mod ask;
mod list;
mod show;
mod watch;

use clap::{Args, Subcommand};
use proto::gateway::v1::GetRolloutRequest;

use super::{Context, run_id};
use crate::Verdict;
use crate::error::CliError;

/// What to do with rollouts.
#[derive(Debug, Subcommand)]
pub enum RolloutCommand {
    /// The rollouts under way, and the newest that ended
    List(list::ListArgs),
    /// One rollout: its steps, the traffic, and every verdict with what it is based on
    Show(show::ShowArgs),
    /// Follow a rollout live until it has ended
    Watch(watch::WatchArgs),
    /// Let a rollout wait: the traffic stays as it is
    Pause(ask::PauseArgs),
    /// Let a paused rollout go on where it was
    Resume(ask::ResumeArgs),
    /// Let a rollout go on to its next step, whatever this one waits for
    Promote(ask::PromoteArgs),
    /// Take a rollout back: the version before gets all the traffic again
    Abort(ask::AbortArgs),
    /// Let a rollout that failed begin again with its first step
    Retry(ask::RetryArgs),
}

/// Which rollout.
#[derive(Debug, Args)]
pub struct Which {
    /// The service
    service: String,
    /// The environment
    #[arg(long = "in", value_name = "ENVIRONMENT")]
    environment: String,
    /// Only if it is this run's: its id, or as much of its beginning or end as tells it apart [default: the one under way]
    #[arg(long, value_name = "RUN")]
    run: Option<String>,
}

impl Which {
    /// With the whole id of the run, or none.
    async fn resolve(self, context: &Context<'_>) -> Result<GetRolloutRequest, CliError> {
        let run_id = match &self.run {
            Some(given) => run_id::resolve(&context.gateway, given).await?,
            None => String::new(),
        };
        Ok(GetRolloutRequest {
            service: self.service,
            environment: self.environment,
            run_id,
        })
    }
}

pub(super) async fn run(
    command: RolloutCommand,
    context: &Context<'_>,
) -> Result<Verdict, CliError> {
    match command {
        RolloutCommand::List(args) => list::run(args, context).await,
        RolloutCommand::Show(args) => show::run(args, context).await,
        RolloutCommand::Watch(args) => watch::run(args, context).await,
        RolloutCommand::Pause(args) => ask::pause(args, context).await,
        RolloutCommand::Resume(args) => ask::resume(args, context).await,
        RolloutCommand::Promote(args) => ask::promote(args, context).await,
        RolloutCommand::Abort(args) => ask::abort(args, context).await,
        RolloutCommand::Retry(args) => ask::retry(args, context).await,
    }
}
