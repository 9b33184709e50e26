//! One rollout on a cluster: check, apply, watch, remove what is left of the release before.
//!
//! It keeps nothing but times: another deployer applies the same objects again, which changes nothing, and goes on
//! watching.

use std::collections::HashMap;
use std::time::Duration;

use domain::platform::KubernetesTarget;
use domain::stage::Failure;
use serde_json::Value as Json;
use tokio::time::Instant;

use super::Kubernetes;
use super::api::Cluster;
use super::apply;
use super::error::ClusterError;
use super::look::look;
use super::objects::{ObjectId, Release, is_workload};
use super::ready::{Output, Verdict, judge, suspect};
use super::record::{self, Record};
use super::release::release;
use super::router::Router;
use crate::converge::{Converged, Ended};
use crate::voice::Voice;
use crate::wanted::Wanted;

/// How often to look at the cluster.
const LOOK: Duration = Duration::from_millis(500);
/// How much longer than a controller we wait for it to say that nothing goes on.
const SLACK: Duration = Duration::from_secs(10);

/// The routes of a release that split its traffic, and all else at once.
fn apart<'r>(release: &'r Release, router: Option<&Router>) -> (Vec<&'r Json>, Vec<&'r Json>) {
    let all = release.objects.iter();
    all.partition(|object| router.is_some_and(|router| router.needs(&ObjectId::of(object))))
}

/// A rollout on its way.
pub(crate) struct Rollout<'a> {
    kubernetes: &'a Kubernetes,
    target: &'a KubernetesTarget,
    wanted: &'a Wanted,
    voice: &'a Voice<'a>,
    /// `None` until everything is applied, and after an error.
    applied: Option<Applied>,
    /// Since when something is so.
    since: HashMap<String, Instant>,
    /// What was last seen to go on, and when.
    progress: (Vec<i32>, Instant),
    said: String,
}

struct Applied {
    cluster: Cluster,
    release: Release,
    record: Record,
    workloads: Vec<ObjectId>,
    /// The same release was complete before.
    was_there: bool,
    /// What others changed is overwritten.
    force: bool,
    /// The route that canaries of it are measured out by.
    router: Option<Router>,
}

impl<'a> Rollout<'a> {
    pub(super) fn new(
        kubernetes: &'a Kubernetes,
        target: &'a KubernetesTarget,
        wanted: &'a Wanted,
        voice: &'a Voice<'a>,
    ) -> Self {
        Self {
            kubernetes,
            target,
            wanted,
            voice,
            applied: None,
            since: HashMap::new(),
            progress: (Vec::new(), Instant::now()),
            said: String::new(),
        }
    }

    /// Connects and applies anew at the next step.
    pub(crate) fn begin_anew(&mut self) {
        self.applied = None;
    }

    /// One step; says how it ended, if it did.
    pub(crate) async fn advance(&mut self) -> Result<Option<Converged>, ClusterError> {
        let Some(applied) = &self.applied else {
            self.applied = Some(self.apply().await?);
            self.progress.1 = Instant::now();
            return Ok(None);
        };
        let seen = look(&applied.cluster, &applied.workloads).await?;
        for pod in seen.iter().flat_map(|workload| &workload.in_the_way) {
            self.voice
                .say(&format!("removing {pod}, which is broken and in the way"))
                .await;
            applied.cluster.delete_pod(pod).await?;
        }
        let since = &mut self.since;
        let lasts = |key: &str| {
            since
                .entry(key.to_owned())
                .or_insert_with(Instant::now)
                .elapsed()
        };
        let verdict = judge(&seen, self.wanted.deadline(), lasts);
        match verdict {
            Verdict::Ready => self.complete().await.map(Some),
            Verdict::Failed { reason, output } => Ok(Some(self.failed(reason, output).await)),
            Verdict::Waiting { why, progress } => {
                if progress != self.progress.0 {
                    self.progress = (progress, Instant::now());
                }
                if self.progress.1.elapsed() > self.wanted.deadline() + SLACK {
                    let reason = format!(
                        "{} {} did not become ready within {} s: {why}",
                        self.wanted.service,
                        self.wanted.version,
                        self.wanted.deadline().as_secs()
                    );
                    return Ok(Some(self.failed(reason, suspect(&seen)).await));
                }
                if why != self.said {
                    self.voice.say(&why).await;
                    self.said = why;
                }
                tokio::time::sleep(LOOK).await;
                Ok(None)
            }
        }
    }

    /// Brings the objects in; nothing is changed unless the cluster would take all of them.
    async fn apply(&self) -> Result<Applied, ClusterError> {
        let cluster = self.kubernetes.cluster(&self.wanted.environment).await?;
        let release = release(self.kubernetes, &cluster, self.target, self.wanted).await?;
        let wanted = self.wanted;
        let before = Record::read(&cluster, &wanted.service, &wanted.environment).await?;
        let mut coming = Record::coming(wanted, &release, before.as_ref());
        let router = Router::of(wanted, &cluster.namespace);
        let untouched = before
            .as_ref()
            .is_some_and(|b| b.complete && b.key == release.key);
        let kept = before.filter(|b| b.complete).map(|b| b.kept);
        let kept = kept.unwrap_or_default();
        // Back must be possible whatever somebody did meanwhile.
        let force = wanted.returns || wanted.overwrites || self.target.overwrite_changes;
        if !(wanted.returns && untouched) {
            let probe = record::to_map(&coming, &wanted.service, &wanted.environment);
            cluster.ensure_namespace(&probe).await?;
            // The weights of a route are not the team's alone.
            let (routes, objects) = apart(&release, router.as_ref());
            if !wanted.returns {
                let all = objects.iter().copied().chain(&release.pinned);
                apply::check(&cluster, all, force).await?;
                apply::check(&cluster, routes.iter().copied(), true).await?;
                if let Some(router) = router.as_ref().filter(|_| routes.is_empty()) {
                    router.check(&cluster).await?;
                }
            }
            for old in kept
                .iter()
                .filter(|old| !release.ids().any(|new| new.is_same(old)))
            {
                // The Service of this release would lead to it, too.
                cluster
                    .delete_ours(old, |found| apply::is_ours(found, wanted))
                    .await?;
            }
            coming.write(&cluster, wanted).await?;
            // Routes come when the Services are there that they lead to.
            let held = apply::all(&cluster, objects, force, self.voice).await?;
            coming.held.extend(held);
        }
        let workloads = release.ids().filter(|id| is_workload(&id.kind)).collect();
        Ok(Applied {
            cluster,
            release,
            record: coming,
            workloads,
            was_there: untouched,
            force,
            router,
        })
    }

    /// Lets its Services lead to the release, removes what it does not have any more, and says that it is complete.
    async fn complete(&self) -> Result<Converged, ClusterError> {
        let Some(applied) = &self.applied else {
            return Err(ClusterError::Away {
                doing: "completing the release".to_owned(),
                why: "it is not applied".to_owned(),
            });
        };
        let (cluster, release) = (&applied.cluster, &applied.release);
        let mut record = applied.record.clone();
        let pinned = apply::all(cluster, &release.pinned, applied.force, self.voice).await?;
        record.held.extend(pinned);
        if let Some(router) = &applied.router {
            match router.rest(cluster, release).await {
                Ok(held) => record.held.extend(held),
                // Back must be possible without a route, too.
                Err(error @ ClusterError::Route(_)) if self.wanted.returns => {
                    self.voice.say(&format!("note: {error}")).await;
                }
                Err(error) => return Err(error),
            }
        }
        record
            .let_routes_go(cluster, self.wanted, self.voice)
            .await?;
        record
            .prune(cluster, release, &[], self.wanted, self.voice)
            .await?;
        record.complete(release).write(cluster, self.wanted).await?;
        Ok(Converged::Done {
            address: release.address.clone(),
            was_there: applied.was_there && self.said.is_empty(),
        })
    }

    async fn failed(&self, reason: String, output: Option<Output>) -> Converged {
        let last_lines = match (output, &self.applied) {
            (Some(output), Some(applied)) => apply::last_lines(&applied.cluster, &output).await,
            _ => Vec::new(),
        };
        Converged::Failed {
            failure: Box::new(
                Failure::because(reason).with_last_lines(last_lines.iter().map(String::as_str)),
            ),
            how: Ended::Red,
        }
    }
}
