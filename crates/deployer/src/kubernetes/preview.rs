//! What a rollout would change on a cluster: a dry run of every object by the API server, beside what is there.

mod meaning;

use domain::platform::KubernetesTarget;
use kube::api::DynamicObject;
use proto::preview::v1::{ChangeKind, ObjectChange};
use serde_json::Value as Json;

use super::Kubernetes;
use super::api::{Cluster, Mode};
use super::apply::is_ours;
use super::error::ClusterError;
use super::objects::{ObjectId, Release, is_workload, label};
use super::record::{self, Record};
use super::release::{release, release_from};
use super::router::Router;
use super::sets::can_be_beside;
use crate::preview::diff::differences;
use crate::preview::told;
use crate::wanted::Wanted;
use meaning::{is_secret, meaning, takes_place};

/// How a version would be brought in.
pub(crate) struct Way<'a> {
    /// `host/name` that has the image: it may not be yet where the version would take it from.
    pub(crate) available: &'a str,
    /// The version that it would be brought in beside, if it would.
    pub(crate) beside: Option<&'a Wanted>,
}

/// What bringing the version in would do with each object.
pub(crate) async fn preview(
    kubernetes: &Kubernetes,
    target: &KubernetesTarget,
    wanted: &Wanted,
    way: &Way<'_>,
) -> Result<Vec<ObjectChange>, ClusterError> {
    let cluster = kubernetes.cluster(&wanted.environment).await?;
    if let Some(stable) = way.beside {
        let stable_release = release(kubernetes, &cluster, target, stable).await?;
        can_be_beside(&stable_release, stable)?;
    }
    let release = release_from(kubernetes, &cluster, target, wanted, way.available).await?;
    let router = Router::of(wanted, &cluster.namespace);
    let is_routed = |id: &ObjectId| router.as_ref().is_some_and(|router| router.needs(id));
    if let Some(router) = &router
        && !release.ids().any(|id| is_routed(&id))
    {
        router.check(&cluster).await?;
    }
    let before = Record::read(&cluster, &wanted.service, &wanted.environment).await?;
    let probe = record::to_map(
        &Record::coming(wanted, &release, before.as_ref()),
        &wanted.service,
        &wanted.environment,
    );
    let has_namespace = cluster.has_namespace(&probe).await?;
    let mut gone = left_over(&cluster, &release, before.as_ref(), wanted).await?;
    let mut changes = Vec::new();
    let meanwhile = release.preview.iter().filter(|_| way.beside.is_some());
    let all = release.objects.iter().chain(&release.pinned);
    for object in all.chain(meanwhile.clone()) {
        let id = ObjectId::of(object);
        let (mut change, content) = if has_namespace {
            one(&cluster, object, &id, wanted, is_routed(&id)).await?
        } else {
            let note = format!(
                "the namespace {} is not there yet: it would be created, and the cluster can't check this before",
                cluster.namespace
            );
            let created = ObjectChange {
                note,
                ..named(&id, ChangeKind::Created)
            };
            (created, object.clone())
        };
        let is_replaced = |(old, _): &(ObjectId, DynamicObject)| takes_place(old, &id);
        if change.change() == ChangeKind::Created
            && let Some(index) = gone.iter().position(is_replaced)
        {
            let (old, before) = gone.remove(index);
            change.instead_of = old.name;
            let mut found = differences(&meaning(&json_of(&before)), &meaning(&content));
            // Its name, and what tells the sets of two versions apart.
            let set = format!("[{}]", label::SET);
            found.retain(|d| !d.path.starts_with("metadata") && !d.path.ends_with(&set));
            change.fields = told(found, |path| is_secret(&id, path));
        }
        if meanwhile.clone().any(|preview| ObjectId::of(preview) == id) {
            change.note =
                "it leads to the new version, and is there during the rollout only".to_owned();
        }
        changes.push(change);
    }
    changes.extend(gone.iter().map(|(id, _)| named(id, ChangeKind::Removed)));
    Ok(changes)
}

/// What an earlier release left and this one does not have.
async fn left_over(
    cluster: &Cluster,
    release: &Release,
    before: Option<&Record>,
    wanted: &Wanted,
) -> Result<Vec<(ObjectId, DynamicObject)>, ClusterError> {
    let mut found = Vec::new();
    let Some(before) = before else {
        return Ok(found);
    };
    let mut left: Vec<&ObjectId> = before.left_over(release).collect();
    // What is kept of an even earlier version was replaced before.
    left.sort_by_key(|id| before.kept.contains(id));
    for id in left {
        let object = cluster.find(id).await?;
        if let Some(object) = object.filter(|object| is_ours(object, wanted)) {
            found.push((id.clone(), object));
        }
    }
    Ok(found)
}

/// What would become of an object, and what it would be. The weights of a route are not the team's alone: it is taken in
/// over ours.
async fn one(
    cluster: &Cluster,
    object: &Json,
    id: &ObjectId,
    wanted: &Wanted,
    is_route: bool,
) -> Result<(ObjectChange, Json), ClusterError> {
    let dry = |force| cluster.apply(object, Mode { dry: true, force });
    let there = cluster.find(id).await;
    let (there, applied) = match there {
        Ok(there) => (there, dry(is_route).await),
        Err(error) => (None, Err(error)),
    };
    let (applied, conflict) = match applied {
        Err(ClusterError::Conflict { why, .. }) => (dry(true).await, why),
        other => (other, String::new()),
    };
    let applied = match applied {
        Ok(applied) => json_of(&applied),
        Err(error) if is_about_object(&error) => {
            let reason = error.to_string();
            let reason = reason
                .strip_prefix(&format!("checking {id}: "))
                .map_or(reason.clone(), str::to_owned);
            let refused = ObjectChange {
                note: reason,
                ..named(id, ChangeKind::Refused)
            };
            return Ok((refused, object.clone()));
        }
        Err(error) => return Err(error),
    };
    let Some(there) = there else {
        return Ok((named(id, ChangeKind::Created), applied));
    };
    let found = differences(&meaning(&json_of(&there)), &meaning(&applied));
    let replaces_pods = is_workload(&id.kind)
        && found
            .iter()
            .any(|difference| difference.path.starts_with("spec.template"));
    let change = match found.is_empty() {
        true => ChangeKind::Unchanged,
        false => ChangeKind::Changed,
    };
    let mut notes = Vec::new();
    if is_route {
        notes.push("its weights stay Slipway's");
    }
    if replaces_pods {
        notes.push("its pods are replaced");
    }
    if !is_ours(&there, wanted) {
        notes.push("it was there before, and not from Slipway: it would be taken over");
    }
    let change = ObjectChange {
        fields: told(found, |path| is_secret(id, path)),
        note: notes.join("; "),
        conflict,
        ..named(id, change)
    };
    Ok((change, applied))
}

/// Whether other objects can still be looked at.
fn is_about_object(error: &ClusterError) -> bool {
    error.is_users() || matches!(error, ClusterError::Forbidden { .. })
}

fn named(id: &ObjectId, change: ChangeKind) -> ObjectChange {
    ObjectChange {
        change: change.into(),
        kind: id.kind.clone(),
        name: id.name.clone(),
        api_version: id.api_version.clone(),
        ..ObjectChange::default()
    }
}

fn json_of(object: &DynamicObject) -> Json {
    serde_json::to_value(object).unwrap_or_default()
}
