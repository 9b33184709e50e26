//! `slipway run …`.

mod cancel;
mod list;
mod logs;
mod retry;
mod show;
mod start;
mod watch;

use clap::{Args, Subcommand};

use super::Context;
use crate::Verdict;
use crate::error::CliError;

/// What to do with runs.
#[derive(Debug, Subcommand)]
pub enum RunCommand {
    /// Carry a commit through the pipeline: one run for each service of the repository
    Start(start::StartArgs),
    /// The newest runs
    List(list::ListArgs),
    /// One run with its stages
    Show(show::ShowArgs),
    /// Follow a run live until it has ended
    Watch(watch::WatchArgs),
    /// What the stages of a run print
    Logs(logs::LogsArgs),
    /// End a run; its containers are stopped
    Cancel(cancel::CancelArgs),
    /// Start the failed and cancelled stages of a run again
    Retry(retry::RetryArgs),
}

/// Which run.
#[derive(Debug, Args)]
pub struct RunArg {
    /// The run's id, or as much of its beginning or end as tells it apart
    #[arg(value_name = "RUN")]
    pub run: String,
}

pub(super) async fn run(command: RunCommand, context: &Context<'_>) -> Result<Verdict, CliError> {
    match command {
        RunCommand::Start(args) => start::run(args, context).await,
        RunCommand::List(args) => list::run(args, context).await,
        RunCommand::Show(args) => show::run(&args, context).await,
        RunCommand::Watch(args) => watch::run(&args, context).await,
        RunCommand::Logs(args) => logs::run(args, context).await,
        RunCommand::Cancel(args) => cancel::run(args, context).await,
        RunCommand::Retry(args) => retry::run(&args, context).await,
    }
}
