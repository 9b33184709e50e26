//! What a builder can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use service_kit::Configuration;
use service_kit::config::{Common, Listen};

/// Settings of a builder.
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
    /// Addresses of all test-runners. If one of them uses another container engine than this builder, workspaces are
    /// pushed to the development registry for it. None: they all share this one's engine.
    #[arg(long, env = "SLIPWAY_TEST_RUNNER_URLS", value_delimiter = ',')]
    pub test_runners: Vec<String>,
}

impl Configuration for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn listen(&self) -> SocketAddr {
        self.listen.listen
    }
}
