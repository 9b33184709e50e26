//! Calls to a cluster's API server, for objects of any kind.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::api::{
    DeleteParams, DynamicObject, ListParams, LogParams, Patch, PatchParams, Preconditions,
};
use kube::core::GroupVersionKind;
use kube::discovery::{ApiResource, Scope, pinned_kind};
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};
use tokio::sync::Mutex;

use super::error::{ClusterError, is_absent, is_without_namespace};
use super::objects::{INSTALLED, ObjectId, Server};

/// Versions of Kubernetes from which a container can be told to sleep.
const SLEEPS: (u32, u32) = (1, 30);

/// Who manages the numbers of replicas and the weights of routes while a rollout is under way.
const SCALER: &str = "slipway-rollout";

/// How an object is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Mode {
    /// Only ask whether it could be.
    pub(super) dry: bool,
    /// What others changed is overwritten; else it is an error.
    pub(super) force: bool,
}

/// A namespace of a cluster.
#[derive(Clone)]
pub(super) struct Cluster {
    client: Client,
    pub(super) namespace: String,
    kinds: Arc<Mutex<HashMap<GroupVersionKind, ApiResource>>>,
}

impl Cluster {
    pub(super) fn new(client: Client, namespace: String) -> Self {
        Self {
            client,
            namespace,
            kinds: Arc::default(),
        }
    }

    /// For calls that are made elsewhere.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// What the API server has.
    pub(super) async fn server(&self) -> Result<Server, ClusterError> {
        let doing = "asking the cluster for its version";
        let version = self.client.apiserver_version().await;
        let version = version.map_err(|error| ClusterError::of(doing, &error))?;
        let groups = self.client.list_api_groups().await;
        let groups = groups.map_err(|error| ClusterError::of(doing, &error))?;
        let policy = groups.groups.iter().find(|group| group.name == "policy");
        let number = |text: &str| {
            let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
            digits.parse().unwrap_or(0)
        };
        Ok(Server {
            policy_v1: policy.is_some_and(|p| p.versions.iter().any(|v| v.version == "v1")),
            sleeps: (number(&version.major), number(&version.minor)) >= SLEEPS,
        })
    }

    /// Objects of a type that is known here.
    pub(super) fn typed<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The objects of a type that a selector selects.
    pub(super) async fn list<K>(&self, selector: &str) -> Result<Vec<K>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let (api, params) = (self.typed::<K>(), ListParams::default().labels(selector));
        match api.list(&params).await {
            Ok(list) => Ok(list.items),
            Err(error) => Err(ClusterError::of(
                format!("listing {} in {}", K::plural(&()), self.namespace),
                &error,
            )),
        }
    }

    /// The object of a type and name, if it is there.
    pub(super) async fn get<K>(&self, name: &str) -> Result<Option<K>, ClusterError>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        match self.typed::<K>().get_opt(name).await {
            Ok(object) => Ok(object),
            Err(error) => Err(ClusterError::of(
                format!("looking at {} {name} in {}", K::plural(&()), self.namespace),
                &error,
            )),
        }
    }

    /// Makes an object be as given; returns what became of it.
    pub(super) async fn apply(
        &self,
        object: &Json,
        mode: Mode,
    ) -> Result<DynamicObject, ClusterError> {
        let id = ObjectId::of(object);
        let verb = if mode.dry { "checking" } else { "applying" };
        let doing = format!("{verb} {id}");
        let api = self.of_kind(&id, &doing).await?;
        let params = params(mode);
        match api.patch(&id.name, &params, &Patch::Apply(object)).await {
            Ok(applied) => Ok(applied),
            Err(error) => Err(ClusterError::of(doing, &error)),
        }
    }

    /// Gives a Deployment that is there another number of replicas, whoever else has set one.
    pub(super) async fn scale(&self, id: &ObjectId, replicas: u32) -> Result<(), ClusterError> {
        self.apply_scale(id, json!({ "replicas": replicas })).await
    }

    /// Leaves the number of replicas to whoever else has set it.
    pub(super) async fn let_scale(&self, id: &ObjectId) -> Result<(), ClusterError> {
        self.apply_scale(id, json!({})).await
    }

    async fn apply_scale(&self, id: &ObjectId, spec: Json) -> Result<(), ClusterError> {
        let doing = format!("scaling {id}");
        let api = self.of_kind(id, &doing).await?;
        let object = json!({
            "apiVersion": id.api_version, "kind": id.kind, "metadata": { "name": id.name }, "spec": spec,
        });
        let params = PatchParams::apply(SCALER).force();
        let scaled = api.patch(&id.name, &params, &Patch::Apply(&object)).await;
        scaled
            .map(drop)
            .map_err(|error| ClusterError::of(doing, &error))
    }

    /// An object of any kind, if it is there.
    pub(super) async fn find(&self, id: &ObjectId) -> Result<Option<DynamicObject>, ClusterError> {
        let doing = format!("looking at {id}");
        let api = match self.of_kind(id, &doing).await {
            // Of a kind that is gone there are no objects.
            Err(ClusterError::UnknownKind { .. }) => return Ok(None),
            other => other?,
        };
        let found = api.get_opt(&id.name).await;
        found.map_err(|error| ClusterError::of(doing, &error))
    }

    /// Whether the API server has the kind of an object.
    pub(super) async fn knows(&self, id: &ObjectId) -> Result<bool, ClusterError> {
        match self.of_kind(id, &format!("looking for {id}")).await {
            Ok(_) => Ok(true),
            Err(ClusterError::UnknownKind { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Changes parts of an object by the operations of a JSON patch: all of them, or none.
    pub(super) async fn patch_parts(
        &self,
        id: &ObjectId,
        operations: &[Json],
    ) -> Result<(), ClusterError> {
        let doing = format!("changing {id}");
        let api = self.of_kind(id, &doing).await?;
        let path = format!("{}/{}?fieldManager={SCALER}", api.resource_url(), id.name);
        let request = http::Request::patch(path)
            .header(http::header::CONTENT_TYPE, "application/json-patch+json")
            .body(Json::from(operations).to_string().into_bytes());
        let request = request.map_err(|error| ClusterError::Refused {
            doing: doing.clone(),
            why: error.to_string(),
        })?;
        let patched = self.client.request_text(request).await;
        patched
            .map(drop)
            .map_err(|error| ClusterError::of(doing, &error))
    }

    /// Whether there is the namespace: asks by trying to apply something in it.
    pub(super) async fn has_namespace(&self, probe: &Json) -> Result<bool, ClusterError> {
        let id = ObjectId::of(probe);
        let doing = format!("checking {id}");
        let api = self.of_kind(&id, &doing).await?;
        let params = params(Mode {
            dry: true,
            force: true,
        });
        let tried = api.patch(&id.name, &params, &Patch::Apply(probe)).await;
        // Everything else comes again when it is applied.
        Ok(!tried.is_err_and(|error| is_without_namespace(&error, &self.namespace)))
    }

    /// Makes sure that there is the namespace.
    pub(super) async fn ensure_namespace(&self, probe: &Json) -> Result<(), ClusterError> {
        if self.has_namespace(probe).await? {
            return Ok(());
        }
        let doing = format!("creating the namespace {}", self.namespace);
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let mut namespace = Namespace::default();
        namespace.metadata.name = Some(self.namespace.clone());
        match namespaces.create(&Default::default(), &namespace).await {
            Ok(_) => Ok(()),
            // Somebody else was faster.
            Err(kube::Error::Api(status)) if status.code == 409 => Ok(()),
            Err(error) => Err(ClusterError::of(doing, &error)),
        }
    }

    /// Deletes an object if it has our labels; says whether it did.
    pub(super) async fn delete_ours(
        &self,
        id: &ObjectId,
        is_ours: impl Fn(&DynamicObject) -> bool,
    ) -> Result<bool, ClusterError> {
        let doing = format!("removing {id}");
        let found = self.find(id).await?;
        let Some(found) = found.filter(|object| is_ours(object)) else {
            return Ok(false);
        };
        let api = self.of_kind(id, &doing).await?;
        let params = DeleteParams {
            preconditions: Some(Preconditions {
                uid: found.metadata.uid,
                resource_version: None,
            }),
            ..DeleteParams::background()
        };
        match api.delete(&id.name, &params).await {
            Ok(_) => Ok(true),
            Err(error) if is_absent(&error) => Ok(false),
            Err(error) => Err(ClusterError::of(doing, &error)),
        }
    }

    /// Deletes a pod; its controller makes another.
    pub(super) async fn delete_pod(&self, name: &str) -> Result<(), ClusterError> {
        match self
            .typed::<Pod>()
            .delete(name, &DeleteParams::default())
            .await
        {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(ClusterError::of(format!("removing the pod {name}"), &error)),
        }
    }

    /// The last lines of a container; of its run before this one if `previous`.
    pub(super) async fn last_lines(
        &self,
        pod: &str,
        container: &str,
        previous: bool,
        count: usize,
    ) -> Result<Vec<String>, ClusterError> {
        let params = LogParams {
            container: Some(container.to_owned()),
            previous,
            tail_lines: i64::try_from(count).ok(),
            ..LogParams::default()
        };
        let pods: Api<Pod> = self.typed();
        match pods.logs(pod, &params).await {
            Ok(text) => Ok(text.lines().map(str::to_owned).collect()),
            Err(error) => Err(ClusterError::of(
                format!("reading the output of {pod}"),
                &error,
            )),
        }
    }

    async fn of_kind(
        &self,
        id: &ObjectId,
        doing: &str,
    ) -> Result<Api<DynamicObject>, ClusterError> {
        let (group, version) = match id.api_version.split_once('/') {
            Some((group, version)) => (group, version),
            None => ("", id.api_version.as_str()),
        };
        let kind = GroupVersionKind::gvk(group, version, &id.kind);
        let known = self.kinds.lock().await.get(&kind).cloned();
        let resource = match known {
            Some(resource) => resource,
            None => {
                let resource = self.discover(&kind, id, doing).await?;
                self.kinds.lock().await.insert(kind, resource.clone());
                resource
            }
        };
        Ok(Api::namespaced_with(
            self.client.clone(),
            &self.namespace,
            &resource,
        ))
    }

    async fn discover(
        &self,
        kind: &GroupVersionKind,
        id: &ObjectId,
        doing: &str,
    ) -> Result<ApiResource, ClusterError> {
        let unknown = |help| ClusterError::UnknownKind {
            doing: doing.to_owned(),
            kind: id.kind.clone(),
            api_version: id.api_version.clone(),
            help,
        };
        match pinned_kind(&self.client, kind).await {
            Ok((resource, capabilities)) if capabilities.scope == Scope::Namespaced => Ok(resource),
            Ok(_) => Err(ClusterError::Refused {
                doing: doing.to_owned(),
                why: format!(
                    "a {} belongs to the whole cluster, not to a namespace; Slipway deploys into {} only",
                    id.kind, self.namespace
                ),
            }),
            Err(kube::Error::Discovery(_)) => Err(unknown(
                "install what defines it (its CRD), or use a version that the cluster has",
            )),
            Err(error) if is_absent(&error) => Err(unknown(
                "install what defines it (its CRD), or use a version that the cluster has",
            )),
            Err(error) => Err(ClusterError::of(doing, &error)),
        }
    }
}

fn params(mode: Mode) -> PatchParams {
    PatchParams {
        dry_run: mode.dry,
        force: mode.force,
        ..PatchParams::apply(INSTALLED)
    }
}
