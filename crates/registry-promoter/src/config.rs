//! What a registry-promoter can be told.

use std::net::SocketAddr;

use service_kit::Configuration;
use service_kit::config::{Common, Listen};

/// Settings of a registry-promoter.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Settings of every service.
    #[command(flatten)]
    pub common: Common,
    /// Where its gRPC listens.
    #[command(flatten)]
    pub listen: Listen,
    /// Stages done at a time.
    #[arg(long, env = "SLIPWAY_SLOTS", default_value_t = 4)]
    pub slots: usize,
}

impl Configuration for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn listen(&self) -> SocketAddr {
        self.listen.listen
    }
}
