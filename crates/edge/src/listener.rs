//! Accepting client connections on one port.

use std::{
    convert::Infallible,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use hyper::service::service_fn;
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::sleep,
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{error::Error, forward::Forwarder};

/// Request line and headers together.
const HEAD_LIMIT_BYTES: usize = 64 * 1024;
const HEADERS_LIMIT: usize = 128;
const STREAMS_PER_CONNECTION: u32 = 256;
/// How long accepting pauses when the process is out of file descriptors or memory.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// What all listeners share; cheap to clone.
#[derive(Clone)]
pub(crate) struct Front {
    pub(crate) forwarder: Forwarder,
    /// One permit per connection.
    pub(crate) connections: Arc<Semaphore>,
    /// How long a client may take to send the head of a request, also of the first.
    pub(crate) head_timeout: Duration,
    pub(crate) tasks: TaskTracker,
    /// Ends connections at once.
    pub(crate) kill: CancellationToken,
}

/// A port that is listened on; it accepts until dropped, then its connections end with the request they are at.
pub(crate) struct Listener {
    pub(crate) address: SocketAddr,
    stop: CancellationToken,
}

impl Listener {
    pub(crate) async fn bind(address: SocketAddr, front: &Front) -> Result<Self, Error> {
        let failed = |source| Error::Listen { address, source };
        let socket = TcpListener::bind(address).await.map_err(failed)?;
        let address = socket.local_addr().map_err(failed)?;
        let stop = CancellationToken::new();
        front
            .tasks
            .spawn(accept(socket, front.clone(), stop.clone()));
        Ok(Self { address, stop })
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn accept(socket: TcpListener, front: Front, stop: CancellationToken) {
    let graceful = GracefulShutdown::new();
    let mut builder = auto::Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(front.head_timeout)
        .max_buf_size(HEAD_LIMIT_BYTES)
        .max_headers(HEADERS_LIMIT);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_header_list_size(HEAD_LIMIT_BYTES as u32)
        .max_concurrent_streams(STREAMS_PER_CONNECTION)
        .keep_alive_interval(front.head_timeout)
        .keep_alive_timeout(front.head_timeout);
    let accepting = async {
        loop {
            let Ok(permit) = front.connections.clone().acquire_owned().await else {
                return;
            };
            match socket.accept().await {
                Ok((stream, client)) => {
                    let serving = serve(&builder, &graceful, &front, stream, client);
                    front
                        .tasks
                        .spawn(while_permitted(serving, permit, front.kill.clone()));
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    sleep(ACCEPT_PAUSE).await;
                }
            }
        }
    };
    stop.run_until_cancelled(accepting).await;
    drop(socket);
    front.kill.run_until_cancelled(graceful.shutdown()).await;
}

fn serve(
    builder: &auto::Builder<TokioExecutor>,
    graceful: &GracefulShutdown,
    front: &Front,
    stream: TcpStream,
    client: SocketAddr,
) -> impl Future<Output = ()> + Send + 'static {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "cannot set TCP_NODELAY");
    }
    let began = Arc::new(AtomicBool::new(false));
    let (forwarder, seen) = (front.forwarder.clone(), began.clone());
    let service = service_fn(move |request| {
        seen.store(true, Relaxed);
        let forwarder = forwarder.clone();
        async move { Ok::<_, Infallible>(forwarder.handle(client, request).await) }
    });
    let connection = builder
        .serve_connection_with_upgrades(TokioIo::new(stream), service)
        .into_owned();
    let connection = graceful.watch(connection);
    let head_timeout = front.head_timeout;
    async move {
        // hyper's own limit begins when it knows the protocol, for which it waits without one.
        let never_began = async {
            sleep(head_timeout).await;
            if began.load(Relaxed) {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            ended = connection => if let Err(error) = ended {
                tracing::debug!(%client, error, "a client connection broke off");
            },
            () = never_began => tracing::debug!(%client, "a client connection sent no request"),
        }
    }
}

async fn while_permitted(
    serving: impl Future<Output = ()>,
    permit: OwnedSemaphorePermit,
    kill: CancellationToken,
) {
    kill.run_until_cancelled(serving).await;
    drop(permit);
}
