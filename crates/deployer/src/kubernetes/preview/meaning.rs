//! What of an object is worth comparing, and what of it nobody may see. Pure.

use serde_json::{Map, Value as Json};

use super::super::objects::{ObjectId, annotation};

/// What the API server keeps about an object, and changes by itself.
const KEPT_BY_SERVER: [&str; 7] = [
    "managedFields",
    "resourceVersion",
    "uid",
    "generation",
    "creationTimestamp",
    "selfLink",
    "namespace",
];
/// Annotations that say nothing of what runs: who came last, what `kubectl apply` remembers (with the values of
/// secrets), and what controllers count.
const NOTES: [&str; 3] = [
    annotation::RUN,
    "kubectl.kubernetes.io/last-applied-configuration",
    "deployment.kubernetes.io/revision",
];
/// Digits of the hash in a name that changes with the content.
const HASH: usize = 10;

/// The object without what changes by itself.
pub(super) fn meaning(object: &Json) -> Json {
    let mut object = object.clone();
    if let Some(fields) = object.as_object_mut() {
        fields.remove("status");
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Json::as_object_mut) {
        metadata.retain(|name, _| !KEPT_BY_SERVER.contains(&name.as_str()));
        without_notes(metadata);
    }
    object
}

fn without_notes(metadata: &mut Map<String, Json>) {
    let Some(notes) = metadata
        .get_mut("annotations")
        .and_then(Json::as_object_mut)
    else {
        return;
    };
    notes.retain(|name, _| !NOTES.contains(&name.as_str()));
    if notes.is_empty() {
        metadata.remove("annotations");
    }
}

/// Whether the values of a field of an object are secret.
pub(super) fn is_secret(id: &ObjectId, path: &str) -> bool {
    let holds = |field: &str| {
        path.strip_prefix(field)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
    };
    id.kind == "Secret" && (holds("data") || holds("stringData"))
}

/// Whether one object comes in the place of another: both are of the same kind, and their names differ in a hash only,
/// that of their content or of the version's set. A Deployment by itself has none.
pub(super) fn takes_place(old: &ObjectId, new: &ObjectId) -> bool {
    let stem = |id: &ObjectId| {
        let hashed = id
            .name
            .rsplit_once('-')
            .filter(|(_, hash)| hash.len() == HASH && hash.chars().all(|c| c.is_ascii_hexdigit()));
        match (hashed, id.kind.as_str()) {
            (Some((stem, _)), "ConfigMap" | "Secret" | "Deployment") => Some(stem.to_owned()),
            (None, "Deployment") => Some(id.name.clone()),
            _ => None,
        }
    };
    old.kind == new.kind && stem(old).is_some() && stem(old) == stem(new)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn id(kind: &str, name: &str) -> ObjectId {
        ObjectId {
            api_version: "v1".to_owned(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn what_the_server_counts_and_who_came_last_does_not_count() {
        let object = |run: &str, version: &str| {
            json!({
                "metadata": {
                    "name": "shop", "resourceVersion": version, "generation": 3, "managedFields": [{ "manager": run }],
                    "annotations": {
                        "slipway.run": run, "kubectl.kubernetes.io/last-applied-configuration": version,
                    },
                },
                "spec": { "replicas": 2 },
                "status": { "replicas": version },
            })
        };
        assert_eq!(meaning(&object("r1", "1")), meaning(&object("r2", "2")));
        let left = json!({ "metadata": { "name": "shop" }, "spec": { "replicas": 2 } });
        assert_eq!(meaning(&object("r1", "1")), left);
    }

    #[test]
    fn only_the_content_of_secrets_is_secret() {
        let (secret, map) = (id("Secret", "a"), id("ConfigMap", "a"));
        for path in ["data.PASSWORD", "data[tls.crt]", "stringData.A", "data"] {
            assert!(is_secret(&secret, path) && !is_secret(&map, path), "{path}");
        }
        assert!(!is_secret(&secret, "metadata.labels.data") && !is_secret(&secret, "dataType"));
    }

    #[test]
    fn a_name_with_another_hash_takes_the_place_of_the_one_before() {
        let old = id("ConfigMap", "shop-env-0123456789");
        assert!(takes_place(&old, &id("ConfigMap", "shop-env-abcdef0123")));
        for other in [
            id("Secret", "shop-env-abcdef0123"),
            id("ConfigMap", "shop-files-abcdef0123"),
            id("ConfigMap", "shop-env"),
            id("ConfigMap", "shop-env-none-of-it"),
        ] {
            assert!(!takes_place(&old, &other), "{other}");
        }
        let set = |name: &str| id("Deployment", name);
        let (alone, one, two) = (set("shop"), set("shop-0123456789"), set("shop-abcdef0123"));
        assert!(takes_place(&alone, &one) && takes_place(&one, &two) && takes_place(&two, &alone));
        assert!(!takes_place(&one, &set("front-abcdef0123")));
    }
}
