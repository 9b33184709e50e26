//! The labels by which Slipway knows its own containers, networks, volumes and images.

use std::collections::BTreeMap;

/// What a container is for: `step`, `service`, `replica`, `edge` …
pub const ROLE: &str = "slipway.role";
/// The run that something belongs to.
pub const RUN: &str = "slipway.run";
/// The stage of the run.
pub const STAGE: &str = "slipway.stage";
/// The worker process that made it; what a dead worker left is found by this.
pub const WORKER: &str = "slipway.worker";
/// The environment that a deployed container serves.
pub const ENVIRONMENT: &str = "slipway.environment";
/// The microservice.
pub const SERVICE: &str = "slipway.service";
/// The version that the container runs.
pub const VERSION: &str = "slipway.version";
/// The digest of the image that the container runs.
pub const DIGEST: &str = "slipway.digest";
/// The rollout that started it.
pub const ROLLOUT: &str = "slipway.rollout";
/// The hash of the specification that a long-running container was started from; written by the engine itself.
pub const SPEC: &str = "slipway.spec";

/// Labels by name.
pub type Labels = BTreeMap<String, String>;

/// Labels of pairs: `labels::of([(labels::RUN, &run), (labels::STAGE, "build")])`.
pub fn of<const N: usize>(pairs: [(&str, &str); N]) -> Labels {
    pairs
        .into_iter()
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect()
}

/// The labels as filters of the engine's API: `name=value`, or `name` alone where the value is empty.
pub(crate) fn filters(labels: &Labels) -> Vec<String> {
    labels
        .iter()
        .map(|(name, value)| match value.as_str() {
            "" => name.clone(),
            value => format!("{name}={value}"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_value_filters_by_presence() {
        let labels = of([(RUN, "r1"), (ROLE, "")]);
        assert_eq!(filters(&labels), ["slipway.role", "slipway.run=r1"]);
    }
}
