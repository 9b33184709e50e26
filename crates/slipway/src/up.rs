//! `slipway up`: all of Slipway on this machine, in one process.
//!
//! NATS runs as a child process and is started again when it dies; registries that the platform file expects on this
//! machine, and that are not there, run as containers. Everything that must last is in the data directory, in the
//! registries' volumes and on the container engine: stopping in the middle of a run and starting again loses nothing.

mod data;
mod nats;
mod registries;
mod services;

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Args;
use domain::platform::PlatformSpec;
use engine::Engine;
use service_kit::{platform, shutdown, telemetry};
use tokio_util::sync::CancellationToken;

use data::DataDirectory;
use nats::Nats;

const EXAMPLES: &str = "\
Examples:
  slipway up
  slipway up --platform platform.yaml --data-dir /var/lib/slipway";

/// How to run it.
#[derive(Debug, Clone, Args)]
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
    /// The port of our own NATS server on 127.0.0.1; 0 for a free one
    #[arg(
        long,
        env = "SLIPWAY_NATS_PORT",
        value_name = "PORT",
        default_value_t = 4222
    )]
    pub nats_port: u16,
    /// The organisation's platform file [default: test and production on this machine]
    #[arg(long, env = "SLIPWAY_PLATFORM", value_name = "FILE")]
    pub platform: Option<PathBuf>,
    /// The development registry when no platform file says
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5000")]
    pub development_registry: String,
    /// The production registry when no platform file says
    #[arg(long, value_name = "HOST:PORT", default_value = "127.0.0.1:5001")]
    pub production_registry: String,
    /// Where the edge comes from
    #[command(flatten)]
    pub edge: container_stage::edge_image::EdgeSource,
    /// Stages that each of builder and test-runner does at a time
    #[arg(
        long,
        env = "SLIPWAY_SLOTS",
        value_name = "NUMBER",
        default_value_t = 2
    )]
    pub slots: usize,
}

/// Runs everything until it is told to stop.
///
/// # Errors
/// When a part can't start, or ended by itself.
pub async fn run(args: UpArgs) -> anyhow::Result<()> {
    let telemetry = telemetry::start("up");
    let stop = shutdown::on_signals();
    let ended = shutdown::within_deadline(begin(args, stop.clone()), &stop).await;
    telemetry.flush();
    ended
}

async fn begin(args: UpArgs, stop: CancellationToken) -> anyhow::Result<()> {
    let data = DataDirectory::open(args.data_dir.as_deref())?;
    let platform = match &args.platform {
        Some(path) => platform::read(path)?,
        None => PlatformSpec::default_for_one_machine(
            &args.development_registry,
            &args.production_registry,
        ),
    };
    let engine = Engine::connect().await?;
    registries::ensure(&engine, &platform).await?;
    let nats = Nats::start(args.nats_url.as_deref(), args.nats_port, &data).await?;
    let parts =
        services::Parts::open(&args, &data, platform, nats.url(), nats.monitoring_url()).await?;
    let gateway = parts.gateway_url();
    data.publish_endpoint(&gateway)?;
    println!("Slipway is up. Stop it with Ctrl-C; nothing is lost by that.\n");
    println!("  gateway  {gateway}");
    println!("  NATS     {}", nats.url());
    println!("  data     {}", data.path().display());
    println!(
        "  token    {}  (the slipway command finds it there)\n",
        data.token_file().display()
    );
    println!("Next: slipway run start --repository <git URL or path> --wait");
    let ended = tokio::select! {
        ended = parts.run(stop.clone()) => ended,
        ended = nats.keep_running() => ended,
    };
    nats.stop().await;
    ended
}
