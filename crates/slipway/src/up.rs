//! `slipway up`: all of Slipway on this machine, in one process.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;

const EXAMPLES: &str = "\
Examples:
  slipway up
  slipway up --platform platform.yaml --data-dir /var/lib/slipway";

/// How to run it.
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct UpArgs {
    /// Where everything is kept [default: ~/.local/share/slipway]
    #[arg(long, env = "SLIPWAY_DATA_DIR", value_name = "DIRECTORY")]
    pub data_dir: Option<PathBuf>,
    /// Where the gateway listens; nobody beyond this machine can reach the default
    #[arg(
        long,
        env = "SLIPWAY_LISTEN",
        value_name = "ADDRESS",
        default_value = "127.0.0.1:7070"
    )]
    pub listen: SocketAddr,
    /// A NATS server to use instead of one of our own
    #[arg(long, env = "SLIPWAY_NATS_URL", value_name = "URL")]
    pub nats_url: Option<String>,
    /// The organisation's platform file
    #[arg(long, env = "SLIPWAY_PLATFORM", value_name = "FILE")]
    pub platform: Option<PathBuf>,
}

/// Runs everything until it is told to stop.
///
/// # Errors
/// When a part can't start, or ended by itself.
pub async fn run(args: UpArgs) -> anyhow::Result<()> {
    let _ = args;
    anyhow::bail!("this build can't run the services yet")
}
