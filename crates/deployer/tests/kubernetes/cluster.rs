//! What the tests themselves ask of the cluster, as an administrator would.

use anyhow::{Context as _, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::GroupVersionKind;
use kube::discovery::pinned_kind;
use kube::{Api, Client, Config, Resource, ResourceExt as _};
use serde::de::DeserializeOwned;
use serde_json::{Value as Json, json};

pub(crate) struct Cluster {
    pub(crate) client: Client,
    pub(crate) config: Kubeconfig,
    pub(crate) namespace: String,
}

impl Cluster {
    pub(crate) async fn connect(namespace: &str) -> Result<Self> {
        let path = testkit::kubernetes::kubeconfig().context("no cluster")?;
        let kubeconfig = Kubeconfig::read_from(path)?;
        let options = KubeConfigOptions::default();
        let config = Config::from_custom_kubeconfig(kubeconfig.clone(), &options).await?;
        Ok(Self {
            client: Client::try_from(config)?,
            config: kubeconfig,
            namespace: namespace.to_owned(),
        })
    }

    /// `host:port` of the API server.
    pub(crate) fn server(&self) -> Result<String> {
        let cluster = self.config.clusters[0].cluster.as_ref();
        let server = cluster.and_then(|cluster| cluster.server.as_deref());
        let server = server.context("no server")?;
        Ok(server.trim_start_matches("https://").to_owned())
    }

    /// Objects of a type in the namespace.
    pub(crate) fn of<K>(&self) -> Api<K>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The names of the objects of a type, without those that the cluster itself makes.
    pub(crate) async fn names<K>(&self) -> Result<Vec<String>>
    where
        K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
            + Clone
            + DeserializeOwned
            + std::fmt::Debug,
    {
        let ours = ListParams::default().labels("app.kubernetes.io/managed-by=slipway");
        let list = self.of::<K>().list(&ours).await?;
        Ok(list.items.iter().map(|object| object.name_any()).collect())
    }

    pub(crate) async fn create_namespace(&self) -> Result<()> {
        let namespace = json!({ "metadata": { "name": self.namespace } });
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let namespace = serde_json::from_value(namespace)?;
        namespaces
            .create(&PostParams::default(), &namespace)
            .await?;
        Ok(())
    }

    /// Applies an object to the namespace under another name than Slipway's.
    pub(crate) async fn apply(&self, object: &Json) -> Result<()> {
        let object: DynamicObject = serde_json::from_value(object.clone())?;
        let types = object.types.as_ref().context("no kind")?;
        let (kind, _) = pinned_kind(&self.client, &GroupVersionKind::try_from(types)?).await?;
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.client.clone(), &self.namespace, &kind);
        let params = PatchParams::apply("somebody").force();
        api.patch(&object.name_any(), &params, &Patch::Apply(&object))
            .await?;
        Ok(())
    }

    /// Brings in the definition of a kind, and waits until the cluster knows it. One that is there stays as it is.
    pub(crate) async fn define(&self, definition: &Json) -> Result<()> {
        let all: Api<CustomResourceDefinition> = Api::all(self.client.clone());
        let definition: CustomResourceDefinition = serde_json::from_value(definition.clone())?;
        let name = definition.name_any();
        if all.get_opt(&name).await?.is_none() {
            match all.create(&PostParams::default(), &definition).await {
                Ok(_) => {}
                // Another test was faster.
                Err(kube::Error::Api(status)) if status.code == 409 => {}
                Err(error) => return Err(error.into()),
            }
        }
        crate::bench::eventually("the cluster knows a kind", async || {
            let conditions = all
                .get(&name)
                .await?
                .status
                .and_then(|status| status.conditions);
            let mut conditions = conditions.into_iter().flatten();
            Ok(conditions
                .any(|one| one.type_ == "Established" && one.status == "True")
                .then_some(()))
        })
        .await
    }

    /// The address of a Service that this machine can reach.
    pub(crate) async fn address(&self, service: &str) -> Result<String> {
        let spec = self.of::<Service>().get(service).await?.spec;
        let spec = spec.context("a Service without a spec")?;
        let ip = spec.cluster_ip.context("no cluster IP")?;
        let port = spec.ports.context("no ports")?[0].port;
        Ok(format!("http://{ip}:{port}/"))
    }

    pub(crate) async fn deployment(&self, name: &str) -> Result<Deployment> {
        Ok(self.of().get(name).await?)
    }

    /// The versions of the pods that are not being removed.
    pub(crate) async fn versions(&self) -> Result<Vec<String>> {
        let pods = self.of::<Pod>().list(&ListParams::default()).await?;
        let mut versions: Vec<String> = pods
            .iter()
            .filter(|pod| pod.metadata.deletion_timestamp.is_none())
            .filter_map(|pod| pod.annotations().get("slipway.version").cloned())
            .collect();
        versions.sort();
        Ok(versions)
    }

    /// The names of the pods of a version that are not being removed.
    pub(crate) async fn pod_names(&self, version: &str) -> Result<Vec<String>> {
        let pods = self.of::<Pod>().list(&ListParams::default()).await?;
        let of_version = pods.iter().filter(|pod| {
            pod.metadata.deletion_timestamp.is_none()
                && pod.annotations().get("slipway.version").map(String::as_str) == Some(version)
        });
        let mut names: Vec<String> = of_version.map(|pod| pod.name_any()).collect();
        names.sort();
        Ok(names)
    }

    /// The Deployment of a version.
    pub(crate) async fn deployment_of(&self, version: &str) -> Result<String> {
        let all = self.of::<Deployment>().list(&ListParams::default()).await?;
        let mut all = all.iter();
        let found = all
            .find(|d| d.annotations().get("slipway.version").map(String::as_str) == Some(version));
        Ok(found.context("no such Deployment")?.name_any())
    }

    /// The names of the ConfigMaps that hold variables.
    pub(crate) async fn settings(&self) -> Result<Vec<String>> {
        let mut names = self.names::<ConfigMap>().await?;
        names.retain(|name| !name.ends_with("-slipway"));
        Ok(names)
    }

    pub(crate) async fn remove_namespace(&self) -> Result<()> {
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        match namespaces
            .delete(&self.namespace, &DeleteParams::default())
            .await
        {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 404 => {}
            Err(error) => return Err(error.into()),
        }
        crate::bench::eventually("the namespace is gone", async || {
            Ok(namespaces
                .get_opt(&self.namespace)
                .await?
                .is_none()
                .then_some(()))
        })
        .await
    }
}
