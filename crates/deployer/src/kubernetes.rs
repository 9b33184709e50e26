//! The Kubernetes target: a service is a Deployment, a Service and what goes with them in the environment's namespace,
//! or whatever objects its team brings.
//!
//! They are applied by the server, with a field manager of our own; the cluster's own controllers do the rolling
//! update, and we watch it to its end. A record beside them, a ConfigMap, says which objects the release has.

mod api;
mod connect;
mod drift;
mod error;
mod live;
mod look;
mod objects;
mod ready;
mod record;
mod release;
mod rollout;

use bus::aggregates::Log;
use container_stage::outcome::chain;
use domain::ids::{EnvironmentName, ServiceName};
use domain::platform::{KubernetesTarget, PlatformSpec, Target};
use domain::run::Run;
use domain::spec::{Deploy, Strategy};
use source::Source;

use crate::voice::Voice;
use crate::wanted::Wanted;
use api::Cluster;
pub(crate) use error::ClusterError;
pub(crate) use live::live_state;
use record::Record;
pub(crate) use rollout::Rollout;

/// What the file asks for and this target does not do; for the log of the rollout.
pub(crate) fn not_done_here(deploy: &Deploy) -> Vec<String> {
    let strategy = match &deploy.strategy {
        Strategy::Rolling(_) => None,
        Strategy::BlueGreen(_) => Some("blue_green"),
        Strategy::Canary(_) => Some("canary"),
    };
    let strategy = strategy.map(|name| {
        format!("note: the strategy `{name}` is not done yet; this is a rolling update of the Deployment")
    });
    let pids = deploy.resources.pids.map(|_| {
        "note: `resources.pids` has no effect on a Kubernetes target; its nodes limit processes"
            .to_owned()
    });
    strategy.into_iter().chain(pids).collect()
}

/// The clusters of a platform.
#[derive(Clone)]
pub(crate) struct Kubernetes {
    platform: PlatformSpec,
    source: Source,
    runs: Log<Run>,
}

impl Kubernetes {
    pub(crate) fn new(platform: PlatformSpec, source: Source, runs: Log<Run>) -> Self {
        Self {
            platform,
            source,
            runs,
        }
    }

    /// Begins to bring a version in.
    pub(crate) fn rollout<'a>(
        &'a self,
        target: &'a KubernetesTarget,
        wanted: &'a Wanted,
        voice: &'a Voice<'a>,
    ) -> Rollout<'a> {
        Rollout::new(self, target, wanted, voice)
    }

    /// Removes everything of a service from an environment.
    pub(crate) async fn remove(&self, wanted: &Wanted) -> Result<(), ClusterError> {
        let cluster = self.cluster(&wanted.environment).await?;
        let record = Record::read(&cluster, &wanted.service, &wanted.environment).await?;
        let Some(record) = record else {
            return Ok(());
        };
        // In the other order than they came, and the record last: it is how they are found.
        let objects = record.objects.iter().rev();
        for id in objects.chain([&record::id(&wanted.service)]) {
            cluster
                .delete_ours(id, |found| rollout::is_ours(found, wanted))
                .await?;
        }
        Ok(())
    }

    /// Every service that is deployed to a cluster that answers.
    pub(crate) async fn deployed(&self) -> Vec<(EnvironmentName, ServiceName)> {
        let mut deployed = Vec::new();
        for environment in self.environments() {
            let records = async {
                let cluster = self.cluster(environment).await?;
                record::all(&cluster, environment).await
            };
            match records.await {
                Ok(records) => {
                    let services = records.into_keys();
                    deployed.extend(services.map(|service| (environment.clone(), service)));
                }
                Err(error) => tracing::debug!("no look at {environment}: {}", chain(&error)),
            }
        }
        deployed
    }

    fn environments(&self) -> impl Iterator<Item = &EnvironmentName> {
        let all = self.platform.environments.iter();
        all.filter(|(_, environment)| matches!(environment.target, Target::Kubernetes(_)))
            .map(|(name, _)| name)
    }

    async fn cluster(&self, environment: &EnvironmentName) -> Result<Cluster, ClusterError> {
        let known = self.platform.environments.get(environment);
        let Some(Target::Kubernetes(target)) = known.map(|known| &known.target) else {
            return Err(ClusterError::Unusable {
                environment: environment.to_string(),
                why: "platform.yaml does not put it on Kubernetes".to_owned(),
            });
        };
        let client = connect::connect(environment, target).await?;
        Ok(Cluster::new(client, target.namespace(environment)))
    }
}
