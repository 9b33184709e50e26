//! Deployment, Service and what goes with them, from the `deploy` section.

use std::time::Duration;

use domain::spec::Probe;
use serde_json::{Map, Value as Json, json};

use super::configuration::configuration;
use super::labels::identity;
use super::{Impossible, Place, Release};
use crate::wanted::Wanted;

/// How long a replica that is told to stop goes on, so that nobody who still knows it is refused.
const LINGER: Duration = Duration::from_secs(3);
/// How long every node may take to learn of a replica that is ready.
const MIN_READY: Duration = Duration::from_secs(2);
/// Old ReplicaSets that are kept: going back to one of them is faster than making it anew.
const KEPT: u32 = 3;

/// The objects of a service without manifests of its own.
pub(crate) fn generated(wanted: &Wanted, place: &Place) -> Result<Release, Impossible> {
    let configuration = configuration(wanted, place)?;
    let mut container = json!({
        "name": wanted.service.as_str(),
        "image": place.image,
        "imagePullPolicy": "IfNotPresent",
        "env": configuration.env,
    });
    if !configuration.env_from.is_empty() {
        container["envFrom"] = Json::Array(configuration.env_from);
    }
    if let Some(port) = place.port {
        container["ports"] = json!([{ "name": "http", "containerPort": port, "protocol": "TCP" }]);
        container["lifecycle"] = json!({ "preStop": linger(place) });
    }
    if let Some(probe) = readiness(wanted, place.port) {
        container["readinessProbe"] = probe;
    }
    let limits = limits(wanted);
    if !limits.is_empty() {
        container["resources"] = json!({ "limits": limits, "requests": limits });
    }
    let mut objects = configuration.objects;
    objects.push(deployment(wanted, place, &container));
    let mut address = String::new();
    if let Some(port) = place.port {
        if !wanted
            .service
            .as_str()
            .starts_with(|c: char| c.is_ascii_lowercase())
        {
            return Err(Impossible(format!(
                "on Kubernetes the name of a Service begins with a letter, and `{}` does not; rename the service, or \
                 bring your own objects with `deploy.manifests`",
                wanted.service
            )));
        }
        objects.push(service(wanted, port));
        address = format!("http://{}.{}.svc:{port}", wanted.service, place.namespace);
    }
    if wanted.deploy.replicas > 1 {
        objects.push(disruption_budget(wanted, place));
    }
    Release::new(wanted, place, objects, address)
}

fn deployment(wanted: &Wanted, place: &Place, container: &Json) -> Json {
    let replicas = wanted.deploy.replicas.max(1);
    let batches = wanted.rolling();
    let (surge, unavailable) = (
        batches.max_surge.of(replicas),
        batches.max_unavailable.of(replicas),
    );
    // Kubernetes rounds a share of unavailable replicas down, and wants one of the two to be more than 0.
    let surge = if unavailable == 0 {
        surge.max(1)
    } else {
        surge
    };
    let deadline = wanted.deadline().as_secs().max(1);
    let min_ready = batches.min_ready.map_or(MIN_READY, |t| t.get()).as_secs();
    let pull_secrets: Vec<Json> = place
        .image_pull_secrets
        .iter()
        .map(|name| json!({ "name": name }))
        .collect();
    let mut pods = json!({
        "containers": [container],
        "terminationGracePeriodSeconds": (LINGER + wanted.drain()).as_secs() + 1,
    });
    if !pull_secrets.is_empty() {
        pods["imagePullSecrets"] = Json::Array(pull_secrets);
    }
    json!({
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": { "name": wanted.service.as_str() },
        "spec": {
            "replicas": replicas,
            "revisionHistoryLimit": KEPT,
            "minReadySeconds": min_ready,
            "progressDeadlineSeconds": deadline.max(min_ready + 1),
            "selector": { "matchLabels": identity(wanted) },
            "strategy": {
                "type": "RollingUpdate",
                "rollingUpdate": { "maxSurge": surge, "maxUnavailable": unavailable },
            },
            "template": {
                "metadata": { "labels": identity(wanted) },
                "spec": pods,
            },
        },
    })
}

fn service(wanted: &Wanted, port: u16) -> Json {
    json!({
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": { "name": wanted.service.as_str() },
        "spec": {
            "selector": identity(wanted),
            "ports": [{ "name": "http", "port": port, "targetPort": "http", "protocol": "TCP" }],
        },
    })
}

/// Nodes are drained one replica at a time.
fn disruption_budget(wanted: &Wanted, place: &Place) -> Json {
    let version = if place.server.policy_v1 {
        "policy/v1"
    } else {
        "policy/v1beta1"
    };
    json!({
        "apiVersion": version,
        "kind": "PodDisruptionBudget",
        "metadata": { "name": wanted.service.as_str() },
        "spec": { "maxUnavailable": 1, "selector": { "matchLabels": identity(wanted) } },
    })
}

/// Requests come for a moment after a replica was told to stop, until every node knows. Where the cluster can't make
/// it wait, a program of the image does; an image without `sleep` stops at once.
fn linger(place: &Place) -> Json {
    let seconds = LINGER.as_secs();
    if place.server.sleeps {
        json!({ "sleep": { "seconds": seconds } })
    } else {
        json!({ "exec": { "command": ["sleep", seconds.to_string()] } })
    }
}

/// As the file says; else the port must accept connections.
fn readiness(wanted: &Wanted, own: Option<u16>) -> Option<Json> {
    let probe = wanted.deploy.ready.as_ref().map(|ready| &ready.probe);
    let mut check = match probe {
        Some(Probe::Http { path, port }) => {
            json!({ "httpGet": { "path": path, "port": port.or(own)? } })
        }
        Some(Probe::Tcp { port }) => json!({ "tcpSocket": { "port": port } }),
        Some(Probe::Command(line)) => json!({ "exec": { "command": ["sh", "-c", line] } }),
        None => json!({ "tcpSocket": { "port": own? } }),
    };
    check["periodSeconds"] = json!(1);
    check["timeoutSeconds"] = json!(2);
    check["failureThreshold"] = json!(3);
    Some(check)
}

fn limits(wanted: &Wanted) -> Map<String, Json> {
    let resources = &wanted.deploy.resources;
    let cpu = resources
        .cpus
        .map(|cpus| ("cpu", format!("{}m", cpus.thousandths())));
    let memory = resources
        .memory
        .map(|memory| ("memory", memory.bytes().to_string()));
    cpu.into_iter()
        .chain(memory)
        .map(|(name, text)| (name.to_owned(), Json::from(text)))
        .collect()
}
