//! Connections to backends and how their names become addresses.
//!
//! Names go to the servers of `/etc/resolv.conf` directly, as the binary is linked statically and has no `getaddrinfo`.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::{Duration, Instant},
};

use hickory_resolver::{TokioResolver, config::LookupIpStrategy};
use http::{Uri, uri::Authority};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::timeout};

/// A container that restarts gets a new address, and another one may get its old one.
const NAME_VALID_FOR: Duration = Duration::from_secs(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(1);
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(2);

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConnectError {
    #[error("cannot resolve the name {host}: {reason}")]
    Resolve { host: String, reason: String },
    #[error("cannot connect to {address}")]
    Connect {
        address: SocketAddr,
        source: io::Error,
    },
}

impl ConnectError {
    /// Whether it says something about the backend, and not about a shortage on this side.
    pub(crate) fn is_the_backends(&self) -> bool {
        use io::ErrorKind::{
            ConnectionRefused, ConnectionReset, HostUnreachable, NetworkUnreachable, TimedOut,
        };
        match self {
            Self::Resolve { .. } => true,
            Self::Connect { source, .. } => matches!(
                source.kind(),
                ConnectionRefused
                    | ConnectionReset
                    | HostUnreachable
                    | NetworkUnreachable
                    | TimedOut
            ),
        }
    }
}

/// The system's name servers, or why there are none (IP addresses work all the same).
pub(crate) struct Dns(Result<TokioResolver, String>);

impl Dns {
    pub(crate) fn of_system() -> Self {
        let builder = TokioResolver::builder_tokio().map_err(|error| error.to_string());
        Self(builder.map(|mut builder| {
            let options = builder.options_mut();
            options.timeout = Duration::from_secs(1);
            options.attempts = 1;
            options.cache_size = 0;
            options.ip_strategy = LookupIpStrategy::Ipv4thenIpv6;
            builder.build()
        }))
    }

    async fn lookup(&self, host: &str) -> Result<Vec<IpAddr>, ConnectError> {
        if let Ok(ip) = host.trim_matches(['[', ']']).parse() {
            return Ok(vec![ip]);
        }
        if host.eq_ignore_ascii_case("localhost") {
            return Ok(vec![Ipv4Addr::LOCALHOST.into()]);
        }
        let failed = |reason: String| ConnectError::Resolve {
            host: host.to_owned(),
            reason,
        };
        let resolver = self.0.as_ref().map_err(|reason| failed(reason.clone()))?;
        // The final dot keeps the search list out: container names are complete.
        let lookup = resolver.lookup_ip(format!("{}.", host.trim_end_matches('.')));
        match timeout(LOOKUP_TIMEOUT, lookup).await {
            Ok(Ok(found)) => Ok(found.iter().collect()),
            Ok(Err(error)) if error.is_no_records_found() => {
                Err(failed("there is no such name here".into()))
            }
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the name server does not answer".into())),
        }
    }
}

/// A place to connect to, with its address as far as known.
pub(crate) struct Endpoint {
    host: String,
    port: u16,
    dns: Arc<Dns>,
    known: Mutex<Option<(Vec<IpAddr>, Instant)>>,
}

impl Endpoint {
    /// `default_port` is used where the authority has none.
    pub(crate) fn new(authority: &Authority, default_port: u16, dns: Arc<Dns>) -> Self {
        let port = authority.port_u16().unwrap_or(default_port);
        Self {
            host: authority.host().to_owned(),
            port,
            dns,
            known: Mutex::new(None),
        }
    }

    /// Connects; a name is looked up again when it was not lately, or when its address no longer answers.
    pub(crate) async fn connect(&self) -> Result<TcpStream, ConnectError> {
        let Some(known) = self.known() else {
            return self.connect_anew().await;
        };
        match self.connect_to(&known).await {
            Ok(stream) => Ok(stream),
            Err(error) => match self.lookup().await {
                Ok(now) if now != known => self.connect_to(&now).await,
                _ => Err(error),
            },
        }
    }

    /// Connects after looking up the name.
    pub(crate) async fn connect_anew(&self) -> Result<TcpStream, ConnectError> {
        let ips = self.lookup().await?;
        self.connect_to(&ips).await
    }

    fn known(&self) -> Option<Vec<IpAddr>> {
        let known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known
            .as_ref()
            .filter(|(_, at)| at.elapsed() < NAME_VALID_FOR)
            .map(|(ips, _)| ips.clone())
    }

    async fn lookup(&self) -> Result<Vec<IpAddr>, ConnectError> {
        let ips = self.dns.lookup(&self.host).await?;
        *self.known.lock().unwrap_or_else(PoisonError::into_inner) =
            Some((ips.clone(), Instant::now()));
        Ok(ips)
    }

    async fn connect_to(&self, ips: &[IpAddr]) -> Result<TcpStream, ConnectError> {
        let mut last = ConnectError::Resolve {
            host: self.host.clone(),
            reason: "the name has no address".into(),
        };
        for ip in ips {
            let address = SocketAddr::new(*ip, self.port);
            let connected = timeout(CONNECT_TIMEOUT, TcpStream::connect(address)).await;
            match connected.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into())) {
                Ok(stream) => {
                    if let Err(error) = stream.set_nodelay(true) {
                        tracing::debug!(%error, "cannot set TCP_NODELAY");
                    }
                    return Ok(stream);
                }
                Err(source) => last = ConnectError::Connect { address, source },
            }
        }
        Err(last)
    }
}

/// Connects to its endpoint whatever the URI of the request says.
#[derive(Clone)]
pub(crate) struct Connector(pub(crate) Arc<Endpoint>);

impl tower::Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = ConnectError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, _: Uri) -> Self::Future {
        let endpoint = self.0.clone();
        Box::pin(async move { endpoint.connect().await.map(TokioIo::new) })
    }
}
