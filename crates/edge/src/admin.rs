//! The control socket: whoever connects asks one question and gets one status document.

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
const QUESTION_LIMIT_BYTES: u64 = 16;

/// What may be asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// For the status.
    Status,
    /// To read the table first.
    Reload,
}

impl Question {
    fn as_bytes(self) -> &'static [u8] {
        match self {
            Self::Status => b"status",
            Self::Reload => b"reload",
        }
    }

    fn of(bytes: &[u8]) -> io::Result<Self> {
        let all = [Self::Status, Self::Reload];
        let known = all.into_iter().find(|known| known.as_bytes() == bytes);
        known.ok_or_else(|| ErrorKind::InvalidData.into())
    }
}

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
                    let answered = timeout(TIMEOUT, answer(stream, &edge)).await;
                    if let Err(error) = answered.unwrap_or_else(|_| Err(ErrorKind::TimedOut.into()))
                    {
                        tracing::warn!(%error, "a question on the control socket went unanswered");
                    }
                }
                Err(error) => {
                    tracing::warn!(%error, "cannot accept on the control socket");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    };
    stop.run_until_cancelled(answers).await;
    if let Err(error) = std::fs::remove_file(path(&edge.options().state)) {
        tracing::debug!(%error, "the control socket was not removed");
    }
}

/// Asks the edge that runs with this state directory.
///
/// # Errors
/// When none answers within five seconds.
pub(crate) async fn ask(state: &Path, question: Question) -> Result<Status, Error> {
    let path = path(state);
    let exchange = async {
        let mut stream = UnixStream::connect(&path).await?;
        stream.write_all(question.as_bytes()).await?;
        stream.shutdown().await?;
        let mut text = Vec::new();
        stream.read_to_end(&mut text).await?;
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

async fn answer(mut stream: UnixStream, edge: &Edge) -> io::Result<()> {
    let mut question = Vec::new();
    (&mut stream)
        .take(QUESTION_LIMIT_BYTES)
        .read_to_end(&mut question)
        .await?;
    if Question::of(&question)? == Question::Reload {
        edge.reload().await;
    }
    stream
        .write_all(&serde_json::to_vec(&edge.status())?)
        .await?;
    stream.shutdown().await
}

fn path(state: &Path) -> PathBuf {
    state.join(FILE_NAME)
}
