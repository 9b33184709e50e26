//! The objects of both versions, and what is made before the first look: everything but Deployments and what decides
//! about the traffic.

use std::collections::BTreeMap;

use domain::platform::KubernetesTarget;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Service;
use kube::api::DynamicObject;
use serde_json::Value as Json;

use super::super::Kubernetes;
use super::super::api::Cluster;
use super::super::apply;
use super::super::error::ClusterError;
use super::super::objects::{Impossible, ObjectId, Release, annotation, label, pin};
use super::super::record::Record;
use super::super::release::release;
use super::super::router::Router;
use super::routed::Routed;
use crate::steps::Way;
use crate::steps::since::Both;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// Both versions on the cluster.
pub(super) struct Open {
    pub(super) cluster: Cluster,
    pub(super) way: Way,
    pub(super) stable: Release,
    /// `None` on the way back from what can't be made.
    pub(super) candidate: Option<Release>,
    /// The candidate's preview was brought in.
    pub(super) is_shown: bool,
    /// What measures out the candidate's share, if anything does.
    pub(super) router: Option<Router>,
    /// Whether testers reach the candidate; `None` if that is not known.
    pub(super) is_tested: Option<bool>,
    /// What decides about the traffic leads to one of the two sets.
    pub(super) is_pinned: bool,
    record: Record,
}

impl Open {
    /// Nothing is changed unless the cluster would take all of the candidate's objects.
    pub(super) async fn begin(
        kubernetes: &Kubernetes,
        target: &KubernetesTarget,
        wanted: Both<&Wanted>,
        way: Way,
        voice: &Voice<'_>,
    ) -> Result<Self, ClusterError> {
        let cluster = kubernetes.cluster(&wanted.stable.environment).await?;
        let stable = release(kubernetes, &cluster, target, wanted.stable).await?;
        can_be_beside(&stable, wanted.stable)?;
        let candidate = release(kubernetes, &cluster, target, wanted.candidate).await;
        let candidate = match candidate {
            Ok(candidate) => Some(candidate),
            Err(error) if way == Way::Back && error.is_users() => None,
            Err(error) => return Err(error),
        };
        let router = Router::of(wanted.candidate, &cluster.namespace);
        let (service, environment) = (&wanted.stable.service, &wanted.stable.environment);
        let before = Record::read(&cluster, service, environment).await?;
        let there = deployments(&cluster, before.as_ref()).await?;
        let stable = as_it_is(stable, wanted.stable, &there)?;
        let candidate = candidate.map(|release| as_it_is(release, wanted.candidate, &there));
        let candidate = candidate.transpose()?;
        let (of, coming) = match (&candidate, way) {
            (Some(candidate), Way::Forth) => (wanted.candidate, candidate),
            _ => (wanted.stable, &stable),
        };
        let mut open = Self {
            record: Record::coming(of, coming, before.as_ref()),
            cluster,
            way,
            stable,
            candidate,
            is_shown: false,
            router,
            is_tested: None,
            is_pinned: false,
        };
        if way == Way::Forth {
            let force = wanted.candidate.overwrites || target.overwrite_changes;
            let kept = before.filter(|before| before.complete).map(|b| b.kept);
            let kept = kept.unwrap_or_default();
            open.bring_in(wanted.candidate, &kept, force, voice).await?;
        } else {
            open.bring_back(wanted.stable, voice).await?;
        }
        Ok(open)
    }

    /// The Services that lead to the one version or to the other.
    pub(super) fn switched(&self) -> Vec<String> {
        let release = self.candidate.as_ref().unwrap_or(&self.stable);
        let names = release
            .pinned
            .iter()
            .map(|service| ObjectId::of(service).name);
        names.collect()
    }

    /// The set that a Service leads to; `None` if it is not there, or leads to more than one.
    pub(super) async fn set_of(&self, name: &str) -> Result<Option<String>, ClusterError> {
        let service = self.cluster.get::<Service>(name).await?;
        let selector = service.and_then(|service| service.spec?.selector);
        Ok(selector.and_then(|selector| selector.get(label::SET).cloned()))
    }

    async fn bring_in(
        &mut self,
        wanted: &Wanted,
        kept: &[ObjectId],
        force: bool,
        voice: &Voice<'_>,
    ) -> Result<(), ClusterError> {
        let Some(candidate) = &self.candidate else {
            return Ok(());
        };
        let cluster = &self.cluster;
        let (routes, objects): (Vec<&Json>, Vec<&Json>) =
            candidate.objects.iter().partition(|o| self.is_route(o));
        let all = objects.into_iter().chain(&candidate.pinned);
        apply::check(cluster, all.chain(&candidate.preview), force).await?;
        // Its weights are no longer what the team wrote.
        apply::check(cluster, routes.iter().copied(), true).await?;
        if let Some(router) = &self.router {
            router.check_with(cluster, &routes).await?;
        }
        // What was kept of an even earlier version would get traffic, too. Whatever else is left over may be what
        // serves: it goes at the end.
        let is_new = |id: &ObjectId| {
            let mut known = self.stable.ids().chain(candidate.ids());
            known.any(|other| other.is_same(id))
        };
        for id in kept.iter().filter(|id| !is_new(id)) {
            let is_ours = |found: &DynamicObject| apply::is_ours(found, wanted);
            if cluster.delete_ours(id, is_ours).await? {
                voice.say(&format!("removing {id}")).await;
            }
        }
        self.record
            .objects
            .retain(|id| is_new(id) || !kept.contains(id));
        let mut besides: Vec<ObjectId> = candidate.preview.iter().map(ObjectId::of).collect();
        if let Some(router) = &self.router {
            besides.extend(router.testers_route(cluster).await?);
        }
        besides.retain(|id| !self.record.objects.contains(id));
        self.record.objects.extend(besides);
        self.record.write(cluster, wanted).await?;
        for name in self.switched() {
            // A Service that nobody had yet leads somewhere before anything leads to it.
            let is_there = cluster.get::<Service>(&name).await?.is_some();
            if let Some(service) = self.backend(&name).filter(|_| !is_there) {
                apply::quietly(cluster, &pin(service.clone(), &self.stable.set)).await?;
            }
        }
        self.make(&routes).await?;
        let objects = without_sets(candidate, &[]);
        let objects: Vec<&Json> = objects.filter(|o| !self.is_route(o)).collect();
        let held = apply::all(cluster, objects, force, voice).await?;
        self.record.held.extend(held);
        Ok(())
    }

    /// A Service that leads to the one version or to the other. The version before may have been brought in without a
    /// router.
    fn backend(&self, name: &str) -> Option<&Json> {
        let of_candidate = self.candidate.as_ref().filter(|_| self.router.is_some());
        let of_stable = self.stable.service(name);
        of_stable.or_else(|| of_candidate?.service(name))
    }

    /// Lets what decides about the traffic lead to the stable set, unless it leads to the candidate's already.
    pub(super) async fn pin_to_stable(&self) -> Result<(), ClusterError> {
        let cluster = &self.cluster;
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.set);
        let is_decided = |set: Option<&String>| {
            set.is_some() && (set == Some(&self.stable.set) || set == candidate)
        };
        for name in self.switched() {
            let set = self.set_of(&name).await?;
            if let Some(service) = self.backend(&name).filter(|_| !is_decided(set.as_ref())) {
                apply::quietly(cluster, &pin(service.clone(), &self.stable.set)).await?;
            }
        }
        if let Some(router) = self.router.as_ref().filter(|router| router.has_subsets()) {
            let sets = router.pins(cluster).await?;
            for (subset, set) in [router.stable(), router.canary()].into_iter().zip(sets) {
                if !is_decided(set.as_ref()) {
                    router.pin(cluster, subset, &self.stable.set).await?;
                }
            }
        }
        Ok(())
    }

    /// Whether a Service that leads to a set gives the candidate traffic.
    pub(super) fn is_with_candidate(&self, set: Option<&str>) -> bool {
        match (&self.candidate, set) {
            (Some(candidate), Some(set)) => set == candidate.set,
            // It can't be told which set is the candidate's.
            (None, Some(set)) => set != self.stable.set,
            (_, None) => false,
        }
    }

    /// Makes those routes that are not there yet. The others keep their weights until the end.
    async fn make(&self, routes: &[&Json]) -> Result<(), ClusterError> {
        for route in routes {
            if self.cluster.find(&ObjectId::of(route)).await?.is_none() {
                apply::quietly(&self.cluster, route).await?;
            }
        }
        Ok(())
    }

    /// Whether an object is the route that splits the traffic, or has its subsets.
    fn is_route(&self, object: &Json) -> bool {
        let id = ObjectId::of(object);
        self.router.as_ref().is_some_and(|router| router.needs(&id))
    }

    /// What the route and its backends lead to.
    pub(super) async fn routed(&self, router: &Router) -> Result<Routed, ClusterError> {
        let candidate = self.candidate.as_ref().map(|candidate| &candidate.set);
        let weight = router.look(&self.cluster).await?;
        let [stable, canary] = if router.has_subsets() {
            router.pins(&self.cluster).await?
        } else {
            [
                self.set_of(router.stable()).await?,
                self.set_of(router.canary()).await?,
            ]
        };
        let is_candidate = |set: Option<String>| set.is_some() && set.as_ref() == candidate;
        Ok(Routed {
            weight,
            stable: is_candidate(stable),
            canary: is_candidate(canary),
        })
    }

    /// Lets a backend of the route lead to one of the two sets.
    pub(super) async fn lead(
        &self,
        router: &Router,
        backend: &str,
        to_candidate: bool,
    ) -> Result<(), ClusterError> {
        let Some(candidate) = &self.candidate else {
            return Ok(());
        };
        let set = if to_candidate {
            &candidate.set
        } else {
            &self.stable.set
        };
        if router.has_subsets() {
            return router.pin(&self.cluster, backend, set).await;
        }
        if let Some(service) = candidate.service(backend) {
            apply::quietly(&self.cluster, &pin(service.clone(), set)).await?;
        }
        Ok(())
    }

    async fn bring_back(&mut self, wanted: &Wanted, voice: &Voice<'_>) -> Result<(), ClusterError> {
        self.record.write(&self.cluster, wanted).await?;
        let switched = self.switched();
        let objects = without_sets(&self.stable, &switched);
        let objects: Vec<&Json> = objects.filter(|o| !self.is_route(o)).collect();
        let held = apply::all(&self.cluster, objects, true, voice).await?;
        self.record.held.extend(held);
        Ok(())
    }

    /// Makes a version what there is: all of its objects as they are at rest, and nothing else but what is kept.
    pub(super) async fn end(
        &self,
        release: &Release,
        kept: &[ObjectId],
        wanted: &Wanted,
        voice: &Voice<'_>,
    ) -> Result<(), ClusterError> {
        let mut record = self.record.clone();
        let switched = self.switched();
        let services = release.objects.iter().filter(|o| is_one_of(o, &switched));
        let last = release.deployment().into_iter().chain(services);
        let mut held = BTreeMap::new();
        for object in last.chain(&release.pinned) {
            let id = ObjectId::of(object);
            let applied = apply::quietly(&self.cluster, object).await?;
            held.insert(id.to_string(), applied);
            if id.kind == "Deployment" {
                self.cluster.let_scale(&id).await?;
            }
        }
        record.held.extend(held);
        if let Some(router) = Router::of(wanted, &self.cluster.namespace) {
            match router.rest(&self.cluster, release).await {
                Ok(held) => record.held.extend(held),
                // Without its route a version is there all the same.
                Err(error @ ClusterError::Route(_)) if self.way == Way::Back => {
                    voice.say(&format!("note: {error}")).await;
                }
                Err(error) => return Err(error),
            }
        }
        record.let_routes_go(&self.cluster, wanted, voice).await?;
        record
            .prune(&self.cluster, release, kept, wanted, voice)
            .await?;
        let record = record.complete_beside(release, kept);
        record.write(&self.cluster, wanted).await
    }
}

/// Whether another version can be brought in beside this one.
pub(in super::super) fn can_be_beside(stable: &Release, wanted: &Wanted) -> Result<(), Impossible> {
    if stable.deployment().is_some() {
        return Ok(());
    }
    Err(Impossible(format!(
        "{} runs by something else than one Deployment, so that no other version can be beside it; deploy this one \
         with `strategy: rolling` first",
        wanted.version
    )))
}

/// The Deployments of a record that are there.
async fn deployments(
    cluster: &Cluster,
    record: Option<&Record>,
) -> Result<Vec<Deployment>, ClusterError> {
    let ids = record.into_iter().flat_map(|record| &record.objects);
    let mut there = Vec::new();
    for id in ids.filter(|id| id.kind == "Deployment") {
        there.extend(cluster.get::<Deployment>(&id.name).await?);
    }
    Ok(there)
}

/// A release as it was brought in: with another secret, platform file or cluster it would be made otherwise today, and
/// its pods would be called otherwise.
fn as_it_is(
    release: Release,
    wanted: &Wanted,
    there: &[Deployment],
) -> Result<Release, Impossible> {
    let is_it = |deployment: &&Deployment| {
        let notes = deployment.metadata.annotations.as_ref();
        let says = |name, value| notes.is_some_and(|n| n.get(name).is_some_and(|own| own == value));
        says(annotation::VERSION, wanted.version.as_str())
            && says(annotation::DIGEST, wanted.digest.as_str())
    };
    let mut found = there.iter().filter(is_it);
    let (Some(found), None) = (found.next(), found.next()) else {
        return Ok(release);
    };
    let name = found.metadata.name.as_deref().unwrap_or_default();
    let template = found.spec.as_ref().map(|spec| &spec.template);
    let labels = template.and_then(|pods| pods.metadata.as_ref()?.labels.as_ref());
    match labels.and_then(|labels| labels.get(label::SET)) {
        Some(set) => Ok(release.called(name, set)),
        None => Err(Impossible(format!(
            "the pods of Deployment {name} have no label {}, by which Services would lead to {} alone: another version \
             of Slipway, or somebody by hand, made them; deploy {1} once more with `strategy: rolling` first",
            label::SET,
            wanted.version
        ))),
    }
}

fn is_one_of(object: &Json, services: &[String]) -> bool {
    let id = ObjectId::of(object);
    id.kind == "Service" && services.contains(&id.name)
}

/// Everything but the Deployment and Services that decide about the traffic.
fn without_sets<'r>(
    release: &'r Release,
    switched: &'r [String],
) -> impl Iterator<Item = &'r Json> {
    let set = release.deployment().map(ObjectId::of);
    let all = release.objects.iter();
    all.filter(move |object| {
        set.as_ref() != Some(&ObjectId::of(object)) && !is_one_of(object, switched)
    })
}

#[cfg(test)]
mod tests {
    use domain::spec::Deploy;
    use serde_json::json;

    use super::*;

    fn wanted() -> Wanted {
        Wanted {
            service: "shop".parse().unwrap(),
            environment: "test".parse().unwrap(),
            version: "1.0.0".to_owned(),
            run: "r1".parse().unwrap(),
            origin: "r1".parse().unwrap(),
            part_of: None,
            repository: "r/shop".to_owned(),
            digest: format!("sha256:{}", "a".repeat(64)).parse().unwrap(),
            deploy: Deploy::default(),
            address: None,
            returns: false,
            overwrites: false,
        }
    }

    fn deployment(name: &str, labels: &Json) -> Json {
        let wanted = wanted();
        json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": { "name": name, "annotations": {
                annotation::VERSION: wanted.version, annotation::DIGEST: wanted.digest.as_str(),
            } },
            "spec": {
                "selector": { "matchLabels": labels },
                "template": { "metadata": { "labels": labels } },
            },
        })
    }

    fn seen(name: &str, labels: &Json) -> Result<Release, Impossible> {
        let release = Release {
            objects: vec![deployment("shop-new", &json!({ label::SET: "new" }))],
            pinned: Vec::new(),
            preview: None,
            set: "new".to_owned(),
            address: String::new(),
            key: String::new(),
        };
        let there = serde_json::from_value(deployment(name, labels)).unwrap();
        as_it_is(release, &wanted(), &[there])
    }

    #[test]
    fn a_version_that_would_be_made_otherwise_today_is_what_is_there() {
        let release = seen("shop-old", &json!({ label::SET: "old" })).unwrap();
        let deployment = release.deployment().unwrap();
        assert_eq!(deployment["metadata"]["name"], "shop-old");
        assert_eq!(
            deployment["spec"]["selector"]["matchLabels"][label::SET],
            "old"
        );
        assert_eq!(release.set, "old");
    }

    #[test]
    fn pods_that_do_not_say_which_set_they_are_of_are_refused_with_a_way_out() {
        let refused = seen("shop", &json!({ "app": "shop" })).unwrap_err().0;
        assert!(
            refused.contains("Deployment shop") && refused.contains("`strategy: rolling`"),
            "{refused}"
        );
    }
}
