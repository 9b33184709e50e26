//! What can be known to be wrong without a cluster.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::{Manifest, text};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Kinds with a template of pods that they select.
const WORKLOADS: [&str; 4] = ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"];

/// Everything that is wrong with the objects, as parts of one release in a namespace.
pub(super) fn mistakes(manifests: &[Manifest], namespace: &str) -> Diagnostics {
    let mut found = Diagnostics::default();
    let mut seen: BTreeMap<(&str, &str), &Manifest> = BTreeMap::new();
    for manifest in manifests {
        let mut list = identity(manifest, namespace);
        if list.is_empty() {
            list.extend(selector(manifest, manifests));
            if let Some(first) = seen.insert((manifest.kind(), manifest.name()), manifest) {
                let message = format!(
                    "the {} `{}` is here twice; the other is in {}",
                    manifest.kind(),
                    manifest.name(),
                    first.source.path
                );
                list.push(manifest.error(&["metadata", "name"], message));
            }
        }
        found.extend(Diagnostics::of(&manifest.source, list));
    }
    found
}

/// What it is, and where it wants to be.
fn identity(manifest: &Manifest, namespace: &str) -> Vec<Diagnostic> {
    let json = &manifest.json;
    if !json.is_object() {
        let message = "this is not a Kubernetes object";
        return vec![
            manifest
                .error(&[], message)
                .help("it begins with `apiVersion:` and `kind:`"),
        ];
    }
    let mut list = Vec::new();
    for key in ["apiVersion", "kind"] {
        if text(json, &format!("/{key}")).is_empty() {
            list.push(manifest.error(&[key], format!("`{key}` is missing, or not text")));
        }
    }
    match manifest.kind() {
        "List" => {
            let help = "write each of its items as a document of its own, with `---` between them";
            list.push(manifest.error(&["kind"], "a `List` is not read").help(help));
            return list;
        }
        "Namespace" => {
            let message = "the namespace is made by Slipway, as the platform file says";
            list.push(manifest.error(&["kind"], message).help("leave this out"));
        }
        _ => {}
    }
    if json.pointer("/metadata/generateName").is_some() {
        let place = ["metadata", "generateName"];
        let message = "each deployment would make one more of it";
        list.push(
            manifest
                .error(&place, message)
                .help("give it a `name` instead"),
        );
    } else if !is_object_name(manifest.name()) {
        let message = match manifest.name() {
            "" => "`metadata.name` is missing".to_owned(),
            name => format!("`metadata.name`: {name:?} can't be the name of an object"),
        };
        let help = "a name is made of a-z, 0-9, `-` and `.`, such as `orders`";
        list.push(manifest.error(&["metadata", "name"], message).help(help));
    }
    let own = text(json, "/metadata/namespace");
    if !own.is_empty() && own != namespace {
        let message = format!("it names the namespace `{own}`, but is deployed to `{namespace}`");
        let help =
            "leave `namespace` out: each environment has its own, which the platform file names";
        list.push(
            manifest
                .error(&["metadata", "namespace"], message)
                .help(help),
        );
    }
    list
}

/// A selector that selects nothing is a mistake of one letter that no API server reports.
fn selector(manifest: &Manifest, all: &[Manifest]) -> Option<Diagnostic> {
    let labels_of = |manifest: &Manifest| {
        WORKLOADS
            .contains(&manifest.kind())
            .then(|| manifest.json.pointer("/spec/template/metadata/labels"))?
            .and_then(Json::as_object)
            .cloned()
    };
    let (path, selects): (&[&str], _) = match manifest.kind() {
        "Service" => (&["spec", "selector"], "/spec/selector"),
        _ => (
            &["spec", "selector", "matchLabels"],
            "/spec/selector/matchLabels",
        ),
    };
    let wanted = manifest.json.pointer(selects).and_then(Json::as_object);
    if WORKLOADS.contains(&manifest.kind()) {
        let Some(wanted) = wanted else {
            let none = manifest.json.pointer("/spec/selector").is_none();
            return none.then(|| manifest.error(&["spec"], "`spec.selector` is missing"));
        };
        let own = labels_of(manifest).unwrap_or_default();
        return (!is_within(wanted, &own)).then(|| {
            let message = "the selector does not match the labels of the pods in `spec.template`";
            manifest.error(path, message).help(shown(&own))
        });
    }
    if !matches!(manifest.kind(), "Service" | "PodDisruptionBudget") {
        return None;
    }
    let wanted = wanted.filter(|wanted| !wanted.is_empty())?;
    let pods: Vec<Map<String, Json>> = all.iter().filter_map(labels_of).collect();
    (!pods.iter().any(|labels| is_within(wanted, labels))).then(|| {
        let help = match pods.first() {
            Some(labels) => shown(labels),
            None => "no object here has pods".to_owned(),
        };
        manifest
            .error(path, "the selector matches no pod of these objects")
            .help(help)
    })
}

fn is_within(wanted: &Map<String, Json>, labels: &Map<String, Json>) -> bool {
    wanted
        .iter()
        .all(|(key, value)| labels.get(key) == Some(value))
}

fn shown(labels: &Map<String, Json>) -> String {
    let pairs = labels
        .iter()
        .map(|(key, value)| format!("{key}: {}", value.as_str().unwrap_or("?")));
    let pairs: Vec<String> = pairs.collect();
    format!("the pods have the labels {{ {} }}", pairs.join(", "))
}

/// A DNS subdomain; some kinds allow `:` and capital letters too.
fn is_object_name(name: &str) -> bool {
    let inner = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b':');
    !name.is_empty()
        && name.len() <= 253
        && name.bytes().all(inner)
        && !name.starts_with(['-', '.'])
        && !name.ends_with(['-', '.'])
}
