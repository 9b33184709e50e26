//! A kustomization: which files, and what is added to every object of them.
//!
//! Only what changes names, labels and annotations is done; for the rest there is the `kustomize` program, whose output
//! is plain files again.

use std::collections::BTreeMap;

use serde_json::{Map, Value as Json};

use super::references::{at, rename};
use super::{Manifest, documents, shown};
use crate::diagnostic::{Diagnostic, Diagnostics};

/// Its file names.
const NAMES: [&str; 3] = ["kustomization.yaml", "kustomization.yml", "Kustomization"];
/// What it may say.
const KEYS: [&str; 10] = [
    "apiVersion",
    "kind",
    "metadata",
    "resources",
    "namespace",
    "namePrefix",
    "nameSuffix",
    "labels",
    "commonLabels",
    "commonAnnotations",
];
/// Kustomizations within each other.
const DEPTH: usize = 8;

/// The path of the kustomization of a folder.
pub(super) fn find<'f>(files: &'f BTreeMap<String, String>, folder: &str) -> Option<&'f str> {
    NAMES
        .iter()
        .find_map(|name| files.get_key_value(&join(folder, name)))
        .map(|(path, _)| path.as_str())
}

/// The objects that the kustomization at `path` makes.
pub(super) fn read(
    folder: &str,
    files: &BTreeMap<String, String>,
    path: &str,
) -> Result<Vec<Manifest>, Diagnostics> {
    within(folder, files, path, 0)
}

fn within(
    folder: &str,
    files: &BTreeMap<String, String>,
    path: &str,
    depth: usize,
) -> Result<Vec<Manifest>, Diagnostics> {
    let text = files.get(path).map_or("", String::as_str);
    let mut read = documents(&shown(folder, path), text)?;
    let Some(own) = read.pop().filter(|_| read.is_empty()) else {
        let source = crate::diagnostic::Source::new(&shown(folder, path), text);
        let error = source.error(0..0, "a kustomization is exactly one document");
        return Err(Diagnostics::of(
            &source,
            vec![error.help("the least that it must say is `resources: [service.yaml]`")],
        ));
    };
    let problems = misuse(&own, depth);
    if !problems.is_empty() {
        return Err(Diagnostics::of(&own.source, problems));
    }
    let here = path.rsplit_once('/').map_or("", |(here, _)| here);
    let mut manifests = Vec::new();
    for resource in list(&own.json, "resources") {
        let wrong = |message: String| {
            Diagnostics::of(
                &own.source,
                vec![own.error(&["resources", resource], message)],
            )
        };
        let Some(target) = normalized(here, resource) else {
            return Err(wrong(format!(
                "`{resource}` is outside of {}; only what is in `deploy.manifests` is read",
                shown(folder, "")
            )));
        };
        if let Some(inner) = find(files, &target) {
            manifests.extend(within(folder, files, inner, depth + 1)?);
        } else if let Some(text) = files.get(&target) {
            manifests.extend(documents(&shown(folder, &target), text)?);
        } else {
            return Err(wrong(format!(
                "there is no file `{resource}`, and no folder of that name with a kustomization"
            )));
        }
    }
    change(&own.json, &mut manifests);
    Ok(manifests)
}

/// What it says that is not done here.
fn misuse(own: &Manifest, depth: usize) -> Vec<Diagnostic> {
    let Some(fields) = own.json.as_object() else {
        return vec![own.error(&[], "a kustomization is a mapping")];
    };
    if depth > DEPTH {
        return vec![own.error(
            &["resources"],
            "kustomizations include each other without end",
        )];
    }
    let unknown = fields.keys().filter(|key| !KEYS.contains(&key.as_str()));
    let mut problems: Vec<Diagnostic> = unknown
        .map(|key| {
            let message = match key.as_str() {
                "images" => "the image is filled in by Slipway, by digest".to_owned(),
                key => format!("`{key}` is not done here"),
            };
            own.error(&[key], message).help(
                "known are resources, namespace, namePrefix, nameSuffix, labels, commonLabels and \
                 commonAnnotations; keep what `kustomize build` prints for the rest",
            )
        })
        .collect();
    if list(&own.json, "resources").next().is_none() {
        problems.push(own.error(&["resources"], "`resources` names no file"));
    }
    problems
}

/// Adds names, labels and annotations.
fn change(own: &Json, manifests: &mut [Manifest]) {
    let text = |key: &str| own[key].as_str().unwrap_or("");
    let (prefix, suffix) = (text("namePrefix"), text("nameSuffix"));
    if !(prefix.is_empty() && suffix.is_empty()) {
        let names: Vec<(String, String)> = manifests
            .iter()
            .map(|m| (m.kind().to_owned(), m.name().to_owned()))
            .collect();
        for (kind, name) in names {
            let new = format!("{prefix}{name}{suffix}");
            rename(
                manifests.iter_mut().map(|m| &mut m.json),
                &kind,
                &name,
                &new,
            );
        }
    }
    if let Some(namespace) = own["namespace"].as_str() {
        for manifest in manifests.iter_mut() {
            manifest.json["metadata"]["namespace"] = Json::String(namespace.to_owned());
        }
    }
    let common = own["commonLabels"].as_object();
    let mut labels: Vec<(&Map<String, Json>, bool, bool)> = Vec::new();
    labels.extend(common.map(|pairs| (pairs, true, true)));
    for entry in own["labels"].as_array().into_iter().flatten() {
        let flag = |key: &str| entry[key].as_bool().unwrap_or(false);
        let selectors = flag("includeSelectors");
        let pairs = entry["pairs"].as_object();
        labels.extend(pairs.map(|pairs| (pairs, selectors, selectors || flag("includeTemplates"))));
    }
    for manifest in manifests {
        for (pairs, selectors, templates) in &labels {
            add_labels(&mut manifest.json, pairs, *selectors, *templates);
        }
        if let Some(pairs) = own["commonAnnotations"].as_object() {
            add(&mut manifest.json["metadata"]["annotations"], pairs);
        }
    }
}

fn add_labels(object: &mut Json, pairs: &Map<String, Json>, selectors: bool, templates: bool) {
    add(&mut object["metadata"]["labels"], pairs);
    if templates && object.pointer("/spec/template").is_some() {
        add(&mut object["spec"]["template"]["metadata"]["labels"], pairs);
    }
    if selectors {
        let mut each = |selector: &mut Json| add(selector, pairs);
        let path: &[&str] = match object["kind"].as_str() {
            Some("Service") => &["spec", "selector"],
            _ => &["spec", "selector", "matchLabels"],
        };
        at(object, path, &mut each);
    }
}

fn add(to: &mut Json, pairs: &Map<String, Json>) {
    if !to.is_object() {
        *to = Json::Object(Map::new());
    }
    for (key, value) in pairs {
        to[key] = value.clone();
    }
}

fn list<'j>(json: &'j Json, key: &str) -> impl Iterator<Item = &'j str> {
    json[key]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(Json::as_str)
}

fn join(folder: &str, name: &str) -> String {
    if folder.is_empty() {
        name.to_owned()
    } else {
        format!("{folder}/{name}")
    }
}

/// `path` as seen from `folder`, if it stays inside.
fn normalized(folder: &str, path: &str) -> Option<String> {
    let mut parts: Vec<&str> = folder.split('/').filter(|p| !p.is_empty()).collect();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => drop(parts.pop()?),
            part => parts.push(part),
        }
    }
    (!path.starts_with('/')).then(|| parts.join("/"))
}
