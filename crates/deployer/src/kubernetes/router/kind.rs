//! Objects of routers: in whichever version the API server has, and changed only as long as they are what was read.

use serde_json::Value as Json;
use tokio::sync::OnceCell;

use super::super::api::Cluster;
use super::super::error::ClusterError;
use super::super::objects::ObjectId;
use super::RouteError;

/// How often a change is tried when somebody else changes the route at the same time.
const ATTEMPTS: u32 = 5;
/// The versions with weights, the newest first.
pub(super) const GATEWAY_API: &[&str] = &[
    "gateway.networking.k8s.io/v1",
    "gateway.networking.k8s.io/v1beta1",
];
/// The versions with weights, the newest first.
const ISTIO: &[&str] = &[
    "networking.istio.io/v1",
    "networking.istio.io/v1beta1",
    "networking.istio.io/v1alpha3",
];
/// The versions with weights, the newest first.
pub(super) const LINKERD: &[&str] = &["policy.linkerd.io/v1beta3", "policy.linkerd.io/v1beta2"];

/// An object by its kind and name, in whichever version the API server has.
pub(super) struct Kind {
    kind: &'static str,
    name: String,
    versions: &'static [&'static str],
    install: &'static str,
    known: OnceCell<ObjectId>,
}

impl Kind {
    /// An HTTPRoute of the Gateway API or of Linkerd.
    pub(super) fn http_route(name: &str, versions: &'static [&'static str]) -> Self {
        let install = if versions == LINKERD {
            "install Linkerd 2.13 or later, or its CRDs (`linkerd install --crds`)"
        } else {
            "install the CRDs of the Gateway API (standard-install.yaml of a release of kubernetes-sigs/gateway-api) and \
             a controller for them"
        };
        Self::of("HTTPRoute", name, versions, install)
    }

    /// An object of Istio.
    pub(super) fn istio(kind: &'static str, name: &str) -> Self {
        let install = "install Istio, or its CRDs (the chart `base`)";
        Self::of(kind, name, ISTIO, install)
    }

    fn of(
        kind: &'static str,
        name: &str,
        versions: &'static [&'static str],
        install: &'static str,
    ) -> Self {
        Self {
            kind,
            name: name.to_owned(),
            versions,
            install,
            known: OnceCell::new(),
        }
    }

    fn group(&self) -> &'static str {
        let newest = self.versions.first().copied().unwrap_or_default();
        newest.split('/').next().unwrap_or_default()
    }

    /// Whether that is it, whatever the version of its description.
    pub(super) fn is(&self, id: &ObjectId) -> bool {
        let is_group = id.api_version.split('/').next() == Some(self.group());
        is_group && id.kind == self.kind && id.name == self.name
    }

    /// Its identity in the newest version that the API server has.
    pub(super) async fn id(&self, cluster: &Cluster) -> Result<&ObjectId, ClusterError> {
        let discover = async || {
            for version in self.versions {
                let id = ObjectId {
                    api_version: (*version).to_owned(),
                    kind: self.kind.to_owned(),
                    name: self.name.clone(),
                };
                if cluster.knows(&id).await? {
                    return Ok(id);
                }
            }
            Err(ClusterError::from(RouteError::NotInstalled {
                kind: self.kind,
                group: self.group(),
                install: self.install,
            }))
        };
        self.known.get_or_try_init(discover).await
    }

    /// The object; its absence is an error.
    pub(super) async fn read(&self, cluster: &Cluster) -> Result<Json, ClusterError> {
        let found = cluster.find(self.id(cluster).await?).await?;
        let found = found.ok_or_else(|| RouteError::Absent {
            route: self.to_string(),
            namespace: cluster.namespace.clone(),
        })?;
        // The client's own types have no other form.
        Ok(serde_json::to_value(found).unwrap_or_default())
    }

    /// Reads, and patches what is to be changed; again where somebody else was faster.
    pub(super) async fn change(
        &self,
        cluster: &Cluster,
        change: impl Fn(&Json) -> Result<Vec<Json>, RouteError>,
    ) -> Result<(), ClusterError> {
        let mut tried: Option<(Json, ClusterError)> = None;
        for _ in 0..ATTEMPTS {
            let found = self.read(cluster).await?;
            let patch = change(&found)?;
            if patch.is_empty() {
                return Ok(());
            }
            // What fails though nobody changed anything fails always.
            if let Some((_, error)) = tried.take_if(|(before, _)| before["spec"] == found["spec"]) {
                return Err(error);
            }
            match cluster.patch_parts(self.id(cluster).await?, &patch).await {
                Ok(()) => return Ok(()),
                Err(error @ (ClusterError::Refused { .. } | ClusterError::Conflict { .. })) => {
                    tried = Some((found, error));
                }
                Err(error) => return Err(error),
            }
        }
        let route = self.to_string();
        Err(RouteError::Contended { route }.into())
    }
}

impl std::fmt::Display for Kind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} {}", self.kind, self.name)
    }
}
