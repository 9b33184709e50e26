//! The Kubernetes objects of a release: generated from `deploy:`, or the team's own with the image filled in. Pure.

mod apart;
mod configuration;
mod generated;
mod labels;
mod own;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::Value as Json;
use sha2::{Digest as _, Sha256};

use apart::{Apart, apart};
pub(crate) use apart::{PREVIEW, pin, router};
pub(crate) use generated::generated;
pub(crate) use labels::{INSTALLED, annotation, label, mark};
pub(crate) use own::own;

use crate::wanted::Wanted;

/// What names an object within a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub(crate) struct ObjectId {
    #[serde(rename = "apiVersion")]
    pub(crate) api_version: String,
    pub(crate) kind: String,
    pub(crate) name: String,
}

impl ObjectId {
    /// The identity of an object.
    pub(crate) fn of(object: &Json) -> Self {
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        Self {
            api_version: text(&object["apiVersion"]),
            kind: text(&object["kind"]),
            name: text(&object["metadata"]["name"]),
        }
    }

    /// Whether both are the same object, whatever the version of its description.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        let group = |id: &Self| match id.api_version.rsplit_once('/') {
            Some((group, _)) => group.to_owned(),
            None => String::new(),
        };
        self.kind == other.kind && self.name == other.name && group(self) == group(other)
    }
}

impl std::fmt::Display for ObjectId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}

/// All objects of a version in an environment, in the order in which they are applied.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Release {
    /// What is applied at once.
    pub(crate) objects: Vec<Json>,
    /// Services that lead to this version's pods only; applied once these are ready.
    pub(crate) pinned: Vec<Json>,
    /// The Service by which the version is looked at before it has traffic. None of its objects: it is there only
    /// during a rollout.
    pub(crate) preview: Option<Json>,
    /// The label of its pods that no other version's have.
    pub(crate) set: String,
    /// Where the service answers; empty if it takes no traffic.
    pub(crate) address: String,
    /// What tells these objects from those of every other release.
    pub(crate) key: String,
}

impl Release {
    /// Puts objects in order and gives them our labels.
    fn new(
        wanted: &Wanted,
        place: &Place,
        objects: Vec<Json>,
        address: String,
    ) -> Result<Self, Impossible> {
        let Apart {
            mut objects,
            mut pinned,
            mut preview,
            set,
        } = apart(wanted, place, objects)?;
        objects.sort_by_key(rank);
        // Before the marks: they name the run, and a release is the same whoever brings it.
        let mut hash = Sha256::new();
        for object in objects.iter().chain(&pinned) {
            hash.update(object.to_string());
            hash.update([0]);
        }
        for object in objects.iter_mut().chain(&mut pinned).chain(&mut preview) {
            mark(object, wanted);
        }
        Ok(Self {
            objects,
            pinned,
            preview,
            set,
            address,
            key: hex::encode(hash.finalize())[..10].to_owned(),
        })
    }

    /// The objects' identities.
    pub(crate) fn ids(&self) -> impl Iterator<Item = ObjectId> {
        self.objects.iter().chain(&self.pinned).map(ObjectId::of)
    }

    /// The Deployment whose pods are the version's set, where it has just one.
    pub(crate) fn deployment(&self) -> Option<&Json> {
        let is_it = |object: &&Json| {
            let set = object.pointer("/spec/template/metadata/labels/slipway.set");
            object["kind"] == "Deployment" && set.is_some_and(|set| *set == self.set.as_str())
        };
        let mut found = self.objects.iter().filter(is_it);
        found.next().filter(|_| found.next().is_none())
    }

    /// The same with another name of its Deployment, and another set.
    pub(crate) fn called(mut self, name: &str, set: &str) -> Self {
        let was = std::mem::replace(&mut self.set, set.to_owned());
        let all = self.objects.iter_mut().chain(&mut self.pinned);
        for object in all.chain(&mut self.preview) {
            let mut is_of_set = false;
            for path in [
                "/spec/template/metadata/labels/slipway.set",
                "/spec/selector/matchLabels/slipway.set",
                "/spec/selector/slipway.set",
            ] {
                if let Some(own) = object.pointer_mut(path).filter(|own| **own == was.as_str()) {
                    *own = set.into();
                    is_of_set = true;
                }
            }
            if is_of_set && object["kind"] == "Deployment" {
                object["metadata"]["name"] = name.into();
            }
        }
        self
    }

    /// One of its Services.
    pub(crate) fn service(&self, name: &str) -> Option<&Json> {
        let mut all = self.objects.iter().chain(&self.pinned);
        all.find(|object| object["kind"] == "Service" && object["metadata"]["name"] == name)
    }
}

/// What is needed first comes first; workloads come last.
fn rank(object: &Json) -> u8 {
    match object["kind"].as_str().unwrap_or_default() {
        "ServiceAccount" => 0,
        "Role" | "RoleBinding" => 1,
        "ConfigMap" | "Secret" | "PersistentVolumeClaim" => 2,
        "Service" => 3,
        kind if is_workload(kind) => 6,
        "HorizontalPodAutoscaler" => 7,
        _ => 4,
    }
}

/// Kinds that have pods for as long as they are there.
pub(crate) fn is_workload(kind: &str) -> bool {
    matches!(kind, "Deployment" | "StatefulSet" | "DaemonSet")
}

/// Where a release goes, and what is there.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    pub(crate) namespace: String,
    pub(crate) image_pull_secrets: Vec<String>,
    /// The image as the cluster's nodes call it.
    pub(crate) image: String,
    /// The port of the service; none takes no traffic.
    pub(crate) port: Option<u16>,
    /// Values of the variables that are secrets of Slipway's own.
    pub(crate) secrets: BTreeMap<String, Vec<u8>>,
    pub(crate) server: Server,
}

/// What an API server has, and another may not have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Server {
    /// `policy/v1`; else `policy/v1beta1`.
    pub(crate) policy_v1: bool,
    /// A container can be told to wait before it stops, without a program in it.
    pub(crate) sleeps: bool,
}

/// A release that can't be made, for people.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Impossible(pub(crate) String);

/// An image by the address that the cluster's nodes have for its registry.
pub(crate) fn image_for(wanted: &Wanted, registry: Option<&str>) -> String {
    let image = wanted.image();
    match (registry, image.split_once('/')) {
        (Some(registry), Some((_, rest))) => format!("{registry}/{rest}"),
        _ => image,
    }
}

/// `<name>-<hash of the content>`.
fn hashed_name(name: &str, content: &Json) -> String {
    let hash = hex::encode(Sha256::digest(content.to_string()));
    format!("{name}-{}", &hash[..10])
}

#[cfg(test)]
mod tests;
