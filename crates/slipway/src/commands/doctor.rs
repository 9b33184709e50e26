//! `slipway doctor`.

mod gateway;
mod machine;
mod nats;
mod registries;

use std::path::PathBuf;

use clap::Args;

use crate::Verdict;
use crate::cli::Global;
use crate::error::CliError;
use crate::output::doctor::Examination;
use crate::render;
use crate::terminal::Terminal;
use crate::token::{find_server, process_environment};

const EXAMPLES: &str = "\
Examples:
  slipway doctor
  slipway doctor --platform platform.yaml
  slipway doctor --output json | jq '.checks[] | select(.state != \"ok\")'

The exit code is 1 if something that is needed does not work. Docker, Git and nats-server are needed only where
Slipway itself runs: a gateway on another machine makes them optional here.";

/// What to look at besides the usual.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct DoctorArgs {
    /// A platform file whose registries are asked from here
    #[arg(long, env = "SLIPWAY_PLATFORM", value_name = "FILE")]
    platform: Option<PathBuf>,
}

pub(super) async fn run(
    args: &DoctorArgs,
    global: &Global,
    terminal: &Terminal,
) -> Result<Verdict, CliError> {
    let server = find_server(global.server.as_deref(), &process_environment);
    let runs_here = is_this_machine(&server);
    let nats_url =
        process_environment("SLIPWAY_NATS_URL").map(|url| url.to_string_lossy().into_owned());
    let (docker, git, nats_server, nats, disk, registries, gateway) = tokio::join!(
        machine::docker(runs_here),
        machine::git(runs_here),
        machine::nats_server(runs_here && nats_url.is_none()),
        nats::check(nats_url.as_deref()),
        machine::disk(runs_here),
        registries::check(args.platform.as_deref()),
        gateway::check(global),
    );
    let mut checks = vec![docker, git, nats_server];
    checks.extend(nats);
    checks.push(disk);
    checks.extend(registries);
    checks.extend(gateway);
    let examination = Examination::of(checks);
    terminal.answer(&examination, || {
        render::doctor::examination(&examination, &super::page(terminal))
    })?;
    Ok(Verdict::good_if(examination.ok))
}

/// Whether a gateway at this URL runs here, and so needs what is here.
fn is_this_machine(server: &str) -> bool {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    ["127.", "localhost", "[::1]"]
        .iter()
        .any(|local| rest.starts_with(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loopback_is_this_machine() {
        assert!(is_this_machine("http://127.0.0.1:7070") && is_this_machine("http://[::1]:7070"));
        assert!(!is_this_machine("https://slipway.example.org"));
    }
}
