//! Names of networks and containers.

use domain::ids::EnvironmentName;

use crate::wanted::Wanted;

/// The network of an environment.
pub(crate) fn network(environment: &EnvironmentName) -> String {
    format!("slipway-{environment}")
}

/// The edge of a service in an environment.
pub(crate) fn edge(wanted: &Wanted) -> String {
    format!("slipway-{}-{}-edge", wanted.environment, wanted.service)
}

/// Names for new replicas that are not `taken`: `slipway-<environment>-<service>-<key>-<n>`, cut to 63 characters so
/// that they are host names too.
pub(crate) fn free_replicas(wanted: &Wanted, taken: &[&str]) -> impl Iterator<Item = String> {
    let mut stem = format!("slipway-{}-{}", wanted.environment, wanted.service);
    stem.truncate(63 - "-0123456789-9999".len());
    let stem = format!("{}-{}", stem.trim_end_matches('-'), wanted.key());
    (1..)
        .map(move |n| format!("{stem}-{n}"))
        .filter(|name| !taken.contains(&name.as_str()))
}
