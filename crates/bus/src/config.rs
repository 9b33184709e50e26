//! What a process must know to join the bus.

use std::path::PathBuf;
use std::time::Duration;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);

/// How to reach the bus, and how its streams keep what they are given.
#[derive(Debug, Clone)]
pub struct BusConfig {
    /// `nats://host:port`, or several, separated by commas.
    pub url: String,
    /// A NATS `.creds` file.
    pub credentials_file: Option<PathBuf>,
    /// How many servers keep each stream: 1, or 3 where there are three servers.
    pub replicas: usize,
    /// The name of this process, as the server shows it.
    pub name: String,
    /// The server's monitoring address (`http://host:8222`), where its sync setting can be read.
    pub monitoring_url: Option<String>,
    /// How long [`Bus::connect`](crate::Bus::connect) tries.
    pub connect_timeout: Duration,
    /// How long one question to the server may take.
    pub request_timeout: Duration,
    /// How long events are kept.
    pub event_retention: Duration,
    /// How long logs are kept.
    pub log_retention: Duration,
    /// How many bytes of logs are kept; the oldest go first. Less is taken where the server has less.
    pub log_max_bytes: u64,
    /// How long after a reconnection a worker that does not answer may still be reconnecting itself.
    pub presence_grace: Duration,
}

impl BusConfig {
    /// The defaults, for the server at `url` and a process called `name`.
    pub fn new(url: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            url: url.into(),
            credentials_file: None,
            replicas: 1,
            name: name.into(),
            monitoring_url: None,
            connect_timeout: Duration::from_secs(30),
            request_timeout: Duration::from_secs(5),
            event_retention: 400 * DAY,
            log_retention: 30 * DAY,
            log_max_bytes: 8 << 30,
            presence_grace: Duration::from_secs(5),
        }
    }

    /// The address without user names, passwords or tokens.
    pub(crate) fn public_url(&self) -> String {
        let without_secret = |url: &str| match (url.split_once("://"), url.rsplit_once('@')) {
            (Some((scheme, _)), Some((_, host))) => format!("{scheme}://{host}"),
            (None, Some((_, host))) => host.to_owned(),
            (_, None) => url.to_owned(),
        };
        self.url
            .split(',')
            .map(|url| without_secret(url.trim()))
            .collect::<Vec<_>>()
            .join(",")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_public_address_has_no_secrets() {
        let config = BusConfig::new(
            "nats://user:pass@one:4222, nats://two:4222,token@three",
            "test",
        );
        assert_eq!(config.public_url(), "nats://one:4222,nats://two:4222,three");
    }
}
