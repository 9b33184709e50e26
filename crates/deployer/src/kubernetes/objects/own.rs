//! The team's own objects, with image, labels and content-hashed names filled in.

use domain::manifest::{Manifest, rename};
use serde_json::{Value as Json, json};

use super::apart::main_service;
use super::{Impossible, ObjectId, Place, Release, hashed_name};
use crate::wanted::Wanted;

/// Set to `true` on a ConfigMap or Secret whose name must stay as it is, for something else knows it.
const FIXED_NAME: &str = "slipway.fixed-name";

/// The objects of a service with manifests.
pub(crate) fn own(
    wanted: &Wanted,
    place: &Place,
    manifests: Vec<Manifest>,
) -> Result<Release, Impossible> {
    let mut objects: Vec<Json> = manifests.into_iter().map(|m| m.json).collect();
    let mut filled = 0;
    for object in &mut objects {
        if let Some(pods) = pods(object) {
            filled += fill_image(pods, wanted, place);
        }
        name_protocols(object);
    }
    if filled == 0 {
        let folder = wanted.deploy.manifests.as_deref().unwrap_or_default();
        return Err(Impossible(format!(
            "no container in {folder} has the image of `{0}`; write `image: {0}` where it belongs, and Slipway fills \
             in the rest",
            wanted.service
        )));
    }
    hash_names(&mut objects);
    let address = address(&objects, wanted, place);
    Release::new(wanted, place, objects, address)
}

/// The `spec` of the pods that an object makes.
fn pods(object: &mut Json) -> Option<&mut Json> {
    match object["kind"].as_str()? {
        "CronJob" => object.pointer_mut("/spec/jobTemplate/spec/template/spec"),
        "Pod" => object.pointer_mut("/spec"),
        _ => object.pointer_mut("/spec/template/spec"),
    }
}

/// Fills in the image by digest wherever one is called like the service; says how often.
fn fill_image(pods: &mut Json, wanted: &Wanted, place: &Place) -> usize {
    let mut filled = 0;
    for list in ["containers", "initContainers"] {
        let containers = pods.get_mut(list).and_then(Json::as_array_mut);
        for container in containers.into_iter().flatten() {
            let image = container["image"].as_str().unwrap_or_default();
            if name_of(image) == wanted.service.as_str() {
                container["image"] = Json::from(place.image.as_str());
                filled += 1;
            }
        }
    }
    let has_own = pods.get("imagePullSecrets").is_some();
    if filled > 0 && !has_own && !place.image_pull_secrets.is_empty() {
        let names = place.image_pull_secrets.iter();
        pods["imagePullSecrets"] = names.map(|name| json!({ "name": name })).collect();
    }
    filled
}

/// The name of an image without registry, path, tag and digest.
fn name_of(image: &str) -> &str {
    let image = image.split_once('@').map_or(image, |(name, _)| name);
    let last = image.rsplit_once('/').map_or(image, |(_, last)| last);
    last.split_once(':').map_or(last, |(name, _)| name)
}

/// API servers before 1.22 can't merge ports that don't say their protocol.
fn name_protocols(object: &mut Json) {
    let add = |ports: Option<&mut Json>| {
        for port in ports.and_then(Json::as_array_mut).into_iter().flatten() {
            if port.is_object() && port.get("protocol").is_none() {
                port["protocol"] = Json::from("TCP");
            }
        }
    };
    if object["kind"] == "Service" {
        add(object.pointer_mut("/spec/ports"));
    }
    if let Some(pods) = pods(object) {
        for list in ["containers", "initContainers"] {
            let containers = pods.get_mut(list).and_then(Json::as_array_mut);
            for container in containers.into_iter().flatten() {
                add(container.get_mut("ports"));
            }
        }
    }
}

/// Gives ConfigMaps and Secrets names that change with their content, so that a change of them is rolled out, and goes
/// back with the image.
fn hash_names(objects: &mut [Json]) {
    let configuration: Vec<(ObjectId, String)> = objects
        .iter()
        .filter(|object| matches!(object["kind"].as_str(), Some("ConfigMap" | "Secret")))
        .filter(|object| object["metadata"]["annotations"][FIXED_NAME] != "true")
        .map(|object| {
            let id = ObjectId::of(object);
            let content = ["data", "binaryData", "stringData", "type"].map(|key| &object[key]);
            let name = hashed_name(&id.name, &json!(content));
            (id, name)
        })
        .collect();
    for (id, name) in configuration {
        rename(objects.iter_mut(), &id.kind, &id.name, &name);
    }
}

/// Where the service answers; empty if nothing leads to it.
fn address(objects: &[Json], wanted: &Wanted, place: &Place) -> String {
    let Some(service) = main_service(objects, wanted, place) else {
        return String::new();
    };
    let name = service["metadata"]["name"].as_str().unwrap_or_default();
    match service["spec"]["ports"][0]["port"].as_u64() {
        Some(port) => format!("http://{name}.{}.svc:{port}", place.namespace),
        None => String::new(),
    }
}
