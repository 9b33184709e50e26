//! The bus's server: somebody else's, or a child process of ours that is started again when it dies.

use std::time::Duration;

use anyhow::Context as _;
use bus::server::{NatsServer, NatsServerConfig};
use tokio::net::TcpListener;
use tokio::sync::Mutex;

use super::data::DataDirectory;

/// Pause before a server that died is started again.
const AGAIN: Duration = Duration::from_millis(500);

pub(super) struct Nats {
    url: String,
    monitoring_url: Option<String>,
    own: Option<Own>,
}

struct Own {
    config: NatsServerConfig,
    server: Mutex<Option<NatsServer>>,
}

impl Nats {
    /// Uses the server at `url`, or starts one on `port` (another one if that is taken).
    pub(super) async fn start(
        url: Option<&str>,
        port: u16,
        data: &DataDirectory,
    ) -> anyhow::Result<Self> {
        if let Some(url) = url {
            return Ok(Self {
                url: url.to_owned(),
                monitoring_url: None,
                own: None,
            });
        }
        let mut config = NatsServerConfig::new(data.nats());
        config.port = (port != 0).then_some(port);
        let server = match NatsServer::start(config.clone()).await {
            // Only now is it known that the port belongs to somebody else, and not to a server that we left behind.
            Err(error) if port != 0 && is_taken(port).await => {
                tracing::warn!("port {port} can't be used for NATS, a free one is: {error}");
                config.port = None;
                NatsServer::start(config.clone()).await?
            }
            started => started?,
        };
        let (url, monitoring_url) = (server.url(), server.monitoring_url());
        config.port = url.rsplit(':').next().and_then(|p| p.parse().ok());
        Ok(Self {
            url,
            monitoring_url,
            own: Some(Own {
                config,
                server: Mutex::new(Some(server)),
            }),
        })
    }

    pub(super) fn url(&self) -> &str {
        &self.url
    }

    pub(super) fn monitoring_url(&self) -> Option<&str> {
        self.monitoring_url.as_deref()
    }

    /// Starts our server again whenever it ends; returns only when that can't be done.
    pub(super) async fn keep_running(&self) -> anyhow::Result<()> {
        let Some(own) = &self.own else {
            return std::future::pending().await;
        };
        loop {
            let mut server = own.server.lock().await;
            if let Some(running) = server.as_mut() {
                let status = running.exited().await?;
                tracing::error!("nats-server ended ({status}); it is started again");
            }
            *server = None;
            tokio::time::sleep(AGAIN).await;
            *server = Some(
                NatsServer::start(own.config.clone())
                    .await
                    .context("nats-server can't be started again")?,
            );
        }
    }

    pub(super) async fn stop(&self) {
        let Some(own) = &self.own else { return };
        if let Some(server) = own.server.lock().await.take()
            && let Err(error) = server.stop().await
        {
            tracing::warn!("nats-server did not stop in order: {error}");
        }
    }
}

async fn is_taken(port: u16) -> bool {
    TcpListener::bind(("127.0.0.1", port)).await.is_err()
}
