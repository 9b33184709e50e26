//! A server and a connection to it.

use std::future::Future;
use std::time::Duration;

use bus::{Bus, BusConfig};
use testkit::nats::TestNats;

/// Starts a server and connects.
pub(crate) async fn bed() -> (TestNats, Bus) {
    let server = TestNats::start().await.expect("a test server starts");
    let bus = connect(&server).await;
    (server, bus)
}

/// Connects to a server, as a process of its own would.
pub(crate) async fn connect(server: &TestNats) -> Bus {
    let mut config = BusConfig::new(server.url(), "test");
    config.monitoring_url = Some(server.monitoring_url());
    config.presence_grace = Duration::ZERO;
    Bus::connect(&config)
        .await
        .expect("the test server takes connections")
}

/// The future's result; a test that waits this long has failed.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    tokio::time::timeout(Duration::from_secs(60), future)
        .await
        .unwrap_or_else(|_| panic!("waited in vain until {what}"))
}
