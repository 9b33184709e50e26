//! The Job that a container check is. Pure.

use std::collections::BTreeMap;
use std::time::Duration;

use domain::ids::{EnvironmentName, ServiceName};
use domain::platform::{KubernetesTarget, PlatformSpec};
use domain::spec::ContainerQuery;
use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::kubernetes::objects::{INSTALLED, label};

/// The role of such a Job.
const ROLE: &str = "check";
/// The name of its container.
pub(super) const CONTAINER: &str = "check";
/// The label that tells attempts at rollouts apart.
const ATTEMPT: &str = "slipway.attempt";
/// How much later than we the cluster itself ends it.
const SLACK: Duration = Duration::from_secs(30);
/// After how long the cluster removes it by itself, if it does that at all: since 1.21.
const KEPT: Duration = Duration::from_secs(300);

/// Whose check it is.
pub(super) struct Owner<'o> {
    pub(super) service: &'o ServiceName,
    pub(super) environment: &'o EnvironmentName,
    /// [`short`].
    pub(super) attempt: &'o str,
}

/// A Job that runs a container once, and for no longer than `limit`. `script` is for `sh -c`.
pub(super) fn job(
    query: &ContainerQuery,
    script: &str,
    limit: Duration,
    owner: &Owner<'_>,
    (image, target): (&str, &KubernetesTarget),
) -> Json {
    let mut container = json!({
        "name": CONTAINER,
        "image": image,
        "command": ["sh", "-c", script],
        "securityContext": { "allowPrivilegeEscalation": false },
    });
    let limits = limits(query);
    if !limits.is_empty() {
        container["resources"] = json!({ "limits": limits, "requests": limits });
    }
    let mut pod = json!({
        "containers": [container],
        "restartPolicy": "Never",
        "automountServiceAccountToken": false,
        "terminationGracePeriodSeconds": 1,
    });
    let secrets = target.image_pull_secrets.iter();
    let secrets: Vec<Json> = secrets.map(|name| json!({ "name": name })).collect();
    if !secrets.is_empty() {
        pod["imagePullSecrets"] = Json::Array(secrets);
    }
    json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {
            // Names of pods are made of it, too.
            "generateName": format!("{}-check-", cut(owner.service.as_str())),
            "labels": {
                label::MANAGED_BY: INSTALLED,
                label::ROLE: ROLE,
                label::ENVIRONMENT: owner.environment.as_str(),
                label::SERVICE: owner.service.as_str(),
                ATTEMPT: owner.attempt,
            },
        },
        "spec": {
            "backoffLimit": 0,
            "activeDeadlineSeconds": (limit + SLACK).as_secs(),
            "ttlSecondsAfterFinished": KEPT.as_secs(),
            "template": {
                // No label by which a Service, or we, would take it for a replica.
                "metadata": { "labels": { label::ROLE: ROLE } },
                "spec": pod,
            },
        },
    })
}

/// What selects the checks of a service that other attempts have left.
pub(super) fn left_over(owner: &Owner<'_>) -> String {
    format!(
        "{}={INSTALLED},{}={ROLE},{}={},{}={},{ATTEMPT}!={}",
        label::MANAGED_BY,
        label::ROLE,
        label::ENVIRONMENT,
        owner.environment,
        label::SERVICE,
        owner.service,
        owner.attempt
    )
}

/// An image by the address that the cluster's nodes have for its registry, if it is from one of the platform's.
pub(super) fn image(image: &str, platform: &PlatformSpec, target: &KubernetesTarget) -> String {
    let registries = [
        &platform.registries.production,
        &platform.registries.development,
    ];
    let rest = |address: &str| image.strip_prefix(address)?.strip_prefix('/');
    let found = registries
        .iter()
        .find_map(|registry| rest(&registry.address));
    match (&target.registry, found) {
        (Some(registry), Some(rest)) => format!("{registry}/{rest}"),
        _ => image.to_owned(),
    }
}

/// A text as the value of a label.
pub(super) fn short(text: &str) -> String {
    hex::encode(Sha256::digest(text))[..16].to_owned()
}

fn cut(name: &str) -> &str {
    name[..name.len().min(40)].trim_end_matches('-')
}

fn limits(query: &ContainerQuery) -> Map<String, Json> {
    let resources = &query.resources;
    let cpus = resources
        .cpus
        .map(|cpus| format!("{}m", cpus.thousandths()));
    let memory = resources.memory.map(|memory| memory.bytes().to_string());
    let all = BTreeMap::from([("cpu", cpus), ("memory", memory)]);
    all.into_iter()
        .filter_map(|(name, text)| Some((name.to_owned(), Json::from(text?))))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn query() -> ContainerQuery {
        serde_json::from_value(json!({
            "image": "registry.example.org/tools/smoke:1",
            "run": ["./smoke"],
            "resources": { "cpus": "0.5", "memory": "64Mi" },
        }))
        .expect("a query")
    }

    #[test]
    fn a_check_is_a_job_that_runs_once_and_is_nobodys_replica() {
        let (service, environment) = ("shop".parse().unwrap(), "production".parse().unwrap());
        let owner = Owner {
            service: &service,
            environment: &environment,
            attempt: "0123456789abcdef",
        };
        let target = KubernetesTarget {
            image_pull_secrets: vec!["registry".to_owned()],
            ..KubernetesTarget::default()
        };
        let limit = Duration::from_secs(60);
        let job = job(&query(), "./smoke", limit, &owner, ("smoke:1", &target));
        insta::assert_snapshot!(serde_json::to_string_pretty(&job).unwrap());
        assert_eq!(
            left_over(&owner),
            "app.kubernetes.io/managed-by=slipway,slipway.role=check,slipway.environment=production,\
             slipway.service=shop,slipway.attempt!=0123456789abcdef"
        );
    }

    #[test]
    fn nodes_have_their_own_address_for_the_platforms_registries_only() {
        let platform = PlatformSpec::default_for_one_machine("127.0.0.1:5000", "127.0.0.1:5001");
        let target = KubernetesTarget {
            registry: Some("registry:5000".to_owned()),
            ..KubernetesTarget::default()
        };
        let of = |name| image(name, &platform, &target);
        assert_eq!(of("127.0.0.1:5000/tools/a:1"), "registry:5000/tools/a:1");
        assert_eq!(of("127.0.0.1:5001/a@sha256:b"), "registry:5000/a@sha256:b");
        assert_eq!(of("curlimages/curl:8"), "curlimages/curl:8");
        let plain = KubernetesTarget::default();
        assert_eq!(
            image("127.0.0.1:5000/a:1", &platform, &plain),
            "127.0.0.1:5000/a:1"
        );
    }
}
