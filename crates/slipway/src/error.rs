//! What can go wrong in a command, in words for the person who typed it.

use std::io;

/// A command that could not do its work.
#[derive(Debug, thiserror::Error)]
pub enum CliError {
    /// The gateway refused the call, or could not be reached; the text is made by [`crate::failure`].
    #[error("{0}")]
    Call(String),
    /// The address can't be one.
    #[error("{server} is not the URL of a gateway: {reason}; it looks like http://127.0.0.1:7070")]
    BadServer {
        /// As it was given.
        server: String,
        /// Why not.
        reason: String,
    },
    /// The token has characters that can't stand in a header.
    #[error("the token from {place} holds characters that no token has; is it the right file?")]
    BadToken {
        /// Where it came from.
        place: String,
    },
    /// No run, or more than one, goes by that name.
    #[error("{0}")]
    UnknownRun(String),
    /// The gateway was away for too long.
    #[error(
        "lost the gateway for {seconds} seconds and gave up watching ({reason})\n\
         It goes on without us. Watch it again with: {again}"
    )]
    LostGateway {
        /// How long it was tried.
        seconds: u64,
        /// The last refusal.
        reason: String,
        /// The command that watches it again.
        again: String,
    },
    /// A file can't be read.
    #[error("can't read {path}: {source}")]
    ReadFile {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// A file can't be written.
    #[error("can't write {path}: {source}")]
    WriteFile {
        /// The file.
        path: String,
        /// Why.
        source: io::Error,
    },
    /// Something that the command line asks for can't be done, and why.
    #[error("{0}")]
    Usage(String),
    /// It can't be done as things are, and what to do.
    #[error("{0}")]
    Refused(String),
    /// Our own output can't be written.
    #[error("can't write the output: {0}")]
    Output(#[from] io::Error),
    /// `slipway up` ended badly.
    #[error("{}", service_kit::cause::chain(.0.as_ref()))]
    Up(anyhow::Error),
}

impl CliError {
    /// 2 for a wrong command line, as clap does; 1 otherwise.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        match self {
            Self::Usage(_) | Self::BadServer { .. } => 2,
            _ => 1,
        }
    }
}
