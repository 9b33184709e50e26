//! What only a namespace knows and does for an analysis: its Services, by the API server's proxy; its secrets; and
//! containers that run to their end, as Jobs.

mod check;
mod job;
mod services;

use container_stage::outcome::chain;
use domain::ids::{EnvironmentName, ServiceName};
use domain::platform::{KubernetesTarget, PlatformSpec};
use domain::spec::SecretReference;
use engine::Secret;
use k8s_openapi::api::core::v1::Secret as SecretObject;
use reqwest::Url;
use tokio_util::task::TaskTracker;

use super::api::Cluster;
use super::connect::connect;
use crate::analysis::exchange::{Answer, Question};
use crate::wanted::Wanted;

/// The inside of an environment's namespace, for the analysis of one rollout.
#[derive(Clone)]
pub(crate) struct Inside {
    platform: PlatformSpec,
    target: KubernetesTarget,
    environment: EnvironmentName,
    service: ServiceName,
    /// Where the service answers, as neighbours call it.
    address: String,
    /// A router decides which version is asked, and not the Service.
    is_routed: bool,
    /// What tells this attempt at the rollout from every other.
    attempt: String,
    /// Removes what is not wanted any more.
    tasks: TaskTracker,
}

/// The API server's proxy to a Service.
pub(crate) struct Proxy {
    cluster: Cluster,
    service: services::Address,
}

impl Proxy {
    /// The answer of the Service.
    pub(crate) async fn get(&self, question: &Question) -> Result<Answer, String> {
        let asked = self.cluster.ask(&self.service, question);
        match tokio::time::timeout(question.limit, asked).await {
            Ok(answer) => answer,
            Err(_) => Err(question.unanswered()),
        }
    }
}

impl Inside {
    /// `before` is the version that the service has now; `attempt` tells this attempt at the rollout from every other.
    pub(crate) fn new(
        platform: &PlatformSpec,
        target: &KubernetesTarget,
        before: &Wanted,
        attempt: &str,
    ) -> Self {
        Self {
            platform: platform.clone(),
            target: target.clone(),
            environment: before.environment.clone(),
            service: before.service.clone(),
            address: before.address.clone().unwrap_or_default(),
            is_routed: false,
            attempt: job::short(attempt),
            tasks: TaskTracker::new(),
        }
    }

    /// The same, where a router decides which version is asked.
    pub(crate) fn routed(self, is_routed: bool) -> Self {
        Self { is_routed, ..self }
    }

    /// Whether a router decides which version is asked, and not the Service.
    pub(crate) fn is_routed(&self) -> bool {
        self.is_routed
    }

    /// Where the service answers, as neighbours call it: `http://shop.production.svc:8080`.
    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Whether an address is that of a Service of the namespace, which is asked through the API server's proxy; with
    /// credentials, only what we can't reach ourselves.
    pub(crate) async fn has(&self, question: &Question) -> bool {
        let is_service = self.service_at(&question.url).is_some();
        is_service && !(question.pass.is_authorized() && question.is_known_here().await)
    }

    /// The answer of a Service of the namespace.
    pub(crate) async fn get(&self, question: &Question) -> Result<Answer, String> {
        if question.pass.is_authorized() {
            return Err(format!(
                "{} is not known here, and the API server, which is asked instead, would take the token or login of `auth` \
                 for one of its own; put it into another header, or name an address that is known outside of the cluster",
                question.host()
            ));
        }
        self.proxy(question).await?.get(question).await
    }

    /// The way to the Service that a question is for.
    pub(crate) async fn proxy(&self, question: &Question) -> Result<Proxy, String> {
        let service = self.service_at(&question.url);
        let service = service.ok_or_else(|| {
            let namespace = self.namespace();
            format!("{} is no Service of {namespace}", question.host())
        })?;
        let cluster = self.cluster().await?;
        Ok(Proxy { cluster, service })
    }

    /// The secret behind a reference to one of the namespace's.
    pub(crate) async fn secret(&self, reference: &SecretReference) -> Result<Secret, String> {
        let SecretReference::Kubernetes {
            namespace,
            name,
            key,
        } = reference
        else {
            return Err(format!("{reference} is no secret of a cluster"));
        };
        let cluster = self.cluster().await?;
        if *namespace != cluster.namespace {
            return Err(format!(
                "{reference} is in another namespace; the analysis of {} reads those of {} only",
                self.service, cluster.namespace
            ));
        }
        let found = cluster.get::<SecretObject>(name).await;
        let found = found.map_err(|error| chain(&error))?;
        let value = found.and_then(|secret| secret.data?.remove(key));
        let value = value.ok_or_else(|| format!("{reference} is not there"))?.0;
        let end = value
            .iter()
            .rposition(|byte| !matches!(byte, b'\n' | b'\r'));
        Ok(Secret::new(&value[..end.map_or(0, |end| end + 1)]))
    }

    fn service_at(&self, url: &Url) -> Option<services::Address> {
        services::Address::of(url, &self.namespace())
    }

    fn namespace(&self) -> String {
        self.target.namespace(&self.environment)
    }

    /// A connection of its own each time: credentials may be new ones.
    async fn cluster(&self) -> Result<Cluster, String> {
        let client = connect(&self.environment, &self.target).await;
        let client = client.map_err(|error| chain(&error))?;
        Ok(Cluster::new(client, self.namespace()))
    }
}

#[cfg(test)]
mod tests;
