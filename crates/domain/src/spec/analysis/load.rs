//! Requests of our own where there are few others.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The most requests a second.
pub(crate) const MOST: u32 = 100;

/// Requests that the deployer sends itself while a rollout is watched and not paused, so that there is something to judge where few
/// others come. They go to the service as everybody's do, by the same weights, and while only the preview has the new
/// version, to that as well. They carry `User-Agent: slipway-load` and `x-slipway-load: <environment>`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[schemars(deny_unknown_fields)]
pub struct SyntheticLoad {
    /// What is asked for with `GET`, beginning with `/`. It should change nothing.
    #[schemars(regex(pattern = "^/"))]
    pub path: String,
    /// Requests a second, at most 100.
    #[schemars(range(min = 1, max = 100))]
    pub rate: u32,
}

impl Default for SyntheticLoad {
    fn default() -> Self {
        Self {
            path: "/".to_owned(),
            rate: 5,
        }
    }
}
