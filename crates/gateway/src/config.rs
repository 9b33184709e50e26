//! What a gateway can be told.

use std::net::SocketAddr;
use std::path::PathBuf;

use service_kit::Configuration;
use service_kit::config::Common;

/// Faces teams: gRPC and webhooks on one port; plans runs and takes approvals.
#[derive(Debug, Clone, clap::Args)]
pub struct Config {
    /// Settings of every service.
    #[command(flatten)]
    pub common: Common,
    /// Address of gRPC, gRPC-Web and webhooks. Nothing listens beyond loopback unless told to.
    #[arg(long, env = "SLIPWAY_LISTEN", default_value = "127.0.0.1:7070")]
    pub listen: SocketAddr,
    /// Folder for clones of repositories; may be emptied at any time.
    #[arg(
        long,
        env = "SLIPWAY_CACHE",
        default_value = "/var/cache/slipway/source"
    )]
    pub source_cache: PathBuf,
    /// The other services.
    #[command(flatten)]
    pub parts: PartUrls,
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

    fn listen(&self) -> SocketAddr {
        self.listen
    }
}
