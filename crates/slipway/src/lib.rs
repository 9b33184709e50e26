//! The `slipway` command: what a service team types, and `slipway up`, all services in one process.
//!
//! * [`cli`] declares the commands; each has a file in [`commands`] that asks the gateway and prints the answer.
//! * [`output`] holds the JSON that scripts rely on; [`render`] holds the text that people read. Both are pure
//!   functions of the gateway's answers.
//! * [`connection`] finds the gateway and the token; [`failure`] puts a refused call into words.
//!
//! The exit code is 0 only when what was asked for happened: 1 when it did not, 2 when the command line is wrong.

pub mod cli;
pub mod commands;
pub mod connection;
pub mod error;
pub mod failure;
pub mod follow;
pub mod output;
pub mod render;
pub mod terminal;
pub mod token;
pub mod up;

use std::process::ExitCode;

use crate::cli::Cli;
use crate::error::CliError;
use crate::terminal::Terminal;

/// How a command ended that could do its work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// What was asked for happened.
    Good,
    /// It was done, and the answer is bad: a run failed, a file has mistakes.
    Bad,
}

impl Verdict {
    /// Good if `condition`.
    #[must_use]
    pub fn good_if(condition: bool) -> Self {
        if condition { Self::Good } else { Self::Bad }
    }
}

/// Does what the command line says.
#[must_use]
pub fn run(cli: Cli) -> ExitCode {
    let terminal = Terminal::new(cli.global.output, cli.global.color);
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("error: can't start the asynchronous runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    match runtime.block_on(commands::run(cli, &terminal)) {
        Ok(Verdict::Good) => ExitCode::SUCCESS,
        Ok(Verdict::Bad) => ExitCode::FAILURE,
        // Whoever read our output has gone, as `head` does: there is nobody to tell.
        Err(CliError::Output(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => {
            ExitCode::FAILURE
        }
        Err(error) => {
            terminal.error(&error);
            ExitCode::from(error.exit_code())
        }
    }
}
