//! The command line: every command with its help.

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::commands::{
    completions, deploy, doctor, environment, init, lint, release, review, rollback, rollout, run,
};
use crate::up;

const AFTER_HELP: &str = "\
Start here:
  slipway doctor       is everything there?
  slipway up           run Slipway on this machine
  slipway init         write a slipway.yaml for this folder
  slipway run start --repository . --ref main --wait

The gateway is the one that --server or SLIPWAY_SERVER names, else the one that `slipway up` started here.
Every command takes --output json for scripts; the exit code is 0 only on success, 2 for a wrong command line.";

/// Carries every service from a commit to production.
#[derive(Debug, Parser)]
#[command(name = "slipway", version, after_help = AFTER_HELP, propagate_version = false, max_term_width = 110)]
pub struct Cli {
    /// What every command takes.
    #[command(flatten)]
    pub global: Global,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What every command takes.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Everywhere")]
pub struct Global {
    /// The gateway, such as http://127.0.0.1:7070 [default: the one that `slipway up` started]
    #[arg(
        long,
        global = true,
        env = "SLIPWAY_SERVER",
        hide_env_values = true,
        value_name = "URL"
    )]
    pub server: Option<String>,
    /// The token to show; better in SLIPWAY_TOKEN or in a file that SLIPWAY_TOKEN_FILE names
    #[arg(
        long,
        global = true,
        env = "SLIPWAY_TOKEN",
        hide_env_values = true,
        value_name = "TOKEN"
    )]
    pub token: Option<String>,
    /// Text for people, or JSON for scripts
    #[arg(long, short, global = true, value_enum, default_value_t = OutputFormat::Human, value_name = "FORMAT")]
    pub output: OutputFormat,
    /// Whether to use colours; NO_COLOR is respected
    #[arg(long, global = true, value_enum, default_value_t = ColorChoice::Auto, value_name = "WHEN")]
    pub color: ColorChoice,
}

/// Who reads the output.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum OutputFormat {
    /// People.
    Human,
    /// Scripts.
    Json,
}

/// When to use colours.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum ColorChoice {
    /// In a terminal, unless NO_COLOR is set.
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Write a slipway.yaml for the service in this folder
    Init(init::InitArgs),
    /// Check slipway.yaml and platform.yaml files
    Lint(lint::LintArgs),
    /// Run all of Slipway on this machine, in one process
    Up(up::UpArgs),
    /// Start, list, show, watch, cancel and retry runs, and read their logs
    #[command(subcommand)]
    Run(run::RunCommand),
    /// What was released, and where it runs
    #[command(subcommand)]
    Release(release::ReleaseCommand),
    /// What runs in an environment
    #[command(subcommand, visible_alias = "env")]
    Environment(environment::EnvironmentCommand),
    /// Bring a version of a service into an environment
    Deploy(deploy::DeployArgs),
    /// Go back to the previous version of a service, or to a named one
    Rollback(rollback::RollbackArgs),
    /// Follow the rollouts of services step by step: let them wait, go on, go back or begin again
    #[command(subcommand)]
    Rollout(rollout::RolloutCommand),
    /// Agree to the deployment that a run waits for
    Approve(review::ReviewArgs),
    /// Refuse the deployment that a run waits for
    Reject(review::ReviewArgs),
    /// Check Docker, NATS, registries and the gateway, and say how to mend what is wrong
    Doctor(doctor::DoctorArgs),
    /// Print completions for a shell
    Completions(completions::CompletionsArgs),
    /// Print the version
    Version,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_command_shows_an_example() {
        fn check(command: &clap::Command, path: &str) {
            let path = format!("{path} {}", command.get_name());
            if command.has_subcommands() {
                command.get_subcommands().for_each(|c| check(c, &path));
            } else {
                let help = command
                    .get_after_help()
                    .map(ToString::to_string)
                    .unwrap_or_default();
                assert!(
                    help.contains("slipway ") || path.ends_with(" version"),
                    "{path} has no example"
                );
            }
        }
        check(&Cli::command(), "");
    }
}
