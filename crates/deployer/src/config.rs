//! What a deployer can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use container_stage::edge_image::EdgeSource;
use service_kit::Configuration;
use service_kit::config::{Common, Listen};

/// Settings of a deployer.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Settings of every service.
    #[command(flatten)]
    pub common: Common,
    /// Where its gRPC listens.
    #[command(flatten)]
    pub listen: Listen,
    /// Rollouts done at a time. One that waits for a person counts.
    #[arg(long, env = "SLIPWAY_SLOTS", default_value_t = 64)]
    pub slots: usize,
    /// Address of the host on which deployed services are published.
    #[arg(long, env = "SLIPWAY_PUBLISH_ADDRESS", default_value = "127.0.0.1")]
    pub publish_address: std::net::IpAddr,
    /// Folder for clones of repositories, for the Kubernetes manifests in them; may be emptied at any time.
    #[arg(
        long,
        env = "SLIPWAY_CACHE",
        default_value = "/var/cache/slipway/source"
    )]
    pub source_cache: PathBuf,
    /// Where the edge comes from.
    #[command(flatten)]
    pub edge: EdgeSource,
}

impl Configuration for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn listen(&self) -> SocketAddr {
        self.listen.listen
    }
}
