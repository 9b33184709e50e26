//! What Slipway keeps in the cluster about a release: which objects it has, so that those that a later one has no more
//! can be removed. A ConfigMap beside them.

use std::collections::BTreeMap;

use domain::ids::{EnvironmentName, ServiceName};
use domain::spec::TrafficRouter;
use k8s_openapi::api::core::v1::ConfigMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value as Json, json};

use super::api::{Cluster, Mode};
use super::apply::is_ours;
use super::error::ClusterError;
use super::objects::{INSTALLED, Impossible, ObjectId, Release, label, router};
use super::router::Router;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// The label of a record's role.
pub(super) const ROLE: &str = "release";
/// The key in its data.
const KEY: &str = "release";

/// The newest release of a service in an environment.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Record {
    pub(super) version: String,
    pub(super) digest: String,
    pub(super) run: String,
    /// [`Release::key`].
    pub(super) key: String,
    pub(super) address: String,
    /// It is ready, and nothing of an earlier one is left.
    pub(super) complete: bool,
    /// Its objects, and those of earlier releases that are not removed yet.
    pub(super) objects: Vec<ObjectId>,
    /// Those of them that are of the version before and stay for a while, to go back to it at once.
    #[serde(default)]
    pub(super) kept: Vec<ObjectId>,
    /// What measured out a canary's share, by this release or by one before that left it so.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) routers: Vec<TrafficRouter>,
    /// What tells which fields of an object are ours, by the object's kind and name: it changes when
    /// somebody changes one of them.
    #[serde(default)]
    pub(super) held: BTreeMap<String, String>,
}

impl Record {
    /// The record of a release that is coming, with what `before` has besides.
    pub(super) fn coming(wanted: &Wanted, release: &Release, before: Option<&Self>) -> Self {
        let mut objects: Vec<ObjectId> = release.ids().collect();
        for old in before.iter().flat_map(|before| &before.objects) {
            if !objects.iter().any(|new| new.is_same(old)) {
                objects.push(old.clone());
            }
        }
        Self {
            version: wanted.version.clone(),
            digest: wanted.digest.to_string(),
            run: wanted.run.to_string(),
            key: release.key.clone(),
            address: release.address.clone(),
            complete: false,
            objects,
            kept: Vec::new(),
            routers: routers(wanted, before),
            held: before.map(|b| b.held.clone()).unwrap_or_default(),
        }
    }

    /// Leaves routes that the release does not ask for to the team.
    pub(super) async fn let_routes_go(
        &mut self,
        cluster: &Cluster,
        wanted: &Wanted,
        voice: &Voice<'_>,
    ) -> Result<(), ClusterError> {
        let own = router(wanted);
        for other in self.routers.iter().filter(|other| own != Some(other)) {
            let other = Router::new(other.clone(), &wanted.service, &cluster.namespace);
            match other.let_go(cluster).await {
                // It is gone itself.
                Err(error @ ClusterError::Route(_)) => {
                    voice.say(&format!("note: {error}")).await;
                }
                let_go => let_go?,
            }
        }
        self.routers = own.cloned().into_iter().collect();
        Ok(())
    }

    /// The objects that a release does not have.
    pub(super) fn left_over<'r>(
        &'r self,
        release: &'r Release,
    ) -> impl Iterator<Item = &'r ObjectId> {
        self.objects
            .iter()
            .filter(|old| !release.ids().any(|new| new.is_same(old)))
    }

    /// Removes the objects that a release does not have, but for those that are kept.
    pub(super) async fn prune(
        &self,
        cluster: &Cluster,
        release: &Release,
        kept: &[ObjectId],
        wanted: &Wanted,
        voice: &Voice<'_>,
    ) -> Result<(), ClusterError> {
        for old in self.left_over(release).filter(|old| !kept.contains(old)) {
            if cluster
                .delete_ours(old, |found| is_ours(found, wanted))
                .await?
            {
                voice.say(&format!("removing {old}")).await;
            }
        }
        Ok(())
    }

    /// The record when nothing else is left.
    pub(super) fn complete(self, release: &Release) -> Self {
        self.complete_beside(release, &[])
    }

    /// The record when nothing else is left but some objects of the version before, which are kept for a while.
    pub(super) fn complete_beside(mut self, release: &Release, kept: &[ObjectId]) -> Self {
        self.complete = true;
        self.objects = release.ids().chain(kept.iter().cloned()).collect();
        self.kept = kept.to_vec();
        let keys: Vec<String> = self.objects.iter().map(ToString::to_string).collect();
        self.held.retain(|key, _| keys.contains(key));
        self
    }

    /// The record when what was kept is gone.
    pub(super) fn without_kept(mut self) -> Self {
        let kept = std::mem::take(&mut self.kept);
        self.objects.retain(|id| !kept.contains(id));
        self
    }

    /// The record of a service, if there is one.
    pub(super) async fn read(
        cluster: &Cluster,
        service: &ServiceName,
        environment: &EnvironmentName,
    ) -> Result<Option<Self>, ClusterError> {
        let map: Option<ConfigMap> = cluster.get(&name(service)).await?;
        let other =
            |map: &ConfigMap| label_of(map, label::ENVIRONMENT) != Some(environment.as_str());
        match map {
            Some(map) if other(&map) => Err(Impossible(format!(
                "the namespace {} has {service} of another environment, {}, already; give {environment} a namespace of \
                 its own in platform.yaml",
                cluster.namespace,
                label_of(&map, label::ENVIRONMENT).unwrap_or("of nobody's")
            ))
            .into()),
            map => Ok(map.as_ref().and_then(of_map)),
        }
    }

    /// Writes it.
    pub(super) async fn write(
        &self,
        cluster: &Cluster,
        wanted: &Wanted,
    ) -> Result<(), ClusterError> {
        let object = to_map(self, &wanted.service, &wanted.environment);
        let mode = Mode {
            dry: false,
            force: true,
        };
        cluster.apply(&object, mode).await.map(drop)
    }
}

/// The router of a version, and those of the release before.
fn routers(wanted: &Wanted, before: Option<&Record>) -> Vec<TrafficRouter> {
    let mut routers: Vec<TrafficRouter> = router(wanted).cloned().into_iter().collect();
    for other in before.iter().flat_map(|before| &before.routers) {
        if !routers.contains(other) {
            routers.push(other.clone());
        }
    }
    routers
}

/// Every record of an environment, by service.
pub(super) async fn all(
    cluster: &Cluster,
    environment: &EnvironmentName,
) -> Result<BTreeMap<ServiceName, Record>, ClusterError> {
    let selector = format!(
        "{}={INSTALLED},{}={ROLE},{}={environment}",
        label::MANAGED_BY,
        label::ROLE,
        label::ENVIRONMENT
    );
    let maps: Vec<ConfigMap> = cluster.list(&selector).await?;
    let service = |map: &ConfigMap| label_of(map, label::SERVICE)?.parse().ok();
    Ok(maps
        .iter()
        .filter_map(|map| Some((service(map)?, of_map(map)?)))
        .collect())
}

/// The object that a record is kept in.
pub(super) fn to_map(
    record: &Record,
    service: &ServiceName,
    environment: &EnvironmentName,
) -> Json {
    let text = serde_json::to_string(record).expect("a record has only text keys");
    json!({
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": name(service),
            "labels": {
                label::MANAGED_BY: INSTALLED,
                label::ROLE: ROLE,
                label::ENVIRONMENT: environment.as_str(),
                label::SERVICE: service.as_str(),
            },
        },
        "data": { KEY: text },
    })
}

/// The identity of the record's own object.
pub(super) fn id(service: &ServiceName) -> ObjectId {
    ObjectId {
        api_version: "v1".to_owned(),
        kind: "ConfigMap".to_owned(),
        name: name(service),
    }
}

fn name(service: &ServiceName) -> String {
    format!("{service}-{INSTALLED}")
}

fn label_of<'m>(map: &'m ConfigMap, name: &str) -> Option<&'m str> {
    map.metadata.labels.as_ref()?.get(name).map(String::as_str)
}

fn of_map(map: &ConfigMap) -> Option<Record> {
    serde_json::from_str(map.data.as_ref()?.get(KEY)?).ok()
}
