//! One file for each command: its arguments, what it asks, what it prints.

pub mod completions;
pub mod deploy;
pub mod doctor;
pub mod environment;
pub mod init;
pub mod lint;
pub mod release;
pub mod review;
pub mod rollback;
pub mod rollout;
pub mod run;
mod run_id;
mod watching;

use jiff::Timestamp;
use serde::Serialize;

use crate::Verdict;
use crate::cli::{Cli, Command};
use crate::connection::Gateway;
use crate::error::CliError;
use crate::render::Page;
use crate::terminal::Terminal;
use crate::token::process_environment;
use crate::up;

/// What a command that asks the gateway needs.
struct Context<'a> {
    gateway: Gateway,
    terminal: &'a Terminal,
}

impl Context<'_> {
    fn page(&self) -> Page {
        page(self.terminal)
    }
}

/// A page of the terminal's size, now.
fn page(terminal: &Terminal) -> Page {
    let (height, width) = terminal.size();
    // What is piped is cut nowhere.
    let width = if terminal.is_live() {
        width
    } else {
        usize::MAX
    };
    Page {
        paint: terminal.paint(),
        width,
        height,
        now: Timestamp::now(),
    }
}

/// Does what the command line says.
///
/// # Errors
/// When it can't be done.
pub async fn run(cli: Cli, terminal: &Terminal) -> Result<Verdict, CliError> {
    let asking = || {
        Ok::<_, CliError>(Context {
            gateway: Gateway::from(&cli.global, &process_environment)?,
            terminal,
        })
    };
    match cli.command {
        Command::Init(args) => init::init(&args, terminal),
        Command::Lint(args) => lint::lint(&args, terminal),
        Command::Up(args) => up::run(args)
            .await
            .map(|()| Verdict::Good)
            .map_err(CliError::Up),
        Command::Run(command) => run::run(command, &asking()?).await,
        Command::Release(command) => release::run(command, &asking()?).await,
        Command::Environment(command) => environment::run(command, &asking()?).await,
        Command::Deploy(args) => deploy::run(args, &asking()?).await,
        Command::Rollback(args) => rollback::run(args, &asking()?).await,
        Command::Rollout(command) => rollout::run(command, &asking()?).await,
        Command::Approve(args) => review::run(args, true, &asking()?).await,
        Command::Reject(args) => review::run(args, false, &asking()?).await,
        Command::Doctor(args) => doctor::run(&args, &cli.global, terminal).await,
        Command::Completions(args) => completions::run(&args, terminal),
        Command::Version => version(terminal),
    }
}

/// The answer of `version`.
#[derive(Serialize)]
struct Version {
    version: &'static str,
}

fn version(terminal: &Terminal) -> Result<Verdict, CliError> {
    let version = env!("CARGO_PKG_VERSION");
    terminal.answer(&Version { version }, || format!("slipway {version}"))?;
    Ok(Verdict::Good)
}
