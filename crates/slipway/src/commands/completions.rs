//! `slipway completions`.

use clap::{Args, CommandFactory as _};
use clap_complete::Shell;

use crate::Verdict;
use crate::cli::Cli;
use crate::error::CliError;
use crate::terminal::Terminal;

const EXAMPLES: &str = "\
Examples:
  slipway completions bash > ~/.local/share/bash-completion/completions/slipway
  slipway completions zsh > \"${fpath[1]}/_slipway\"
  slipway completions fish > ~/.config/fish/completions/slipway.fish";

/// For which shell.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct CompletionsArgs {
    /// The shell
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn run(args: &CompletionsArgs, terminal: &Terminal) -> Result<Verdict, CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "slipway", &mut script);
    terminal.text(&String::from_utf8_lossy(&script))?;
    Ok(Verdict::Good)
}
