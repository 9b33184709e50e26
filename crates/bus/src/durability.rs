//! Finds out whether the server writes acknowledged messages to disk before it acknowledges them.
//!
//! A client cannot ask a NATS server for its sync setting; only the monitoring endpoint `/varz` shows it.

use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::config::BusConfig;

const TIME_LIMIT: Duration = Duration::from_secs(3);
const MAX_ANSWER_BYTES: u64 = 4 << 20;

/// Whether what the server acknowledged survives a power failure of its machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Durability {
    /// Each message is synced before it is acknowledged.
    Always,
    /// The server syncs now and then: the last minutes may be lost.
    Interval,
    /// The server's monitoring endpoint is not configured, or did not answer.
    Unknown,
}

/// Reads the setting where it can, and warns when it is not, or may not be, `always`.
pub(crate) async fn check(config: &BusConfig) -> Durability {
    let durability = match &config.monitoring_url {
        None => Durability::Unknown,
        Some(url) => tokio::time::timeout(TIME_LIMIT, varz(url))
            .await
            .ok()
            .flatten()
            .unwrap_or(Durability::Unknown),
    };
    match durability {
        Durability::Always => tracing::debug!("the NATS server syncs every message"),
        Durability::Interval => tracing::warn!(
            "THE NATS SERVER DOES NOT SYNC EVERY MESSAGE: a power failure can lose minutes of acknowledged events; \
             set `jetstream {{ sync_interval: always }}` in its configuration"
        ),
        Durability::Unknown => tracing::warn!(
            "cannot see whether the NATS server syncs every message; make sure that its configuration says \
             `jetstream {{ sync_interval: always }}`, and name its monitoring address so that Slipway can check"
        ),
    }
    durability
}

async fn varz(url: &str) -> Option<Durability> {
    let address = url.strip_prefix("http://")?.trim_end_matches('/');
    let mut connection = TcpStream::connect(address).await.ok()?;
    let request =
        format!("GET /varz HTTP/1.0\r\nHost: {address}\r\nAccept: application/json\r\n\r\n");
    connection.write_all(request.as_bytes()).await.ok()?;
    let mut answer = Vec::new();
    connection
        .take(MAX_ANSWER_BYTES)
        .read_to_end(&mut answer)
        .await
        .ok()?;
    parse(&answer)
}

/// The setting in an HTTP answer of `/varz`.
fn parse(answer: &[u8]) -> Option<Durability> {
    let body = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let varz: serde_json::Value = serde_json::from_slice(&answer[body..]).ok()?;
    let jetstream = varz.get("jetstream")?.get("config")?;
    // The server leaves the field out when it is false.
    let always = jetstream
        .get("sync_always")
        .and_then(serde_json::Value::as_bool)
        .unwrap_or(false);
    Some(if always {
        Durability::Always
    } else {
        Durability::Interval
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_sync_setting_is_read_from_the_monitoring_answer() {
        let answer = |config: &str| {
            format!("HTTP/1.0 200 OK\r\nA: b\r\n\r\n{{\"jetstream\":{{\"config\":{config}}}}}")
        };
        assert_eq!(
            parse(answer("{\"sync_always\":true}").as_bytes()),
            Some(Durability::Always)
        );
        assert_eq!(
            parse(answer("{\"sync_interval\":1}").as_bytes()),
            Some(Durability::Interval)
        );
        assert_eq!(parse(b"HTTP/1.0 404 Not Found\r\n\r\n"), None);
    }
}
