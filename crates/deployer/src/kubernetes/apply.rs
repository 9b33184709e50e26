//! Several objects at once.

use std::collections::BTreeMap;

use domain::stage::Failure;
use kube::api::DynamicObject;
use serde_json::Value as Json;

use super::api::{Cluster, Mode};
use super::drift;
use super::error::ClusterError;
use super::objects::{INSTALLED, ObjectId, label};
use super::ready::Output;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// Asks whether the cluster would take them.
pub(super) async fn check(
    cluster: &Cluster,
    objects: impl Iterator<Item = &Json>,
    force: bool,
) -> Result<(), ClusterError> {
    for object in objects {
        cluster.apply(object, Mode { dry: true, force }).await?;
    }
    Ok(())
}

/// Applies them in their order; returns what tells which of their fields are ours.
pub(super) async fn all(
    cluster: &Cluster,
    objects: impl IntoIterator<Item = &Json>,
    force: bool,
    voice: &Voice<'_>,
) -> Result<BTreeMap<String, String>, ClusterError> {
    let mut held = BTreeMap::new();
    for object in objects {
        let id = ObjectId::of(object);
        voice
            .say(&format!("applying {id} in {}", cluster.namespace))
            .await;
        let applied = cluster.apply(object, Mode { dry: false, force }).await?;
        held.insert(id.to_string(), drift::held(&applied));
    }
    Ok(held)
}

/// Applies one, whatever others changed; returns what tells which of its fields are ours.
pub(super) async fn quietly(cluster: &Cluster, object: &Json) -> Result<String, ClusterError> {
    let mode = Mode {
        dry: false,
        force: true,
    };
    let applied = cluster.apply(object, mode).await?;
    Ok(drift::held(&applied))
}

/// Whether an object is of this service in this environment.
pub(super) fn is_ours(found: &DynamicObject, wanted: &Wanted) -> bool {
    let labels = found.metadata.labels.clone().unwrap_or_default();
    let is = |name: &str, value: &str| labels.get(name).is_some_and(|own| own == value);
    is(label::MANAGED_BY, INSTALLED)
        && is(label::ENVIRONMENT, wanted.environment.as_str())
        && is(label::SERVICE, wanted.service.as_str())
}

/// The last lines of a container; of the run of it that is there, if that before is gone.
pub(super) async fn last_lines(cluster: &Cluster, output: &Output) -> Vec<String> {
    let lines = async |previous| {
        cluster
            .last_lines(&output.pod, &output.container, previous, Failure::MAX_LINES)
            .await
    };
    let read = match lines(output.previous).await {
        Err(_) if output.previous => lines(false).await,
        other => other,
    };
    read.unwrap_or_else(|error| vec![format!("(its output can't be had: {error})")])
}
