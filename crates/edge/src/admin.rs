//! The status socket: whoever connects gets one status document.

use std::{
    io::{self, ErrorKind},
    os::unix::net::UnixStream as BlockingUnixStream,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{UnixListener, UnixStream},
    time::timeout,
};
use tokio_util::sync::CancellationToken;

use crate::{error::Error, server::Edge, status::Status};

const FILE_NAME: &str = "edge.sock";
const TIMEOUT: Duration = Duration::from_secs(5);

/// Makes the socket; one that a killed edge left behind is replaced, a living edge's is not.
pub(crate) fn bind(state: &Path) -> Result<UnixListener, Error> {
    let path = path(state);
    let bound = match UnixListener::bind(&path) {
        Err(error)
            if error.kind() == ErrorKind::AddrInUse
                && BlockingUnixStream::connect(&path).is_err() =>
        {
            std::fs::remove_file(&path).and_then(|()| UnixListener::bind(&path))
        }
        bound => bound,
    };
    bound.map_err(|source| Error::Socket { path, source })
}

pub(crate) async fn serve(socket: UnixListener, edge: Arc<Edge>, stop: CancellationToken) {
    let answers = async {
        loop {
            match socket.accept().await {
                Ok((stream, _)) => {
                    let answered = timeout(TIMEOUT, answer(stream, &edge.status())).await;
                    if let Err(error) = answered.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
                    {
                        tracing::warn!(%error, "a question for the status went unanswered");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the status socket");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(answers).await;
    if let Err(error) = std::fs::remove_file(path(&edge.options().state)) {
        tracing::debug!(%error, "the status socket was not removed");
    }
}

/// Asks the edge that runs with this state directory.
///
/// # Errors
/// When none answers within five seconds.
pub(crate) async fn ask(state: &Path) -> Result<Status, Error> {
    let path = path(state);
    let exchange = async {
        let mut text = Vec::new();
        UnixStream::connect(&path)
            .await?
            .read_to_end(&mut text)
            .await?;
        Ok(text)
    };
    match timeout(TIMEOUT, exchange)
        .await
        .unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
    {
        Ok(text) => serde_json::from_slice(&text).map_err(|source| Error::Answer { path, source }),
        Err(source) => Err(Error::Ask { path, source }),
    }
}

async fn answer(mut stream: UnixStream, status: &Status) -> io::Result<()> {
    stream.write_all(&serde_json::to_vec(status)?).await?;
    stream.shutdown().await
}

fn path(state: &Path) -> PathBuf {
    state.join(FILE_NAME)
}
