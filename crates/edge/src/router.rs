//! The table in force: from a host name to the backend of the next request.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering::Relaxed},
    },
};

use arc_swap::ArcSwap;
use tokio::sync::watch;
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    backend::{Backend, InFlight},
    connect::Dns,
    counters::Counters,
    prober,
    schedule::Schedule,
    status::BackendStatus,
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

struct Route {
    host: Option<String>,
    members: Vec<(Arc<Backend>, u32)>,
    schedule: ArcSwap<Schedule<Arc<Backend>>>,
    turn: AtomicU64,
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

    /// The backend whose turn it is for this host, preferably one not yet tried, taken into use.
    pub(crate) fn choose(&self, host: &str, tried: &[Arc<Backend>]) -> Result<InFlight, Nobody> {
        loop {
            let routes = self.routes.load();
            let route = routes.route(host)?;
            let schedule = route.schedule.load();
            let turn = route.turn.fetch_add(1, Relaxed);
            let untried =
                |backend: &Arc<Backend>| !tried.iter().any(|seen| Arc::ptr_eq(seen, backend));
            let picked = schedule
                .pick(turn, untried)
                .or_else(|| schedule.pick(turn, |_| true));
            let backend = picked.ok_or_else(|| route.none_ready())?;
            // A backend that refuses has just left the table: then there is a newer one to look at.
            if let Some(entered) = backend.enter() {
                return Ok(entered);
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
            let members = spec.backends.iter().map(|spec| {
                let same = |backend: &&Arc<Backend>| backend.spec.same_replica(spec);
                let known = backends
                    .iter()
                    .find(same)
                    .or_else(|| before.backends().find(same))
                    .cloned();
                let backend = known.unwrap_or_else(|| self.start(spec.clone()));
                backends.push(backend.clone());
                (backend, spec.weight)
            });
            routes.add(Route::new(spec.host.as_deref(), members.collect()));
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
        let serving = routes.routes.iter().flat_map(|route| {
            route
                .members
                .iter()
                .map(|(backend, weight)| backend.status(route.host.as_deref(), *weight))
        });
        serving
            .chain(leaving.iter().map(|backend| backend.status(None, 0)))
            .collect()
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
        self.routes
            .iter()
            .flat_map(|route| route.members.iter().map(|(backend, _)| backend))
    }
}

impl Route {
    fn new(host: Option<&str>, members: Vec<(Arc<Backend>, u32)>) -> Self {
        let route = Self {
            host: host.map(str::to_ascii_lowercase),
            members,
            schedule: ArcSwap::from_pointee(Schedule::new([])),
            turn: AtomicU64::new(0),
        };
        route.refresh();
        route
    }

    fn refresh(&self) {
        let ready = self
            .members
            .iter()
            .filter(|(backend, _)| backend.is_ready())
            .cloned();
        self.schedule.store(Arc::new(Schedule::new(ready)));
    }

    fn none_ready(&self) -> Nobody {
        let weighted = self.members.iter().filter(|(_, weight)| *weight > 0);
        let line = |(backend, _): &(Arc<Backend>, u32)| {
            let error = backend.readiness().last_error;
            let error = error.unwrap_or_else(|| "not checked yet".into());
            format!(
                "{} ({}) at {}: {error}",
                backend.spec.name, backend.spec.version, backend.spec.address
            )
        };
        Nobody::NoneReady(weighted.map(line).collect())
    }
}
