//! What a test-runner can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use container_stage::edge_image::EdgeSource;
use service_kit::Configuration;
use service_kit::config::{Common, Listen};

/// Settings of a test-runner.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Settings of every service.
    #[command(flatten)]
    pub common: Common,
    /// Where its gRPC listens.
    #[command(flatten)]
    pub listen: Listen,
    /// Stages done at a time.
    #[arg(long, env = "SLIPWAY_SLOTS", default_value_t = 2)]
    pub slots: usize,
    /// Folder for clones of repositories; may be emptied at any time.
    #[arg(
        long,
        env = "SLIPWAY_CACHE",
        default_value = "/var/cache/slipway/source"
    )]
    pub source_cache: PathBuf,
    /// Where the edge comes from: it waits for services inside their networks, and puts load on them.
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
