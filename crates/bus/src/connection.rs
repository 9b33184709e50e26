//! One connection to the bus, shared by everything in a process.

use std::sync::Arc;
use std::time::Duration;

use async_nats::connection::State;
use async_nats::jetstream::context::{ContextBuilder, CreateStreamErrorKind};
use async_nats::jetstream::{self, ErrorCode};
use async_nats::{Client, ConnectErrorKind, ConnectOptions, Event};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::config::BusConfig;
use crate::durability::{self, Durability};
use crate::error::{Error, Result};
use crate::events::EventStore;
use crate::feed::Feed;
use crate::inbox::Inbox;
use crate::jobs::JobQueue;
use crate::logs::LogStore;
use crate::presence::Presence;
use crate::streams::StreamKind;

/// Acknowledgements that may be outstanding at once, over all writers of the process.
const MAX_PUBLISHES_IN_FLIGHT: usize = 1024;
const LONGEST_RECONNECT_PAUSE: Duration = Duration::from_secs(1);

/// A connection to the bus. Clones share it; it reconnects by itself for as long as the process lives.
#[derive(Clone)]
pub struct Bus {
    inner: Arc<Inner>,
}

struct Inner {
    client: Client,
    jetstream: jetstream::Context,
    config: BusConfig,
    link: watch::Receiver<Link>,
    durability: Durability,
    tasks: TaskTracker,
    closing: CancellationToken,
}

/// The connection to a server: a new epoch begins with each. What a server kept in memory may be gone then.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Link {
    pub(crate) epoch: u64,
    pub(crate) since: Instant,
}

impl Bus {
    /// Connects, within [`BusConfig::connect_timeout`], and creates or updates the streams.
    ///
    /// # Errors
    /// When no server answers in time, it refuses us, it is older than 2.10, or it cannot keep the streams.
    pub async fn connect(config: &BusConfig) -> Result<Self> {
        let (sender, link) = watch::channel(Link {
            epoch: 0,
            since: Instant::now(),
        });
        let client = connect_client(config, sender).await?;
        if !client.is_server_compatible(2, 10, 0) {
            return Err(Error::TooOld {
                url: config.public_url(),
                found: client.server_info().version,
            });
        }
        let durability = durability::check(config).await;
        let jetstream = ContextBuilder::new()
            .timeout(config.request_timeout)
            .max_ack_inflight(MAX_PUBLISHES_IN_FLIGHT)
            .backpressure_on_inflight(true)
            .build(client.clone());
        let inner = Inner {
            client,
            jetstream,
            config: config.clone(),
            link,
            durability,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
        };
        let bus = Self {
            inner: Arc::new(inner),
        };
        for stream in StreamKind::ALL {
            bus.set_up(stream).await?;
        }
        Ok(bus)
    }

    /// The lists of events.
    pub fn events(&self) -> EventStore {
        EventStore::new(self.clone())
    }

    /// The queues of jobs.
    pub fn jobs(&self) -> JobQueue {
        JobQueue::new(self.clone())
    }

    /// The logs of stages.
    pub fn logs(&self) -> LogStore {
        LogStore::new(self.clone())
    }

    /// The commits that arrive from outside.
    pub fn inbox(&self) -> Inbox {
        Inbox::new(self.clone())
    }

    /// The public feed of CDEvents.
    pub fn feed(&self) -> Feed {
        Feed::new(self.clone())
    }

    /// Who is at work.
    pub fn presence(&self) -> Presence {
        Presence::new(self.clone())
    }

    /// Whether the server has answered and not gone since.
    pub fn is_connected(&self) -> bool {
        self.inner.client.connection_state() == State::Connected
    }

    /// What is known about the server's care for acknowledged messages.
    pub fn durability(&self) -> Durability {
        self.inner.durability
    }

    /// Ends the tasks of this connection (announcements, heartbeats), sends what is under way, and disconnects.
    /// Waits at most `limit`.
    pub async fn close(&self, limit: Duration) {
        self.inner.closing.cancel();
        self.inner.tasks.close();
        let finish = async {
            self.inner.tasks.wait().await;
            if let Err(error) = self.inner.client.drain().await {
                tracing::debug!(%error, "the connection to the bus was closed already");
            }
        };
        if tokio::time::timeout(limit, finish).await.is_err() {
            tracing::warn!(
                ?limit,
                "the bus did not close in time; unsettled deliveries are delivered again later"
            );
        }
    }

    pub(crate) fn client(&self) -> &Client {
        &self.inner.client
    }

    pub(crate) fn jetstream(&self) -> &jetstream::Context {
        &self.inner.jetstream
    }

    pub(crate) fn config(&self) -> &BusConfig {
        &self.inner.config
    }

    pub(crate) fn tasks(&self) -> &TaskTracker {
        &self.inner.tasks
    }

    pub(crate) fn closing(&self) -> &CancellationToken {
        &self.inner.closing
    }

    pub(crate) fn link(&self) -> watch::Receiver<Link> {
        self.inner.link.clone()
    }

    /// The stream, made again if the server lost it with its memory.
    pub(crate) async fn stream(&self, kind: StreamKind) -> Result<jetstream::stream::Stream> {
        match self
            .inner
            .jetstream
            .get_or_create_stream(kind.config(self.config()))
            .await
        {
            Ok(stream) => Ok(stream),
            Err(error) => match error.kind() {
                CreateStreamErrorKind::JetStream(_) => Err(Error::Stream {
                    stream: kind.name(),
                    source: error.into(),
                }),
                _ => Err(Error::unavailable("find or make a stream", error)),
            },
        }
    }

    /// Creates the stream, or gives it the configuration of this version.
    async fn set_up(&self, kind: StreamKind) -> Result<()> {
        let mut config = kind.config(self.config());
        loop {
            let Err(error) = self
                .inner
                .jetstream
                .create_or_update_stream(config.clone())
                .await
            else {
                return Ok(());
            };
            let too_large = matches!(error.kind(), CreateStreamErrorKind::JetStream(reason)
                if matches!(reason.error_code(), ErrorCode::STORAGE_RESOURCES_EXCEEDED | ErrorCode::INSUFFICIENT_RESOURCES));
            if too_large && config.max_bytes > 64 << 20 {
                config.max_bytes /= 2;
                tracing::warn!(
                    stream.name = kind.name(),
                    stream.max_bytes = config.max_bytes,
                    "the NATS server has less storage than configured; the stream keeps less"
                );
                continue;
            }
            return Err(Error::Stream {
                stream: kind.name(),
                source: error.into(),
            });
        }
    }
}

impl std::fmt::Debug for Bus {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bus")
            .field("url", &self.inner.config.public_url())
            .finish_non_exhaustive()
    }
}

/// Tries until a server answers, refuses, or the time is over.
async fn connect_client(config: &BusConfig, link: watch::Sender<Link>) -> Result<Client> {
    let deadline = Instant::now() + config.connect_timeout;
    let link = Arc::new(link);
    let mut pause = Duration::from_millis(50);
    loop {
        let error = match options(config, Arc::clone(&link))
            .await?
            .connect(config.url.as_str())
            .await
        {
            Ok(client) => return Ok(client),
            Err(error) => error,
        };
        let url = config.public_url();
        match error.kind() {
            ConnectErrorKind::Authentication
            | ConnectErrorKind::AuthorizationViolation
            | ConnectErrorKind::ServerParse
            | ConnectErrorKind::Tls => {
                return Err(Error::Refused {
                    url,
                    source: error.into(),
                });
            }
            _ if Instant::now() + pause >= deadline => {
                return Err(Error::Connect {
                    url,
                    waited: config.connect_timeout,
                    source: error.into(),
                });
            }
            _ => tracing::debug!(%error, "no NATS server yet"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RECONNECT_PAUSE);
    }
}

async fn options(config: &BusConfig, link: Arc<watch::Sender<Link>>) -> Result<ConnectOptions> {
    let options = ConnectOptions::new()
        .name(&config.name)
        .connection_timeout(config.request_timeout)
        .request_timeout(Some(config.request_timeout))
        .max_reconnects(None)
        .reconnect_delay_callback(|attempt| {
            let exponent = u32::try_from(attempt.min(10)).unwrap_or(10);
            (Duration::from_millis(4) * 2u32.pow(exponent)).min(LONGEST_RECONNECT_PAUSE)
        })
        .event_callback(move |event| {
            note(&event, &link);
            std::future::ready(())
        });
    match &config.credentials_file {
        None => Ok(options),
        Some(file) => options
            .credentials_file(file)
            .await
            .map_err(|source| Error::Credentials {
                path: file.display().to_string(),
                source,
            }),
    }
}

fn note(event: &Event, link: &watch::Sender<Link>) {
    match event {
        Event::Connected => {
            link.send_modify(|link| {
                *link = Link {
                    epoch: link.epoch + 1,
                    since: Instant::now(),
                }
            });
            tracing::info!("connected to the bus");
        }
        Event::Disconnected => tracing::warn!("lost the connection to the bus; reconnecting"),
        Event::SlowConsumer(subscription) => {
            tracing::warn!(
                subscription,
                "messages from the bus are not taken as fast as they come"
            );
        }
        Event::ServerError(_) | Event::ClientError(_) => {
            tracing::warn!(%event, "the bus reports an error");
        }
        _ => tracing::debug!(%event, "bus connection"),
    }
}
