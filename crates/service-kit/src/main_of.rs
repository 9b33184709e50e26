//! The `main` that all services have alike.

use std::net::SocketAddr;
use std::process::ExitCode;

use bus::{Bus, BusConfig};
use clap::{Args, CommandFactory as _, FromArgMatches as _, Parser, Subcommand};
use domain::platform::PlatformSpec;
use tokio_util::sync::CancellationToken;

use crate::config::Common;
use crate::{health, platform, shutdown, telemetry};

/// A service's settings, which hold those that all services have.
pub trait Configuration: Args + Send + 'static {
    /// The settings of every service.
    fn common(&self) -> &Common;
    /// Where it listens.
    fn listen(&self) -> SocketAddr;
}

#[derive(Parser)]
#[command(version, disable_help_subcommand = true)]
struct Command<C: Args> {
    #[command(flatten)]
    config: C,
    #[command(subcommand)]
    action: Option<Action>,
}

#[derive(Subcommand)]
enum Action {
    /// Asks the service that runs here whether it is well; for container health checks.
    Health,
}

/// Runs a service to its end, or asks the one that runs whether it is well (`health`).
///
/// `service` gets a token that SIGTERM and SIGINT cancel, and should then end within [`shutdown::DEADLINE`].
pub fn main_of<C, F>(
    name: &'static str,
    service: impl FnOnce(C, PlatformSpec, Bus, CancellationToken) -> F,
) -> ExitCode
where
    C: Configuration,
    F: Future<Output = anyhow::Result<()>>,
{
    let matches = Command::<C>::command().name(name).get_matches();
    let command = Command::<C>::from_arg_matches(&matches).unwrap_or_else(|error| error.exit());
    let runtime = match tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
    {
        Ok(runtime) => runtime,
        Err(error) => {
            eprintln!("{name}: can't start the asynchronous runtime: {error}");
            return ExitCode::FAILURE;
        }
    };
    let ended = match command.action {
        Some(Action::Health) => runtime.block_on(health::ask(command.config.listen())),
        None => runtime.block_on(serve(name, command.config, service)),
    };
    match ended {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{name}: {}", crate::cause::chain(error.as_ref()));
            ExitCode::FAILURE
        }
    }
}

async fn serve<C: Configuration, F: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    config: C,
    service: impl FnOnce(C, PlatformSpec, Bus, CancellationToken) -> F,
) -> anyhow::Result<()> {
    let telemetry = telemetry::start(name);
    let stop = shutdown::on_signals();
    let ended = shutdown::within_deadline(begin(name, config, service, stop.clone()), &stop).await;
    telemetry.flush();
    ended
}

async fn begin<C: Configuration, F: Future<Output = anyhow::Result<()>>>(
    name: &'static str,
    config: C,
    service: impl FnOnce(C, PlatformSpec, Bus, CancellationToken) -> F,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    let platform = platform::read(&config.common().platform)?;
    let bus = Bus::connect(&bus_config(name, config.common())).await?;
    service(config, platform, bus, stop).await
}

fn bus_config(name: &str, common: &Common) -> BusConfig {
    BusConfig {
        credentials_file: common.nats_credentials.clone(),
        monitoring_url: common.nats_monitoring_url.clone(),
        replicas: common.nats_replicas,
        ..BusConfig::new(common.nats_url.clone(), format!("slipway-{name}"))
    }
}
