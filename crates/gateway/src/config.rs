//! What a gateway can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use service_kit::Configuration;
use service_kit::config::{Common, Listen};

/// Settings of a gateway.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Settings of every service.
    #[command(flatten)]
    pub common: Common,
    /// Where gRPC, gRPC-Web and webhooks listen.
    #[command(flatten)]
    pub listen: ListenPublic,
    /// Folder for clones of repositories; may be emptied at any time.
    #[arg(long, env = "SLIPWAY_CACHE", default_value = "/var/cache/slipway/source")]
    pub source_cache: PathBuf,
    /// The other services.
    #[command(flatten)]
    pub parts: PartUrls,
}

/// Where the gateway listens: at a port that people can remember.
#[derive(Debug, Clone, clap::Args)]
pub struct ListenPublic {
    /// Address of gRPC, gRPC-Web and webhooks. Nothing listens beyond loopback unless told to.
    #[arg(id = "listen", long = "listen", env = "SLIPWAY_LISTEN", default_value = "127.0.0.1:7070")]
    pub address: SocketAddr,
    #[arg(skip)]
    shared: std::sync::OnceLock<Listen>,
}

impl ListenPublic {
    /// Listens at an address.
    #[must_use]
    pub fn at(address: SocketAddr) -> Self {
        Self { address, shared: std::sync::OnceLock::new() }
    }
}

/// Where the other services answer questions; one that is absent is not asked.
#[derive(Debug, Clone, Default, clap::Args)]
pub struct PartUrls {
    /// The builder's gRPC, such as `http://127.0.0.1:7071`.
    #[arg(long, env = "SLIPWAY_BUILDER_URL")]
    pub builder_url: Option<String>,
    /// The test-runner's gRPC.
    #[arg(long, env = "SLIPWAY_TEST_RUNNER_URL")]
    pub test_runner_url: Option<String>,
    /// The registry-promoter's gRPC.
    #[arg(long, env = "SLIPWAY_REGISTRY_PROMOTER_URL")]
    pub registry_promoter_url: Option<String>,
    /// The deployer's gRPC.
    #[arg(long, env = "SLIPWAY_DEPLOYER_URL")]
    pub deployer_url: Option<String>,
}

impl Configuration for Config {
    fn common(&self) -> &Common {
        &self.common
    }

    fn listen(&self) -> &Listen {
        self.listen.shared.get_or_init(|| Listen { listen: self.listen.address })
    }
}
