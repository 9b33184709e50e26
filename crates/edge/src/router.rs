//! The table in force: from a host name to the backend of the next request.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use arc_swap::ArcSwap;
use http::{HeaderMap, HeaderValue};
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend::{Backend, InFlight},
    connect::Dns,
    counters::Counters,
    prober,
    route::{Choice, Route},
    status::{BackendStatus, RouteStatus},
    table::Table,
};

/// Picks backends. Requests only read; table and readiness changes happen one at a time.
pub(crate) struct Router {
    routes: ArcSwap<Routes>,
    /// Counts changes, so that requests can wait for the next.
    changes: watch::Sender<u64>,
    /// Backends that left the table with requests under way; the lock also orders changes.
    leaving: Mutex<Vec<Arc<Backend>>>,
    pub(crate) counters: Counters,
    dns: Arc<Dns>,
    tasks: TaskTracker,
    stop: CancellationToken,
}

/// A table made ready for use.
#[derive(Default)]
pub(crate) struct Routes {
    /// None before the first.
    pub(crate) table: Option<Table>,
    routes: Vec<Route>,
    by_host: HashMap<String, usize>,
    default: Option<usize>,
}

/// What a request says about where it is to go.
#[derive(Clone, Copy)]
pub(crate) struct Asked<'r> {
    pub(crate) host: &'r str,
    pub(crate) headers: &'r HeaderMap,
}

/// A backend for a request, taken into use.
pub(crate) struct Chosen {
    pub(crate) in_flight: InFlight,
    /// `Set-Cookie` for the client.
    pub(crate) cookie: Option<HeaderValue>,
}

/// Why there is no backend for a request.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Nobody {
    NoTable,
    NoRoute,
    /// With a line for each backend that has a weight.
    NoneReady(Vec<String>),
}

impl Router {
    /// Checks run on `tasks` until `stop`.
    pub(crate) fn new(tasks: TaskTracker, stop: CancellationToken) -> Self {
        Self {
            routes: ArcSwap::default(),
            changes: watch::Sender::new(0),
            leaving: Mutex::default(),
            counters: Counters::default(),
            dns: Arc::new(Dns::of_system()),
            tasks,
            stop,
        }
    }

    pub(crate) fn routes(&self) -> Arc<Routes> {
        self.routes.load_full()
    }

    pub(crate) fn changes(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }

    /// The backend whose turn it is for such a request, preferably one not yet tried, taken into use.
    pub(crate) fn choose(
        &self,
        asked: Asked<'_>,
        tried: &[Arc<Backend>],
    ) -> Result<Chosen, Nobody> {
        loop {
            let routes = self.routes.load();
            let route = routes.route(asked.host)?;
            let choice = route.choose(asked.headers, tried);
            let Choice { backend, cookie } =
                choice.ok_or_else(|| Nobody::NoneReady(route.unready()))?;
            // A backend that refuses has just left the table: then there is a newer one to look at.
            if let Some(in_flight) = backend.enter() {
                return Ok(Chosen { in_flight, cookie });
            }
        }
    }

    /// Puts a valid table in force. Replicas that stay keep their readiness, connections and counts.
    pub(crate) fn apply(self: &Arc<Self>, table: Table) {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        let before = self.routes.load_full();
        let mut backends: Vec<Arc<Backend>> = Vec::new();
        let mut routes = Routes::default();
        for spec in &table.routes {
            let members: Vec<Arc<Backend>> = spec
                .backends
                .iter()
                .map(|spec| {
                    let same = |backend: &&Arc<Backend>| backend.spec.same_replica(spec);
                    let known = backends
                        .iter()
                        .find(same)
                        .or_else(|| before.backends().find(same))
                        .cloned();
                    let backend = known.unwrap_or_else(|| self.start(spec.clone()));
                    backends.push(backend.clone());
                    backend
                })
                .collect();
            routes.add(Route::new(spec, &members));
        }
        tracing::info!(
            table.generation = table.generation,
            backends = backends.len(),
            "table in force"
        );
        routes.table = Some(table);
        self.routes.store(Arc::new(routes));
        for gone in before
            .backends()
            .filter(|old| !backends.iter().any(|new| Arc::ptr_eq(old, new)))
        {
            gone.leave();
            if !leaving.iter().any(|known| Arc::ptr_eq(known, gone)) {
                leaving.push(gone.clone());
            }
        }
        self.changes.send_modify(|count| *count += 1);
    }

    /// Takes the readiness of all backends into the schedules.
    pub(crate) fn readiness_changed(&self) {
        let _one_at_a_time = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        self.routes.load().routes.iter().for_each(Route::refresh);
        self.changes.send_modify(|count| *count += 1);
    }

    pub(crate) fn status(&self) -> Vec<BackendStatus> {
        let mut leaving = self.leaving.lock().unwrap_or_else(PoisonError::into_inner);
        leaving.retain(|backend| backend.in_flight() > 0);
        let routes = self.routes.load();
        let serving = routes.routes.iter().flat_map(Route::status);
        serving
            .chain(leaving.iter().map(|backend| backend.status(None, 0)))
            .collect()
    }

    /// What decides before the weights, by route.
    pub(crate) fn affinities(&self) -> Vec<RouteStatus> {
        let routes = self.routes.load();
        let specs = routes.table.iter().flat_map(|table| &table.routes);
        specs.filter_map(RouteStatus::of).collect()
    }

    fn start(self: &Arc<Self>, spec: crate::table::Backend) -> Arc<Backend> {
        let counters = self.counters.of(&spec.version);
        let backend = Arc::new(Backend::new(
            spec,
            counters,
            self.dns.clone(),
            self.stop.child_token(),
        ));
        self.tasks.spawn(prober::run(self.clone(), backend.clone()));
        backend
    }
}

impl Routes {
    fn add(&mut self, route: Route) {
        let index = self.routes.len();
        match &route.host {
            Some(host) => _ = self.by_host.insert(host.clone(), index),
            None => self.default = Some(index),
        }
        self.routes.push(route);
    }

    fn route(&self, host: &str) -> Result<&Route, Nobody> {
        if self.table.is_none() {
            return Err(Nobody::NoTable);
        }
        let index = self
            .by_host
            .get(host)
            .copied()
            .or(self.default)
            .ok_or(Nobody::NoRoute)?;
        Ok(&self.routes[index])
    }

    fn backends(&self) -> impl Iterator<Item = &Arc<Backend>> {
        self.routes.iter().flat_map(Route::backends)
    }
}
