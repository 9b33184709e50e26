//! What really runs in an environment, for whoever asks.

use std::collections::BTreeMap;

use domain::ids::EnvironmentName;
use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use proto::deployer::v1::{LiveService, LiveState, Replica};

use super::Kubernetes;
use super::api::Cluster;
use super::drift;
use super::error::ClusterError;
use super::objects::{INSTALLED, PREVIEW, annotation, label};
use super::record;

/// A replica that gets its share of the requests.
const WEIGHT: u32 = 100;

/// Every service of an environment, with its pods.
pub(crate) async fn live_state(
    kubernetes: &Kubernetes,
    environment: &EnvironmentName,
) -> Result<LiveState, ClusterError> {
    let cluster = kubernetes.cluster(environment).await?;
    let records = record::all(&cluster, environment).await?;
    let selector = format!(
        "{}={INSTALLED},{}={environment}",
        label::MANAGED_BY,
        label::ENVIRONMENT
    );
    let mut pods: BTreeMap<String, Vec<Pod>> = BTreeMap::new();
    for pod in cluster.list::<Pod>(&selector).await? {
        if let Some(service) = text(&pod.metadata, label::SERVICE) {
            pods.entry(service).or_default().push(pod);
        }
    }
    let mut services = Vec::new();
    for (service, record) in records {
        let own = pods.remove(service.as_str()).unwrap_or_default();
        let own = own
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none());
        let led_to = led_to(&cluster, &record).await?;
        services.push(LiveService {
            replicas: own.map(|pod| replica(pod, &record, &led_to)).collect(),
            service: service.to_string(),
            address: record.address.clone(),
            note: drift::note(&cluster, &record, &service, environment).await?,
        });
    }
    Ok(LiveState { services })
}

/// The sets that the Services of a release lead to; `None` for one that leads to all.
async fn led_to(
    cluster: &Cluster,
    record: &record::Record,
) -> Result<Vec<Option<String>>, ClusterError> {
    let mut sets = Vec::new();
    for id in record.objects.iter().filter(|id| id.kind == "Service") {
        // It leads to a version that is only looked at.
        let is_preview = id.name.ends_with(PREVIEW);
        if is_preview {
            continue;
        }
        if let Some(service) = cluster.get::<Service>(&id.name).await? {
            let selector = service.spec.and_then(|spec| spec.selector);
            sets.push(selector.and_then(|selector| selector.get(label::SET).cloned()));
        }
    }
    Ok(sets)
}

fn replica(pod: &Pod, record: &record::Record, led_to: &[Option<String>]) -> Replica {
    let note = |name: &str| {
        let notes = pod.metadata.annotations.as_ref();
        notes.and_then(|n| n.get(name)).cloned().unwrap_or_default()
    };
    let conditions = pod.status.as_ref().and_then(|s| s.conditions.as_ref());
    let ready = conditions
        .into_iter()
        .flatten()
        .any(|c| c.type_ == "Ready" && c.status == "True");
    let digest = note(annotation::DIGEST);
    let set = text(&pod.metadata, label::SET);
    let has_traffic = led_to.is_empty() || led_to.iter().any(|s| s.is_none() || *s == set);
    Replica {
        name: pod.metadata.name.clone().unwrap_or_default(),
        version: note(annotation::VERSION),
        run_id: if digest == record.digest {
            record.run.clone()
        } else {
            String::new()
        },
        image_digest: digest,
        ready,
        weight: if ready && has_traffic { WEIGHT } else { 0 },
    }
}

fn text(metadata: &ObjectMeta, name: &str) -> Option<String> {
    metadata.labels.as_ref()?.get(name).cloned()
}
