//! What keeps a test-runner from working.

/// A test-runner that can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no container engine.
    #[error("the test-runner needs a container engine")]
    Engine(#[from] engine::Error),
    /// The folder for clones can't be used.
    #[error("the folder for clones of repositories can't be used")]
    Source(#[from] source::Error),
    /// The bus can't be used.
    #[error("the test-runner needs the bus")]
    Bus(#[from] bus::Error),
    /// The loop around its jobs ended.
    #[error("the test-runner's work ended")]
    Worker(#[from] worker::Error),
}
