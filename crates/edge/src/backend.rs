//! One replica while it is in use: its connections, readiness and the requests under way.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::SeqCst},
    },
    time::Duration,
};

use arc_swap::ArcSwapOption;
use http::uri::Authority;
use hyper_util::{
    client::legacy::Client,
    rt::{TokioExecutor, TokioTimer},
};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::{
    body::Outbound,
    connect::{Connector, Dns, Endpoint},
    counters::VersionCounters,
    readiness::{Readiness, Seen},
    status::BackendStatus,
    table,
};

/// Shorter than what common servers keep an idle connection for (the shortest default in use, gunicorn's, is 2 s), so
/// that a request seldom meets a connection that is being closed.
const IDLE_CONNECTION_KEPT: Duration = Duration::from_secs(1);
const IDLE_CONNECTIONS: usize = 1024;

/// A replica. It lives until its last request is done, also after it left the table.
pub(crate) struct Backend {
    /// From the table; the weight is the route's affair.
    pub(crate) spec: table::Backend,
    pub(crate) authority: Authority,
    pub(crate) endpoint: Arc<Endpoint>,
    pub(crate) counters: Arc<VersionCounters>,
    /// Cancelled when it leaves the table.
    pub(crate) removed: CancellationToken,
    /// Asks for a check now.
    pub(crate) check: Notify,
    readiness: Mutex<Readiness>,
    clients: ArcSwapOption<Clients>,
    in_flight: AtomicU64,
    closed: AtomicBool,
}

/// The connection pools of one backend; idle connections are closed when the last request that waits for a response
/// lets go of them, and at the latest when they have been idle for too long.
pub(crate) struct Clients {
    pub(crate) http1: Client<Connector, Outbound>,
    pub(crate) h2c: Client<Connector, Outbound>,
}

impl Backend {
    /// The spec comes from a valid table, so its address is an authority; were it not, nothing could be reached.
    pub(crate) fn new(
        spec: table::Backend,
        counters: Arc<VersionCounters>,
        dns: Arc<Dns>,
        removed: CancellationToken,
    ) -> Self {
        let authority = spec
            .address
            .parse()
            .unwrap_or_else(|_| Authority::from_static("invalid.invalid:1"));
        let endpoint = Arc::new(Endpoint::new(&authority, 80, dns));
        let mut builder = Client::builder(TokioExecutor::new());
        builder
            .pool_timer(TokioTimer::new())
            .timer(TokioTimer::new())
            .pool_idle_timeout(IDLE_CONNECTION_KEPT)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .retry_canceled_requests(true)
            .set_host(false);
        let clients = Clients {
            http1: builder.build(Connector(endpoint.clone())),
            h2c: builder.http2_only(true).build(Connector(endpoint.clone())),
        };
        Self {
            spec,
            authority,
            endpoint,
            counters,
            removed,
            check: Notify::new(),
            readiness: Mutex::default(),
            clients: ArcSwapOption::from_pointee(clients),
            in_flight: AtomicU64::new(0),
            closed: AtomicBool::new(false),
        }
    }

    /// Takes the backend into use for one request; none when it has left the table.
    ///
    /// Counting before looking pairs with [`Self::leave`] closing before the count is read (both sequentially
    /// consistent): once a closed backend is seen with nothing in flight, no request reaches it any more.
    pub(crate) fn enter(self: Arc<Self>) -> Option<InFlight> {
        self.in_flight.fetch_add(1, SeqCst);
        let entered = InFlight(self);
        (!entered.0.closed.load(SeqCst)).then_some(entered)
    }

    /// Takes no new request, closes idle connections and stops the checks.
    pub(crate) fn leave(&self) {
        self.closed.store(true, SeqCst);
        self.clients.store(None);
        self.removed.cancel();
    }

    pub(crate) fn clients(&self) -> Option<Arc<Clients>> {
        self.clients.load_full()
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight.load(SeqCst)
    }

    pub(crate) fn readiness(&self) -> Readiness {
        self.readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    pub(crate) fn is_ready(&self) -> bool {
        self.readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .ready
    }

    /// Takes in what was seen of it and says whether it became ready, or ceased to be.
    pub(crate) fn observe(&self, seen: Seen) -> bool {
        let changed = self
            .readiness
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .observe(seen);
        if changed {
            let Readiness {
                ready, last_error, ..
            } = self.readiness();
            let error = last_error.unwrap_or_default();
            tracing::info!(backend.name = %self.spec.name, backend.version = %self.spec.version, ready, error, "readiness of a backend changed");
        }
        changed
    }

    pub(crate) fn status(&self, host: Option<&str>, weight: u32) -> BackendStatus {
        let readiness = self.readiness();
        BackendStatus {
            host: host.map(str::to_owned),
            name: self.spec.name.clone(),
            address: self.spec.address.clone(),
            version: self.spec.version.clone(),
            weight,
            ready: readiness.ready,
            consecutive_failures: readiness.consecutive_failures,
            last_probe_error: readiness.last_error,
            in_flight: self.in_flight(),
            draining: self.closed.load(SeqCst),
        }
    }
}

/// One request or tunnel under way at a backend.
pub(crate) struct InFlight(Arc<Backend>);

impl InFlight {
    pub(crate) fn backend(&self) -> &Arc<Backend> {
        &self.0
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, SeqCst);
    }
}
