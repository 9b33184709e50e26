//! What keeps a deployer from working, and what stops a rollout.

use container_stage::edge_image::EdgeImageError;
use container_stage::secrets::SecretError;
use engine::ErrorClass;

use crate::kubernetes::ClusterError;

/// A deployer that can't begin or go on.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// There is no container engine.
    #[error("the deployer needs a container engine")]
    Engine(#[from] engine::Error),
    /// The folder for clones can't be used.
    #[error("the deployer needs a folder for clones of repositories; name one with --source-cache")]
    Source(#[from] source::Error),
    /// The loop around its jobs ended.
    #[error("the deployer's work ended")]
    Worker(#[from] worker::Error),
}

/// Why a look at the target, or a step on it, did not succeed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum TargetError {
    #[error(transparent)]
    Engine(#[from] engine::Error),
    #[error(transparent)]
    EdgeImage(#[from] EdgeImageError),
    #[error("a secret of the service can't be had")]
    Secret(#[from] SecretError),
    #[error(transparent)]
    Cluster(#[from] Box<ClusterError>),
    #[error("the edge of {service} does not answer as it should: {what}")]
    Edge { service: String, what: String },
    #[error("{0}")]
    Unsupported(String),
    #[error("no free port of the host was found for {service} in {environment}")]
    NoPort {
        service: String,
        environment: String,
    },
}

impl TargetError {
    /// Whether it is the user's to mend.
    pub(crate) fn is_users(&self) -> bool {
        match self {
            Self::Engine(error) => error.class() == ErrorClass::User,
            Self::Cluster(error) => error.is_users(),
            Self::Secret(_) | Self::Unsupported(_) => true,
            Self::EdgeImage(_) | Self::Edge { .. } | Self::NoPort { .. } => false,
        }
    }

    /// More about it, line by line.
    pub(crate) fn details(&self) -> Vec<String> {
        match self {
            Self::Cluster(error) => error.details(),
            _ => Vec::new(),
        }
    }

    /// Whether it may be over in a moment.
    pub(crate) fn is_passing(&self) -> bool {
        let passes =
            |error: &engine::Error| error.class() == ErrorClass::Infrastructure { retryable: true };
        match self {
            Self::Engine(error) | Self::EdgeImage(EdgeImageError::Engine(error)) => passes(error),
            Self::Edge { .. } => true,
            Self::Cluster(error) => error.is_passing(),
            Self::EdgeImage(_) | Self::NoPort { .. } | Self::Secret(_) | Self::Unsupported(_) => {
                false
            }
        }
    }
}

impl From<ClusterError> for TargetError {
    fn from(error: ClusterError) -> Self {
        Self::Cluster(Box::new(error))
    }
}
