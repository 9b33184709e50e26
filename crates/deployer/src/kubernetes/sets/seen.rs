//! What one look at two sets shows.

use std::collections::BTreeSet;
use std::time::Duration;

use domain::rollout::{self, Set};
use domain::spec::Percent;
use jiff::Timestamp;

use super::super::error::ClusterError;
use super::super::look::deployment;
use super::super::objects::{ObjectId, Release};
use super::super::ready::{Container, Output, Pod, Verdict, Workload, is_broken, judge, suspect};
use super::Open;
use super::routed::Routed;
use crate::steps::Way;

/// Restarts after which a new replica counts as broken, even if it is ready again.
const RESTARTS: i32 = 2;

/// What one look showed.
#[derive(Default)]
pub(super) struct Seen {
    pub(super) stable: Option<Workload>,
    pub(super) candidate: Option<Workload>,
    /// The candidate's share, where Services decide it; else the numbers of replicas do.
    switched: Option<Percent>,
    /// Since when what goes wrong with the candidate's pods counts.
    since: Timestamp,
    /// What the route that splits the traffic does, if one does.
    pub(super) routed: Option<Routed>,
}

/// What is to be said of the candidate's pods.
pub(super) struct Judged {
    pub(super) failed: Option<String>,
    pub(super) waiting_for: Option<String>,
    pub(super) output: Option<Output>,
}

impl Seen {
    pub(super) async fn of(
        open: &Open,
        is_all_at_once: bool,
        since: Timestamp,
    ) -> Result<Self, ClusterError> {
        let stable = workload(open, Some(&open.stable)).await?;
        let candidate = workload(open, open.candidate.as_ref()).await?;
        let mut switched = None;
        if is_all_at_once {
            let services = open.switched();
            let mut with_candidate = 0;
            for name in &services {
                let set = open.set_of(name).await?;
                with_candidate += usize::from(open.is_with_candidate(set.as_deref()));
            }
            switched = Some(match with_candidate {
                0 => Percent::ZERO,
                all if all == services.len() => Percent::ALL,
                _ => Percent::of(50),
            });
        }
        Ok(Self {
            stable,
            candidate,
            switched,
            since,
            routed: routed(open).await?,
        })
    }

    pub(super) fn stable_set(&self) -> Set {
        set(self.stable.as_ref())
    }

    pub(super) fn candidate_set(&self) -> Set {
        set(self.candidate.as_ref())
    }

    /// The candidate's share of the traffic.
    pub(super) fn weight(&self) -> Percent {
        let by_replicas = || rollout::share(self.candidate_set(), self.stable_set());
        let routed = self.routed.map(Routed::share);
        self.switched.or(routed).unwrap_or_else(by_replicas)
    }

    /// Judges the candidate's pods.
    pub(super) fn judge(&self, deadline: Duration, lasts: impl FnMut(&str) -> Duration) -> Judged {
        let workloads: Vec<Workload> = self.candidate.iter().cloned().collect();
        let (failed, waiting_for, output) = match judge(&workloads, deadline, lasts) {
            Verdict::Ready => (None, None, None),
            Verdict::Waiting { why, .. } => (None, Some(why), suspect(&workloads)),
            Verdict::Failed { reason, output } => (Some(reason), None, output),
        };
        match self.restless().filter(|_| failed.is_none()) {
            Some((pod, container)) => Judged {
                failed: Some(format!(
                    "{} in {} ended {} times since its start",
                    container.name, pod.name, container.restarts
                )),
                waiting_for,
                output: Some(Output {
                    pod: pod.name.clone(),
                    container: container.name.clone(),
                    previous: true,
                }),
            },
            None => Judged {
                failed,
                waiting_for,
                output,
            },
        }
    }

    /// A container of the candidate that ended more than once: it is not well, even if it is ready in between.
    fn restless(&self) -> Option<(&Pod, &Container)> {
        self.pods().find_map(|pod| {
            let mut containers = pod.containers.iter();
            let restless = |c: &&Container| c.restarts >= RESTARTS && self.counts(c);
            Some((pod, containers.find(restless)?))
        })
    }

    /// Whether a container ended since that counts.
    fn counts(&self, container: &Container) -> bool {
        container.ended_at.is_some_and(|at| at >= self.since)
    }

    /// Pods of the candidate with a container that ended before that counted.
    pub(super) fn ended(&self) -> impl Iterator<Item = &str> {
        let has_ended = |pod: &&Pod| {
            let mut containers = pod.containers.iter();
            is_broken(pod) || containers.any(|c| c.restarts > 0 && !self.counts(c))
        };
        self.pods().filter(has_ended).map(|pod| pod.name.as_str())
    }

    /// Pods of the candidate that were started again, or that were ready and are not any more.
    pub(super) fn unhealthy(&self, ready_once: &mut BTreeSet<String>) -> u32 {
        let mut count = 0;
        for pod in self.pods() {
            let is_ready = pod.containers.iter().all(|c| c.ready) && !pod.containers.is_empty();
            let has_lapsed = !is_ready && ready_once.contains(&pod.name);
            count += u32::from(has_lapsed || pod.containers.iter().any(|c| self.counts(c)));
            if is_ready {
                ready_once.insert(pod.name.clone());
            }
        }
        count
    }

    fn pods(&self) -> impl Iterator<Item = &Pod> {
        self.candidate.iter().flat_map(|workload| &workload.pods)
    }
}

async fn workload(
    open: &Open,
    release: Option<&Release>,
) -> Result<Option<Workload>, ClusterError> {
    match release.and_then(Release::deployment).map(ObjectId::of) {
        Some(id) => deployment(&open.cluster, &id).await,
        None => Ok(None),
    }
}

/// What the route does. On the way back a route that is gone keeps nobody from going on.
async fn routed(open: &Open) -> Result<Option<Routed>, ClusterError> {
    let Some(router) = &open.router else {
        return Ok(None);
    };
    match open.routed(router).await {
        Err(ClusterError::Route(error)) if open.way == Way::Back => {
            tracing::warn!("going back without a route: {error}");
            Ok(Some(Routed::NOTHING))
        }
        routed => routed.map(Some),
    }
}

/// The pods of a Deployment: as many as there are to be, and those of them that are ready for long enough.
fn set(workload: Option<&Workload>) -> Set {
    let Some(workload) = workload else {
        return Set::default();
    };
    let count = |number: i32| u32::try_from(number).unwrap_or(0);
    Set {
        total: count(workload.wanted),
        ready: count(workload.available.min(workload.wanted)),
        is_idle: false,
    }
}
