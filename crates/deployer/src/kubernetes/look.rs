//! One look at the workloads of a release and at the pods of their new version.

use k8s_openapi::api::apps::v1::{
    DaemonSet, Deployment, DeploymentCondition, ReplicaSet, StatefulSet,
};
use k8s_openapi::api::core::v1 as core;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};

use super::api::Cluster;
use super::error::ClusterError;
use super::objects::ObjectId;
use super::ready::{Container, Pod, Workload, is_broken};

/// The annotation by which a Deployment and its ReplicaSets count.
const REVISION: &str = "deployment.kubernetes.io/revision";
/// The label of the pods of a ReplicaSet, and that of the pods of a StatefulSet.
const TEMPLATE_HASH: &str = "pod-template-hash";
const REVISION_HASH: &str = "controller-revision-hash";
/// Where a DaemonSet counts its templates.
const GENERATION: &str = "deprecated.daemonset.template.generation";
const POD_GENERATION: &str = "pod-template-generation";

/// Looks at each of the workloads. One that is not there is as good as not seen yet.
pub(super) async fn look(
    cluster: &Cluster,
    workloads: &[ObjectId],
) -> Result<Vec<Workload>, ClusterError> {
    let mut seen = Vec::new();
    for id in workloads {
        let found = match id.kind.as_str() {
            "Deployment" => deployment(cluster, id).await?,
            "StatefulSet" => stateful_set(cluster, id).await?,
            _ => daemon_set(cluster, id).await?,
        };
        seen.push(found.unwrap_or_else(|| Workload {
            what: id.to_string(),
            observed: false,
            wanted: 1,
            updated: 0,
            total: 0,
            available: 0,
            overdue: None,
            can_not_make_pods: None,
            pods: Vec::new(),
            in_the_way: Vec::new(),
        }));
    }
    Ok(seen)
}

/// Looks at a Deployment, if it is there.
pub(super) async fn deployment(
    cluster: &Cluster,
    id: &ObjectId,
) -> Result<Option<Workload>, ClusterError> {
    let Some(found) = cluster.get::<Deployment>(&id.name).await? else {
        return Ok(None);
    };
    let (spec, status) = (
        found.spec.unwrap_or_default(),
        found.status.unwrap_or_default(),
    );
    let conditions = status.conditions.unwrap_or_default();
    let condition = |kind: &str, reason: Option<&str>, value: &str| {
        let is_it = |c: &&DeploymentCondition| {
            c.type_ == kind
                && c.status == value
                && reason.is_none_or(|reason| c.reason.as_deref() == Some(reason))
        };
        let found = conditions.iter().find(is_it)?;
        Some(found.message.clone().unwrap_or_default())
    };
    let selector = selector(&spec.selector);
    let sets: Vec<ReplicaSet> = cluster.list(&selector).await?;
    let revision = annotation(&found.metadata, REVISION);
    let newest = sets.iter().find(|set| {
        is_owned(&set.metadata, &found.metadata)
            && revision.is_some()
            && annotation(&set.metadata, REVISION) == revision
    });
    let hash = newest.and_then(|set| label(&set.metadata, TEMPLATE_HASH));
    Ok(Some(Workload {
        what: id.to_string(),
        observed: status.observed_generation >= found.metadata.generation,
        wanted: spec.replicas.unwrap_or(1),
        updated: status.updated_replicas.unwrap_or(0),
        total: status.replicas.unwrap_or(0),
        available: status.available_replicas.unwrap_or(0),
        overdue: condition("Progressing", Some("ProgressDeadlineExceeded"), "False"),
        can_not_make_pods: condition("ReplicaFailure", None, "True"),
        pods: match hash {
            Some(hash) => pods(cluster, &format!("{selector},{TEMPLATE_HASH}={hash}")).await?,
            None => Vec::new(),
        },
        in_the_way: Vec::new(),
    }))
}

async fn stateful_set(cluster: &Cluster, id: &ObjectId) -> Result<Option<Workload>, ClusterError> {
    let Some(found) = cluster.get::<StatefulSet>(&id.name).await? else {
        return Ok(None);
    };
    let (spec, status) = (
        found.spec.unwrap_or_default(),
        found.status.unwrap_or_default(),
    );
    let wanted = spec.replicas.unwrap_or(1);
    let rolling = spec
        .update_strategy
        .as_ref()
        .and_then(|s| s.rolling_update.as_ref());
    let partition = rolling.and_then(|r| r.partition).unwrap_or(0);
    let updated = match (&status.current_revision, &status.update_revision) {
        // All pods are of the newest version, whatever they count as.
        (Some(current), Some(update)) if current == update => status.replicas,
        _ => status.updated_replicas.unwrap_or(0) + partition.min(wanted),
    };
    let ready = status.ready_replicas.unwrap_or(0);
    let selector = selector(&spec.selector);
    let update = status.update_revision.unwrap_or_default();
    let own = pods(cluster, &format!("{selector},{REVISION_HASH}={update}")).await?;
    // It waits for these to get ready before it replaces them, which they never do:
    // https://github.com/kubernetes/kubernetes/issues/67250.
    let others = pods(cluster, &format!("{selector},{REVISION_HASH}!={update}")).await?;
    let in_the_way = others.into_iter().filter(is_broken).map(|pod| pod.name);
    Ok(Some(Workload {
        what: id.to_string(),
        observed: status.observed_generation >= found.metadata.generation,
        wanted,
        updated,
        total: status.replicas.max(updated),
        available: ready,
        overdue: None,
        can_not_make_pods: None,
        pods: own,
        in_the_way: in_the_way.collect(),
    }))
}

async fn daemon_set(cluster: &Cluster, id: &ObjectId) -> Result<Option<Workload>, ClusterError> {
    let Some(found) = cluster.get::<DaemonSet>(&id.name).await? else {
        return Ok(None);
    };
    let generation = annotation(&found.metadata, GENERATION).map(str::to_owned);
    let (spec, status) = (
        found.spec.unwrap_or_default(),
        found.status.unwrap_or_default(),
    );
    let pods = match &generation {
        Some(own) => {
            let selector = selector(&spec.selector);
            pods(cluster, &format!("{selector},{POD_GENERATION}={own}")).await?
        }
        None => Vec::new(),
    };
    let updated = status.updated_number_scheduled.unwrap_or(0);
    Ok(Some(Workload {
        what: id.to_string(),
        observed: status.observed_generation >= found.metadata.generation,
        wanted: status.desired_number_scheduled,
        updated,
        total: status.current_number_scheduled.max(updated),
        available: status.number_available.unwrap_or(0),
        overdue: None,
        can_not_make_pods: None,
        pods,
        in_the_way: Vec::new(),
    }))
}

/// The pods that a selector selects and that are not being removed.
pub(super) async fn pods(cluster: &Cluster, selector: &str) -> Result<Vec<Pod>, ClusterError> {
    let found: Vec<core::Pod> = cluster.list(selector).await?;
    let mut pods: Vec<Pod> = found
        .iter()
        .filter(|pod| pod.metadata.deletion_timestamp.is_none())
        .map(pod)
        .collect();
    pods.sort_by(|a, b| a.name.cmp(&b.name));
    Ok(pods)
}

fn pod(pod: &core::Pod) -> Pod {
    let status = pod.status.clone().unwrap_or_default();
    let conditions = status.conditions.unwrap_or_default();
    let unschedulable = conditions.iter().find(|c| {
        c.type_ == "PodScheduled"
            && c.status == "False"
            && c.reason.as_deref() == Some("Unschedulable")
    });
    let inits = status.init_container_statuses.unwrap_or_default();
    let own = status.container_statuses.unwrap_or_default();
    Pod {
        name: pod.metadata.name.clone().unwrap_or_default(),
        unschedulable: unschedulable.map(|c| c.message.clone().unwrap_or_default()),
        containers: inits
            .iter()
            // One that ended well is no more to wait for.
            .filter(|init| !init.ready)
            .chain(&own)
            .map(container)
            .collect(),
    }
}

fn container(status: &core::ContainerStatus) -> Container {
    let state = status.state.clone().unwrap_or_default();
    let last = status.last_state.clone().unwrap_or_default();
    let ended = state.terminated.or(last.terminated);
    Container {
        name: status.name.clone(),
        ready: status.ready,
        waiting: state
            .waiting
            .map(|w| (w.reason.unwrap_or_default(), w.message.unwrap_or_default())),
        ended_at: ended.as_ref().and_then(|t| Some(t.finished_at.as_ref()?.0)),
        ended: ended.map(|t| (t.exit_code, t.reason.unwrap_or_default())),
        restarts: status.restart_count,
    }
}

/// A selector as the API takes it in a list.
fn selector(selector: &LabelSelector) -> String {
    let labels = selector.match_labels.iter().flatten();
    let mut terms: Vec<String> = labels
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    for expression in selector.match_expressions.iter().flatten() {
        let values = expression.values.clone().unwrap_or_default().join(",");
        let key = &expression.key;
        terms.push(match expression.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        });
    }
    terms.join(",")
}

fn is_owned(child: &ObjectMeta, owner: &ObjectMeta) -> bool {
    let owners = child.owner_references.iter().flatten();
    owners
        .map(|o| Some(&o.uid))
        .any(|uid| uid == owner.uid.as_ref())
}

fn annotation<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.annotations.as_ref()?.get(name).map(String::as_str)
}

fn label<'m>(metadata: &'m ObjectMeta, name: &str) -> Option<&'m str> {
    metadata.labels.as_ref()?.get(name).map(String::as_str)
}
