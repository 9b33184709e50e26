//! What somebody changed by hand on a release's objects: told, and left alone.
//!
//! The API server keeps which fields each manager set. When somebody else sets one of ours it is theirs, and what is
//! left to us is not what we applied.

use domain::ids::{EnvironmentName, ServiceName};
use kube::api::DynamicObject;
use sha2::{Digest as _, Sha256};

use super::api::Cluster;
use super::error::ClusterError;
use super::objects::INSTALLED;
use super::record::Record;

/// What tells which fields of an object are ours.
pub(super) fn held(object: &DynamicObject) -> String {
    let entries = object.metadata.managed_fields.iter().flatten();
    let ours = entries
        .filter(|entry| entry.manager.as_deref() == Some(INSTALLED))
        .filter_map(|entry| serde_json::to_string(&entry.fields_v1).ok());
    let hash = Sha256::digest(ours.collect::<Vec<_>>().join("\n"));
    hex::encode(hash)[..16].to_owned()
}

/// What is not as the release left it, in words; empty if nothing. Of a rollout under way nothing is said.
pub(super) async fn note(
    cluster: &Cluster,
    record: &Record,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Result<String, ClusterError> {
    let mut changed: Vec<String> = Vec::new();
    for id in record.objects.iter().filter(|_| record.complete) {
        let Some(expected) = record.held.get(&id.to_string()) else {
            continue;
        };
        match cluster.find(id).await? {
            None => changed.push(format!("{id} was removed")),
            Some(found) if held(&found) != *expected => {
                changed.push(format!("{id} was changed by {}", others(&found)));
            }
            Some(_) => {}
        }
    }
    Ok(match changed.len() {
        0 => String::new(),
        _ => format!(
            "{}; undo that, or repair it: slipway deploy {service} --to {environment} --overwrite-changes",
            changed.join(", ")
        ),
    })
}

/// The managers besides us and the cluster's own controllers, the last one first.
fn others(object: &DynamicObject) -> String {
    let mut entries: Vec<_> = object.metadata.managed_fields.iter().flatten().collect();
    entries.sort_by_key(|entry| std::cmp::Reverse(entry.time.as_ref().map(|time| time.0)));
    let mut names: Vec<&str> = entries
        .iter()
        .filter_map(|entry| entry.manager.as_deref())
        .filter(|name| *name != INSTALLED && !name.starts_with("kube-controller"))
        .collect();
    names.dedup();
    if names.is_empty() {
        "somebody".to_owned()
    } else {
        names.join(" and ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(ours: &str, theirs: &str) -> DynamicObject {
        let entry = |manager: &str, field: &str, time: &str| {
            serde_json::json!({
                "manager": manager, "operation": "Apply", "apiVersion": "apps/v1", "time": time,
                "fieldsType": "FieldsV1", "fieldsV1": { "f:spec": { field: {} } },
            })
        };
        let object = serde_json::json!({
            "metadata": { "name": "a", "managedFields": [
                entry("slipway", ours, "2026-01-01T00:00:00Z"),
                entry("kubectl-edit", theirs, "2026-01-02T00:00:00Z"),
                entry("kube-controller-manager", "f:status", "2026-01-03T00:00:00Z"),
            ] },
        });
        serde_json::from_value(object).expect("an object")
    }

    #[test]
    fn only_what_is_ours_counts() {
        let before = held(&object("f:replicas", "f:paused"));
        assert_eq!(held(&object("f:replicas", "f:other")), before);
        assert_ne!(held(&object("f:template", "f:replicas")), before);
        assert_eq!(others(&object("f:replicas", "f:paused")), "kubectl-edit");
    }
}
