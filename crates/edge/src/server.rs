//! A running edge.

use std::{
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, SystemTime},
};

use tokio::{
    signal::unix::{SignalKind, signal},
    sync::Semaphore,
    time::timeout,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    admin,
    error::{Error, chain},
    forward::Forwarder,
    listener::{Front, Listener},
    router::Router,
    status::Status,
    table::{FILE_NAME, Table},
};

const CONNECTIONS_LIMIT: usize = 8192;
/// How long stopping takes at most once connections were cut.
const CUT_TIMEOUT: Duration = Duration::from_secs(2);

/// How to run an edge.
#[derive(Debug, Clone)]
pub struct Options {
    /// Holds the table and the status socket; must exist and be writable.
    pub state: PathBuf,
    /// Address to listen on.
    pub bind: IpAddr,
    /// Ports to listen on while no table names any; 0 takes a free one.
    pub listen: Vec<u16>,
    /// How long a client may take to send a request's head, and keep a connection open without a request.
    pub head_timeout: Duration,
}

/// A running edge. Stop it with [`Edge::stop`]; dropping it stops accepting and leaves the rest to the runtime.
pub struct Edge {
    options: Options,
    router: Arc<Router>,
    front: Front,
    listeners: tokio::sync::Mutex<Vec<Listener>>,
    /// What the status needs of the listeners and of the last reading, without waiting for either.
    facts: Mutex<Facts>,
    started: SystemTime,
    /// Ends the checks and the status socket.
    stop: CancellationToken,
    tasks: TaskTracker,
}

#[derive(Default)]
struct Facts {
    listening: Vec<SocketAddr>,
    table_error: Option<String>,
}

impl Edge {
    /// Starts an edge with the table in its state directory, or without one where there is none.
    ///
    /// # Errors
    /// When the ports given in `options` or the status socket cannot be had. A bad table is no error here: the edge
    /// runs, answers 503 and says why in its status.
    pub async fn start(options: Options) -> Result<Arc<Self>, Error> {
        let (tasks, stop) = (TaskTracker::new(), CancellationToken::new());
        let router = Arc::new(Router::new(tasks.clone(), stop.clone()));
        let serving = TaskTracker::new();
        let front = Front {
            forwarder: Forwarder {
                router: router.clone(),
                tasks: serving.clone(),
            },
            connections: Arc::new(Semaphore::new(CONNECTIONS_LIMIT)),
            head_timeout: options.head_timeout,
            tasks: serving,
            kill: CancellationToken::new(),
        };
        let edge = Arc::new(Self {
            options,
            router,
            front,
            listeners: tokio::sync::Mutex::default(),
            facts: Mutex::default(),
            started: SystemTime::now(),
            stop,
            tasks,
        });
        let socket = admin::bind(&edge.options.state)?;
        if edge.options.state.join(FILE_NAME).exists() {
            edge.reload().await;
        }
        if edge.router.routes().table.is_none() {
            edge.listen_on(&edge.options.listen).await?;
        }
        edge.tasks
            .spawn(admin::serve(socket, edge.clone(), edge.stop.clone()));
        Ok(edge)
    }

    /// Reads the table again. When it is not usable, the one in force stays and the status says why.
    pub async fn reload(&self) {
        let error = match self.read_and_apply().await {
            Ok(()) => None,
            Err(error) => {
                tracing::error!(error = chain(&error), "the table was not taken");
                Some(chain(&error))
            }
        };
        self.facts().table_error = error;
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// What `edge status` prints.
    pub fn status(&self) -> Status {
        let since_1970 = self
            .started
            .duration_since(SystemTime::UNIX_EPOCH)
            .unwrap_or_default();
        let facts = self.facts();
        Status {
            started_at_unix_ms: u64::try_from(since_1970.as_millis()).unwrap_or(u64::MAX),
            generation: self
                .router
                .routes()
                .table
                .as_ref()
                .map(|table| table.generation),
            table_error: facts.table_error.clone(),
            listening: facts.listening.clone(),
            connections: (CONNECTIONS_LIMIT - self.front.connections.available_permits())
                .saturating_sub(facts.listening.len()) as u64,
            backends: self.router.status(),
            routes: self.router.affinities(),
            versions: self.router.counters.snapshot(),
        }
    }

    /// Stops accepting, lets requests under way end within the table's drain timeout, and then cuts what is left.
    pub async fn stop(&self) {
        let drain_ms = self
            .router
            .routes()
            .table
            .as_ref()
            .map_or(0, |table| table.drain_timeout_ms);
        self.listeners.lock().await.clear();
        self.front.tasks.close();
        if timeout(Duration::from_millis(drain_ms), self.front.tasks.wait())
            .await
            .is_err()
        {
            tracing::warn!(drain_timeout_ms = drain_ms, "requests were cut off");
        }
        self.front.kill.cancel();
        self.stop.cancel();
        self.tasks.close();
        let all = async { tokio::join!(self.front.tasks.wait(), self.tasks.wait()) };
        if timeout(CUT_TIMEOUT, all).await.is_err() {
            tracing::warn!("connections did not end when cut");
        }
    }

    async fn read_and_apply(&self) -> Result<(), Error> {
        let path = self.options.state.join(FILE_NAME);
        let text = match tokio::fs::read(&path).await {
            Ok(text) => text,
            Err(source) => return Err(Error::ReadTable { path, source }),
        };
        let table: Table = match serde_json::from_slice(&text) {
            Ok(table) => table,
            Err(source) => return Err(Error::ParseTable { path, source }),
        };
        if let Err(source) = table.validate() {
            return Err(Error::InvalidTable { path, source });
        }
        let ports = if table.listen.is_empty() {
            &self.options.listen
        } else {
            &table.listen
        };
        self.listen_on(ports).await?;
        self.router.apply(table);
        Ok(())
    }

    /// Listens on exactly these ports; when one cannot be had, everything stays as it was.
    async fn listen_on(&self, ports: &[u16]) -> Result<(), Error> {
        let mut listeners = self.listeners.lock().await;
        let mut new = Vec::new();
        // Port 0 stands for whichever was given the last time.
        let has = |port: u16, listener: &Listener| port == 0 || listener.address.port() == port;
        for port in ports {
            if !listeners
                .iter()
                .chain(&new)
                .any(|listener| has(*port, listener))
            {
                new.push(Listener::bind((self.options.bind, *port).into(), &self.front).await?);
            }
        }
        let known = listeners.len();
        listeners.append(&mut new);
        let mut index = 0;
        listeners.retain(|listener| {
            index += 1;
            index > known || ports.iter().any(|port| has(*port, listener))
        });
        self.facts().listening = listeners.iter().map(|listener| listener.address).collect();
        Ok(())
    }

    fn facts(&self) -> std::sync::MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Runs an edge as a process: `SIGHUP` reads the table, `SIGTERM` and `SIGINT` stop it.
pub async fn run(options: Options) -> Result<(), Error> {
    // First the handlers: a signal that comes during the start is then not lost.
    let handler = |kind| signal(kind).map_err(Error::Signals);
    let (mut hangup, mut terminate, mut interrupt) = (
        handler(SignalKind::hangup())?,
        handler(SignalKind::terminate())?,
        handler(SignalKind::interrupt())?,
    );
    let edge = Edge::start(options).await?;
    tracing::info!(listening = ?edge.status().listening, "edge is running");
    loop {
        tokio::select! {
            Some(()) = hangup.recv() => edge.reload().await,
            Some(()) = terminate.recv() => break,
            Some(()) = interrupt.recv() => break,
        }
    }
    tracing::info!("edge is stopping");
    edge.stop().await;
    Ok(())
}
