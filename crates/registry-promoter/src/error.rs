//! What keeps a registry-promoter from working.

/// A registry-promoter that can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A registry's settings can't be used.
    #[error("the {name} registry of the platform file can't be used")]
    Registry {
        /// `development` or `production`.
        name: &'static str,
        /// Why.
        source: registry::Error,
    },
    /// Credentials are named that can't be read.
    #[error("the credentials of the {name} registry can't be had: {why}")]
    Credentials {
        /// `development` or `production`.
        name: &'static str,
        /// Why.
        why: String,
    },
    /// The loop around its jobs ended.
    #[error("the registry-promoter's work ended")]
    Worker(#[from] worker::Error),
}
