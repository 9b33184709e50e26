//! What measures out a canary's share: a route of the team's own, of which only weights are changed.
//!
//! The route leads to two Services, or to two subsets; which version each of them is, is not decided here. A change is
//! a JSON patch that tests first whether the backends are still those that were read, so that nothing of anybody else
//! is overwritten, and that takes over no other field.

mod error;
mod http_route;
mod istio;
mod kind;
mod split;
mod testers;

use std::collections::BTreeMap;

use domain::ids::ServiceName;
use domain::spec::{Percent, RouterKind, Strategy, Testers, TrafficRouter};
use kube::api::DynamicObject;
use serde_json::Value as Json;

use super::api::Cluster;
use super::apply;
use super::drift;
use super::error::ClusterError;
use super::objects::{ObjectId, Release, mark, router};
use crate::wanted::Wanted;
pub(crate) use error::RouteError;
use kind::{GATEWAY_API, Kind, LINKERD};
use split::Split;

/// The two versions, as a route calls them.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Backends {
    namespace: String,
    stable: String,
    canary: String,
}

/// A route of the team's.
pub(super) struct Router {
    spec: TrafficRouter,
    backends: Backends,
    route: Kind,
    rule: Option<Kind>,
    testers: Option<Testers>,
}

impl Router {
    /// The router that a version asks for, if its strategy has one.
    pub(super) fn of(wanted: &Wanted, namespace: &str) -> Option<Self> {
        let spec = router(wanted)?.clone();
        Some(Self {
            testers: testers(wanted).cloned(),
            ..Self::new(spec, &wanted.service, namespace)
        })
    }

    /// A router of a service.
    pub(super) fn new(spec: TrafficRouter, service: &ServiceName, namespace: &str) -> Self {
        let backends = Backends {
            namespace: namespace.to_owned(),
            stable: spec.stable(service),
            canary: spec.canary(service),
        };
        let (route, rule) = match &spec.kind {
            RouterKind::GatewayApi(route) => (Kind::http_route(&route.route, GATEWAY_API), None),
            RouterKind::Linkerd(route) => (Kind::http_route(&route.route, LINKERD), None),
            RouterKind::Istio(istio) => {
                let rule = istio.destination_rule.as_deref();
                let rule = rule.map(|name| Kind::istio("DestinationRule", name));
                (Kind::istio("VirtualService", &istio.virtual_service), rule)
            }
        };
        Self {
            spec,
            backends,
            route,
            rule,
            testers: None,
        }
    }

    /// Refuses a route that can't split the traffic, or whose weights make no sense, before anything is changed.
    pub(super) async fn check(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        let (_, split) = self.read(cluster).await?;
        split.check()?;
        if let Some(rule) = &self.rule {
            let found = rule.read(cluster).await?;
            let pins = [&self.backends.stable, &self.backends.canary].map(|s| (s.as_str(), ""));
            istio::pinned(&found, &rule.to_string(), &pins)?;
        }
        Ok(())
    }

    /// The same, where `routes` are still to be made if they are not there.
    pub(super) async fn check_with(
        &self,
        cluster: &Cluster,
        routes: &[&Json],
    ) -> Result<(), ClusterError> {
        let to_be = routes
            .iter()
            .find(|route| self.route.is(&ObjectId::of(route)));
        match to_be {
            Some(to_be) if cluster.find(&ObjectId::of(to_be)).await?.is_none() => {
                Ok(self.split(to_be)?.check()?)
            }
            _ => self.check(cluster).await,
        }
    }

    /// The share of the canary's backend, read back.
    pub(super) async fn look(&self, cluster: &Cluster) -> Result<Percent, ClusterError> {
        Ok(self.read(cluster).await?.1.share())
    }

    /// Gives the canary's backend a share, and the rest to the other.
    pub(super) async fn set(&self, cluster: &Cluster, share: Percent) -> Result<(), ClusterError> {
        let change = |route: &Json| Ok(self.split(route)?.change(share));
        self.route.change(cluster, change).await
    }

    /// Whether testers are to reach the canary.
    pub(super) fn has_testers(&self) -> bool {
        self.testers.is_some()
    }

    /// The route of our own by which they do, where the team's is left alone.
    pub(super) async fn testers_route(
        &self,
        cluster: &Cluster,
    ) -> Result<Option<ObjectId>, ClusterError> {
        if self.testers.is_none() || matches!(self.spec.kind, RouterKind::Istio(_)) {
            return Ok(None);
        }
        let id = self.route.id(cluster).await?.clone();
        let name = format!("{}-testers", id.name);
        Ok(Some(ObjectId { name, ..id }))
    }

    /// Lets requests of testers go to the canary's backend, whatever its share is.
    pub(super) async fn let_test(
        &self,
        cluster: &Cluster,
        wanted: &Wanted,
    ) -> Result<(), ClusterError> {
        let Some(testers) = &self.testers else {
            return Ok(());
        };
        let Some(id) = self.testers_route(cluster).await? else {
            let change = |route: &Json| Ok(testers::put(route, &self.split(route)?, testers));
            return self.route.change(cluster, change).await;
        };
        let (mut route, split) = self.read(cluster).await?;
        route["apiVersion"] = Json::from(id.api_version);
        let mut own = testers::http_route(&route, &id.name, &split, testers);
        mark(&mut own, wanted);
        apply::quietly(cluster, &own).await.map(drop)
    }

    /// Lets them go where all others go.
    pub(super) async fn end_tests(
        &self,
        cluster: &Cluster,
        wanted: &Wanted,
    ) -> Result<(), ClusterError> {
        if self.testers.is_none() {
            return Ok(());
        }
        match self.testers_route(cluster).await? {
            Some(id) => {
                let is_ours = |found: &DynamicObject| apply::is_ours(found, wanted);
                cluster.delete_ours(&id, is_ours).await.map(drop)
            }
            None => {
                let change = |route: &Json| Ok(testers::taken_out(route));
                self.route.change(cluster, change).await
            }
        }
    }

    /// Takes testers' rules out of the team's own route.
    async fn forget_testers(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        if matches!(self.spec.kind, RouterKind::Istio(_)) {
            let change = |route: &Json| Ok(testers::taken_out(route));
            self.route.change(cluster, change).await?;
        }
        Ok(())
    }

    /// Leaves the route to the team, because no version asks for it any more: the canary's backend has no share, and
    /// subsets lead to all pods again.
    pub(super) async fn let_go(&self, cluster: &Cluster) -> Result<(), ClusterError> {
        self.forget_testers(cluster).await?;
        if let Some(rule) = &self.rule {
            let subsets = [self.stable(), self.canary()];
            let change = |found: &Json| Ok(istio::unpinned(found, &subsets));
            rule.change(cluster, change).await?;
        }
        self.set(cluster, Percent::ZERO).await
    }

    /// Whether the versions are subsets of a DestinationRule, and not Services.
    pub(super) fn has_subsets(&self) -> bool {
        self.rule.is_some()
    }

    /// The sets to which the subsets lead, the stable one first.
    pub(super) async fn pins(
        &self,
        cluster: &Cluster,
    ) -> Result<[Option<String>; 2], ClusterError> {
        let Some(rule) = &self.rule else {
            return Ok([None, None]);
        };
        let found = rule.read(cluster).await?;
        let pins = [&self.backends.stable, &self.backends.canary];
        Ok(pins.map(|subset| istio::pins(&found, subset)))
    }

    /// Lets a subset lead to a set of pods.
    pub(super) async fn pin(
        &self,
        cluster: &Cluster,
        subset: &str,
        set: &str,
    ) -> Result<(), ClusterError> {
        let Some(rule) = &self.rule else {
            return Ok(());
        };
        let name = rule.to_string();
        let change = |found: &Json| istio::pinned(found, &name, &[(subset, set)]);
        rule.change(cluster, change).await
    }

    /// Lets the route rest with a version: its subsets lead to it, and the canary's backend has no share. Where the
    /// version brings the route itself, it is as the team wrote it but for the weights; returns what tells which of its
    /// fields are ours.
    pub(super) async fn rest(
        &self,
        cluster: &Cluster,
        release: &Release,
    ) -> Result<BTreeMap<String, String>, ClusterError> {
        let own: Vec<&Json> = release
            .objects
            .iter()
            .filter(|object| self.needs(&ObjectId::of(object)))
            .collect();
        for route in &own {
            apply::quietly(cluster, route).await?;
        }
        if self.has_subsets() {
            for subset in [self.stable(), self.canary()] {
                self.pin(cluster, subset, &release.set).await?;
            }
        }
        self.forget_testers(cluster).await?;
        self.set(cluster, Percent::ZERO).await?;
        let mut held = BTreeMap::new();
        for id in own.into_iter().map(ObjectId::of) {
            if let Some(found) = cluster.find(&id).await? {
                held.insert(id.to_string(), drift::held(&found));
            }
        }
        Ok(held)
    }

    /// What the route calls the version that serves: a Service or a subset.
    pub(super) fn stable(&self) -> &str {
        &self.backends.stable
    }

    /// What the route calls the canary.
    pub(super) fn canary(&self) -> &str {
        &self.backends.canary
    }

    /// Whether an object is the route, or what it needs.
    pub(super) fn needs(&self, id: &ObjectId) -> bool {
        let needed = [Some(&self.route), self.rule.as_ref()];
        needed.into_iter().flatten().any(|kind| kind.is(id))
    }

    async fn read(&self, cluster: &Cluster) -> Result<(Json, Split), ClusterError> {
        let route = self.route.read(cluster).await?;
        let split = self.split(&route)?;
        Ok((route, split))
    }

    fn split(&self, route: &Json) -> Result<Split, RouteError> {
        let name = self.route.to_string();
        match &self.spec.kind {
            RouterKind::GatewayApi(_) | RouterKind::Linkerd(_) => {
                http_route::split(route, &name, &self.backends)
            }
            RouterKind::Istio(of) => istio::split(route, &name, of, &self.backends),
        }
    }
}

fn testers(wanted: &Wanted) -> Option<&Testers> {
    match &wanted.deploy.strategy {
        Strategy::Canary(canary) => canary.testers.as_ref(),
        Strategy::Rolling(_) | Strategy::BlueGreen(_) => None,
    }
}

/// What was found, for people.
fn found(names: impl IntoIterator<Item = impl AsRef<str>>) -> String {
    let names: Vec<String> = names
        .into_iter()
        .map(|name| name.as_ref().to_owned())
        .collect();
    match names.as_slice() {
        [] => "nothing".to_owned(),
        names => names.join(", "),
    }
}
