//! The Kubernetes target: a service is a Deployment, a Service and what goes with them in the environment's namespace,
//! or whatever objects its team brings.
//!
//! They are applied by the server, with a field manager of our own; the cluster's own controllers do the rolling
//! update, and we watch it to its end. A record beside them, a ConfigMap, says which objects the release has.

mod api;
mod apply;
mod connect;
mod drift;
mod error;
pub(crate) mod inside;
mod live;
mod look;
mod objects;
mod preview;
mod ready;
mod record;
mod release;
mod rollout;
mod router;
pub(crate) mod sets;

use bus::aggregates::Log;
use container_stage::outcome::chain;
use domain::ids::{EnvironmentName, ServiceName};
use domain::platform::{KubernetesTarget, PlatformSpec, Target};
use domain::rollout::Rollouts;
use domain::run::Run;
use domain::spec::{Deploy, Strategy};
use source::Source;
use worker::Work;

use crate::voice::Voice;
use crate::wanted::Wanted;
use api::Cluster;
pub(crate) use error::ClusterError;
use inside::Inside;
pub(crate) use live::live_state;
use objects::{PREVIEW, router};
pub(crate) use preview::{Way, preview};
use record::Record;
pub(crate) use rollout::Rollout;

/// What the file asks for and this target does not do; for the log of the rollout.
pub(crate) fn not_done_here(deploy: &Deploy) -> Vec<String> {
    let pids = deploy.resources.pids.map(|_| {
        "note: `resources.pids` has no effect on a Kubernetes target; its nodes limit processes"
            .to_owned()
    });
    let canary = match &deploy.strategy {
        Strategy::Canary(canary) => Some(canary),
        Strategy::Rolling(_) | Strategy::BlueGreen(_) => None,
    };
    let sticky = canary.and_then(|canary| canary.sticky.as_ref()).map(|_| {
        "note: `sticky` has no effect on a Kubernetes target; neither replicas nor routers keep a client with a version"
            .to_owned()
    });
    let unrouted = canary.filter(|canary| canary.router.is_none());
    let testers = unrouted.and_then(|canary| canary.testers.as_ref()).map(|_| {
        "note: `testers` has no effect on a Kubernetes target without `router`; the preview address reaches the new \
         version"
            .to_owned()
    });
    pids.into_iter().chain(sticky).chain(testers).collect()
}

/// Where the version that comes after `before` is looked at before it has traffic: `NAME-preview.NAMESPACE.svc:PORT`.
pub(crate) fn preview_address(before: &Wanted) -> String {
    let address = before.address.as_deref().unwrap_or_default();
    let address = address.strip_prefix("http://").unwrap_or(address);
    match address.split_once('.') {
        Some((name, rest)) => format!("{name}{PREVIEW}.{rest}"),
        None => String::new(),
    }
}

/// A service on a cluster.
pub(crate) struct Deployed {
    pub(crate) key: (EnvironmentName, ServiceName),
    /// The version before is there, too, without traffic.
    pub(crate) keeps_old: bool,
}

/// Whether a route measures out the share of a version that is brought in.
pub(crate) fn is_routed(wanted: &Wanted) -> bool {
    router(wanted).is_some()
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

    /// What the namespace of an environment knows and does for the analysis of a rollout. `before` is the version that the
    /// service has now.
    pub(crate) fn inside(&self, target: &KubernetesTarget, before: &Wanted, work: &Work) -> Inside {
        let attempt = format!("{} {} {}", work.worker, work.run.id, work.attempt);
        Inside::new(&self.platform, target, before, &attempt)
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
                .delete_ours(id, |found| apply::is_ours(found, wanted))
                .await?;
        }
        Ok(())
    }

    /// Removes what was kept of the version before, unless something else begins after `rollouts` were read.
    pub(crate) async fn remove_kept(
        &self,
        current: &Wanted,
        log: &Log<Rollouts>,
        rollouts: &Rollouts,
    ) -> Result<(), ClusterError> {
        let cluster = self.cluster(&current.environment).await?;
        let record = Record::read(&cluster, &current.service, &current.environment).await?;
        let Some(record) = record.filter(|record| record.complete) else {
            return Ok(());
        };
        let key = (current.environment.clone(), current.service.clone());
        for old in record.kept.iter().rev() {
            if !is_still(log, &key, rollouts).await {
                return Ok(());
            }
            cluster
                .delete_ours(old, |found| apply::is_ours(found, current))
                .await?;
        }
        if !is_still(log, &key, rollouts).await {
            return Ok(());
        }
        record.without_kept().write(&cluster, current).await
    }

    /// Every service that is deployed to a cluster that answers.
    pub(crate) async fn deployed(&self) -> Vec<Deployed> {
        let mut deployed = Vec::new();
        for environment in self.environments() {
            let records = async {
                let cluster = self.cluster(environment).await?;
                record::all(&cluster, environment).await
            };
            match records.await {
                Ok(records) => {
                    deployed.extend(records.into_iter().map(|(service, record)| Deployed {
                        key: (environment.clone(), service),
                        keeps_old: record.complete && !record.kept.is_empty(),
                    }));
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

/// Whether nothing has happened since `rollouts` were read.
async fn is_still(
    log: &Log<Rollouts>,
    key: &(EnvironmentName, ServiceName),
    rollouts: &Rollouts,
) -> bool {
    let now = log.get(key).await.ok().flatten();
    now.is_some_and(|now| now.last_sequence == rollouts.last_sequence)
}
