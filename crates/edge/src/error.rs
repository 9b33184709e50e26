use std::{net::SocketAddr, path::PathBuf};

/// Why an edge cannot start, or does not take a table.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The table file exists and cannot be read.
    #[error("cannot read the table {}", path.display())]
    ReadTable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The table file is not the JSON of a table.
    #[error("the table {} is not valid JSON of a table", path.display())]
    ParseTable {
        /// The file.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// The table says something that cannot be.
    #[error("the table {} is not usable", path.display())]
    InvalidTable {
        /// The file.
        path: PathBuf,
        /// What is wrong in it.
        source: crate::table::Invalid,
    },
    /// A port cannot be listened on.
    #[error("cannot listen on {address}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system said.
        source: std::io::Error,
    },
    /// The socket for status questions cannot be made.
    #[error(
        "cannot make the status socket {}; the directory must exist, be writable, and serve one edge only",
        path.display()
    )]
    Socket {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// No edge answers on the status socket.
    #[error("no edge answers on {}; is `edge serve` running with the same state directory?", path.display())]
    Ask {
        /// The socket.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// The answer on the status socket is not a status.
    #[error("the answer on {} is not a status document", path.display())]
    Answer {
        /// The socket.
        path: PathBuf,
        /// Line, column and reason.
        source: serde_json::Error,
    },
    /// A signal handler cannot be installed.
    #[error("cannot listen for signals")]
    Signals(#[source] std::io::Error),
}

/// An error and its causes on one line, for status documents and people.
pub(crate) fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        let next = error.to_string();
        if !text.contains(&next) {
            text.push_str(": ");
            text.push_str(&next);
        }
        cause = error.source();
    }
    text
}
