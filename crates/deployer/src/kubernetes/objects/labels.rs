//! How objects tell whose they are.

use serde_json::{Map, Value as Json, json};
use sha2::{Digest as _, Sha256};

use crate::wanted::Wanted;

/// Labels.
pub(crate) mod label {
    pub(crate) const NAME: &str = "app.kubernetes.io/name";
    pub(crate) const INSTANCE: &str = "app.kubernetes.io/instance";
    pub(crate) const VERSION: &str = "app.kubernetes.io/version";
    pub(crate) const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
    pub(crate) const PART_OF: &str = "app.kubernetes.io/part-of";
    pub(crate) use engine::labels::{ENVIRONMENT, ROLE, SERVICE};
    /// Which version's set a pod is of.
    pub(crate) const SET: &str = "slipway.set";
}

/// Annotations.
pub(crate) mod annotation {
    pub(crate) use engine::labels::{DIGEST, RUN, VERSION};
}

/// Who manages an object: the value of its label, and the manager of its fields.
pub(crate) const INSTALLED: &str = "slipway";

/// The labels by which a Deployment that we generate knows its pods.
pub(super) fn identity(wanted: &Wanted) -> Json {
    json!({
        label::NAME: wanted.service.as_str(),
        label::INSTANCE: instance(wanted),
    })
}

/// Labels and annotates an object and, if it has them, its pods. The standard labels that a team set stay.
pub(crate) fn mark(object: &mut Json, wanted: &Wanted) {
    labels(&mut object["metadata"]["labels"], wanted);
    let notes = &mut object["metadata"]["annotations"];
    set(notes, annotation::RUN, wanted.run.as_str());
    release(notes, wanted);
    if object.pointer("/spec/template/spec/containers").is_some() {
        let pods = &mut object["spec"]["template"]["metadata"];
        labels(&mut pods["labels"], wanted);
        // Not the run: going back must not start pods anew that are of the same version.
        release(&mut pods["annotations"], wanted);
    }
}

fn labels(labels: &mut Json, wanted: &Wanted) {
    let is_free = |labels: &Json, name: &str| labels.get(name).is_none();
    if is_free(labels, label::NAME) {
        set(labels, label::NAME, wanted.service.as_str());
    }
    if is_free(labels, label::INSTANCE) {
        set(labels, label::INSTANCE, &instance(wanted));
    }
    if let Some(whole) = wanted.part_of.as_deref().map(value)
        && is_free(labels, label::PART_OF)
        && !whole.is_empty()
    {
        set(labels, label::PART_OF, &whole);
    }
    set(labels, label::VERSION, &value(&wanted.version));
    set(labels, label::MANAGED_BY, INSTALLED);
    set(labels, label::ENVIRONMENT, wanted.environment.as_str());
    set(labels, label::SERVICE, wanted.service.as_str());
}

fn release(annotations: &mut Json, wanted: &Wanted) {
    set(annotations, annotation::VERSION, &wanted.version);
    set(annotations, annotation::DIGEST, wanted.digest.as_str());
}

fn set(map: &mut Json, key: &str, value: &str) {
    if !map.is_object() {
        *map = Json::Object(Map::new());
    }
    map[key] = Json::from(value);
}

/// `<service>-<environment>`; cut and made unlike by a hash where that is too long for a label.
fn instance(wanted: &Wanted) -> String {
    let whole = format!("{}-{}", wanted.service, wanted.environment);
    if whole.len() <= 63 {
        return whole;
    }
    let hash = hex::encode(Sha256::digest(&whole));
    format!("{}-{}", whole[..52].trim_end_matches('-'), &hash[..10])
}

/// Text as the value of a label.
fn value(text: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let plain: String = text
        .chars()
        .map(|c| if is_plain(c) { c } else { '-' })
        .take(63)
        .collect();
    plain
        .trim_matches(|c: char| !c.is_ascii_alphanumeric())
        .to_owned()
}
