//! What ends a worker.

/// A part of the worker that should go on for ever did not.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The bus is not usable any more.
    #[error("the bus is not usable")]
    Bus(#[from] bus::Error),
}
