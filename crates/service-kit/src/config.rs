//! The settings that services share. Each can be given as an option or by its environment variable.

use std::net::SocketAddr;
use std::path::PathBuf;

use crate::auth::{Secret, TokenFileError, Tokens};

/// Settings of every service.
#[derive(Debug, Clone, clap::Args)]
pub struct Common {
    /// Where NATS answers.
    #[arg(
        long,
        env = "SLIPWAY_NATS_URL",
        default_value = "nats://127.0.0.1:4222"
    )]
    pub nats_url: String,
    /// Replicas of each stream: 1, or 3 on a cluster of three NATS servers or more.
    #[arg(long, env = "SLIPWAY_NATS_REPLICAS", default_value_t = 1)]
    pub nats_replicas: usize,
    /// NATS credentials file.
    #[arg(long, env = "SLIPWAY_NATS_CREDENTIALS")]
    pub nats_credentials: Option<PathBuf>,
    /// NATS's monitoring address, such as `http://nats:8222`: whether it syncs every message can be seen only there.
    #[arg(long, env = "SLIPWAY_NATS_MONITORING_URL")]
    pub nats_monitoring_url: Option<String>,
    /// The organisation's file: registries and environments.
    #[arg(long, env = "SLIPWAY_PLATFORM", default_value = "platform.yaml")]
    pub platform: PathBuf,
    /// Who may call: lines of NAME TOKEN. The services use the first line's token among themselves.
    #[arg(long, env = "SLIPWAY_TOKEN_FILE")]
    pub token_file: PathBuf,
}

impl Common {
    /// The tokens that may call.
    ///
    /// # Errors
    /// When the file can't be used.
    pub fn tokens(&self) -> Result<Tokens, TokenFileError> {
        Tokens::read(&self.token_file)
    }

    /// The token that this service shows to the others: the first in the file.
    ///
    /// # Errors
    /// When the file can't be used.
    pub fn own_token(&self) -> Result<Secret, TokenFileError> {
        self.tokens()?;
        let path = self.token_file.display().to_string();
        let text =
            std::fs::read_to_string(&self.token_file).map_err(|source| TokenFileError::Read {
                path: path.clone(),
                source,
            })?;
        let first = text
            .lines()
            .map(str::trim)
            .find(|l| !l.is_empty() && !l.starts_with('#'));
        let token = first.and_then(|l| l.split_whitespace().last());
        token.map(Secret::new).ok_or(TokenFileError::Empty { path })
    }
}

/// Where a service's own gRPC listens.
#[derive(Debug, Clone, clap::Args)]
pub struct Listen {
    /// Address of this service's gRPC. Nothing listens beyond loopback unless told to.
    #[arg(long, env = "SLIPWAY_LISTEN", default_value = "127.0.0.1:0")]
    pub listen: SocketAddr,
}
