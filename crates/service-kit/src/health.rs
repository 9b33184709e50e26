//! The `health` subcommand of every service: asks the service itself, for container health checks.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

const TIMEOUT: Duration = Duration::from_secs(3);

/// Asks the gRPC health service at `listen` (where a service was told to listen) whether it serves.
///
/// # Errors
/// When it can't be reached or does not serve, in one line.
pub async fn ask(listen: SocketAddr) -> anyhow::Result<()> {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    let endpoint = tonic::transport::Endpoint::from_shared(format!(
        "http://{}",
        SocketAddr::new(ip, listen.port())
    ))?
    .connect_timeout(TIMEOUT)
    .timeout(TIMEOUT);
    let mut client = HealthClient::new(endpoint.connect().await?);
    let answer = client
        .check(HealthCheckRequest {
            service: String::new(),
        })
        .await?
        .into_inner();
    anyhow::ensure!(
        answer.status() == ServingStatus::Serving,
        "it answers, but does not serve yet"
    );
    Ok(())
}
