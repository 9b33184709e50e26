//! Two versions of a service side by side on a cluster: a Deployment of each, and the traffic either by the numbers of
//! their replicas, behind one Service, or all at once, by the Service's selector.
//!
//! What is remembered between two looks is only about time, and what was said; all else is seen anew. While a rollout
//! is under way the numbers of replicas belong to a field manager of their own: whoever scales by hand meanwhile is
//! overruled, and nothing else of an object is touched.

mod open;
mod routed;
mod seen;

use std::collections::{BTreeSet, HashMap};
use std::time::Duration;

use domain::platform::KubernetesTarget;
use domain::rollout::{Decision, Next, Observed, Sizes, Terms};
use domain::spec::{Percent, Strategy};
use jiff::Timestamp;
use tokio::time::Instant;

use super::Kubernetes;
use super::apply;
use super::error::ClusterError;
use super::objects::{ObjectId, Release, pin};
use super::ready::Output;
use crate::converge::BLIND_TO_CLUSTER;
use crate::error::TargetError;
use crate::steps::since::{Both, Since};
use crate::steps::{Look, SideBySide, Way};
use crate::voice::Voice;
use crate::wanted::Wanted;
use open::Open;
pub(super) use open::can_be_beside;
use routed::{Goal, Move, Settling, Steady};
use seen::{Judged, Seen};

/// When a rollout began.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Begun {
    /// The last time.
    pub(crate) at: Timestamp,
    /// Not for the first time: a person let it begin again.
    pub(crate) is_again: bool,
}

/// A version that is brought in beside another.
pub(crate) struct Sets<'a> {
    kubernetes: &'a Kubernetes,
    target: &'a KubernetesTarget,
    stable: &'a Wanted,
    candidate: &'a Wanted,
    /// Since when what goes wrong with the candidate counts.
    begun: Begun,
    /// The old set stays after the end.
    keeps_old: bool,
    voice: &'a Voice<'a>,
    /// `None` before the first look, and after an error.
    open: Option<Open>,
    seen: Seen,
    since: Since,
    /// Since when something is so.
    lasts: HashMap<String, Instant>,
    /// Pods of the candidate that were ready once.
    ready_once: BTreeSet<String>,
    /// Whose output tells why it does not get ready.
    output: Option<Output>,
    /// The share of the traffic that was said last.
    said: Percent,
    is_settled: bool,
    /// Pods that ended are to be replaced.
    begins_again: bool,
    settling: Settling,
    steady: Steady,
}

impl<'a> Sets<'a> {
    pub(crate) fn new(
        kubernetes: &'a Kubernetes,
        target: &'a KubernetesTarget,
        stable: &'a Wanted,
        candidate: &'a Wanted,
        begun: Begun,
        keeps_old: bool,
        voice: &'a Voice<'a>,
    ) -> Self {
        Self {
            kubernetes,
            target,
            stable,
            candidate,
            begun,
            keeps_old,
            voice,
            open: None,
            seen: Seen::default(),
            since: Since::default(),
            lasts: HashMap::new(),
            ready_once: BTreeSet::new(),
            output: None,
            said: Percent::ZERO,
            is_settled: false,
            begins_again: begun.is_again,
            settling: Settling::default(),
            steady: Steady::default(),
        }
    }

    /// The traffic goes to one of them, and never to both.
    fn is_all_at_once(&self) -> bool {
        matches!(self.candidate.deploy.strategy, Strategy::BlueGreen(_))
    }

    fn opened(&self) -> Result<&Open, ClusterError> {
        self.open.as_ref().ok_or_else(|| ClusterError::Away {
            doing: "changing the release".to_owned(),
            why: "it was not looked at".to_owned(),
        })
    }

    async fn see(&mut self, way: Way) -> Result<Look, ClusterError> {
        if self.open.as_ref().is_none_or(|open| open.way != way) {
            self.open = None;
            self.is_settled = false;
            let open = Open::begin(
                self.kubernetes,
                self.target,
                Both {
                    stable: self.stable,
                    candidate: self.candidate,
                },
                way,
                self.voice,
            );
            self.open = Some(open.await?);
            self.since.prepared();
        }
        let open = self.opened()?;
        let mut seen = Seen::of(open, self.is_all_at_once(), self.begun.at).await?;
        if self.begins_again {
            for pod in seen.ended() {
                self.voice.say(&format!("replacing {pod}")).await;
                open.cluster.delete_pod(pod).await?;
            }
            seen = Seen::of(open, self.is_all_at_once(), self.begun.at).await?;
        }
        let address = match (&open.candidate, way) {
            (Some(candidate), Way::Forth) => candidate.address.clone(),
            _ => open.stable.address.clone(),
        };
        self.seen = seen;
        self.begins_again = false;
        let (stable, candidate) = (self.seen.stable_set(), self.seen.candidate_set());
        let weight = self.seen.weight();
        if let Some(routed) = self.seen.routed {
            self.steady = self.settling.saw(routed);
        }
        self.since.saw(
            way,
            Both {
                stable: stable.ready,
                candidate: candidate.ready,
            },
            Both {
                stable: weight == Percent::ALL,
                candidate: weight == Percent::ZERO,
            },
        );
        let lasts = &mut self.lasts;
        let Judged {
            failed,
            waiting_for,
            output,
        } = self.seen.judge(self.candidate.deadline(), |key| {
            lasts
                .entry(key.to_owned())
                .or_insert_with(Instant::now)
                .elapsed()
        });
        self.output = output;
        let unrouted = self.since.unrouted_for();
        let is_over = |time: Option<_>, drain| time.is_some_and(|time| time > drain);
        Ok(Look {
            observed: Observed {
                stable: stable.idle_if(is_over(unrouted.stable, self.stable.drain())),
                candidate: candidate.idle_if(is_over(unrouted.candidate, self.candidate.drain())),
                failed,
                weight,
                advanced_at: self.since.advanced_at(),
            },
            waiting_for,
            traffic: None,
            unhealthy: self.seen.unhealthy(&mut self.ready_once),
            address,
        })
    }

    async fn bring(&mut self, decision: &Decision) -> Result<(), ClusterError> {
        self.pin().await?;
        self.resize(decision.sizes).await?;
        self.show(decision).await?;
        self.route(decision.weight).await?;
        self.shift(decision).await?;
        self.test().await?;
        match decision.next {
            Next::Complete => self.complete().await,
            Next::RolledBack { .. } => self.rolled_back(decision.sizes).await,
            _ => Ok(()),
        }
    }

    /// Lets the Services that decide about the traffic lead to the stable set, once a pod of it is ready: until then
    /// something else serves.
    async fn pin(&mut self) -> Result<(), ClusterError> {
        let is_ready = self.seen.stable_set().ready > 0;
        if let Some(open) = &mut self.open
            && open.way == Way::Forth
            && !open.is_pinned
            && is_ready
        {
            open.pin_to_stable().await?;
            open.is_pinned = true;
        }
        Ok(())
    }

    /// Makes the Deployments, or gives them other numbers of replicas.
    async fn resize(&self, sizes: Sizes) -> Result<(), ClusterError> {
        let open = self.opened()?;
        let sides = [
            (Some(&open.stable), &self.seen.stable, sizes.stable),
            (
                open.candidate.as_ref(),
                &self.seen.candidate,
                sizes.candidate,
            ),
        ];
        for (release, seen, size) in sides {
            let Some(deployment) = release.and_then(|release| release.deployment()) else {
                continue;
            };
            let id = ObjectId::of(deployment);
            match seen {
                None if size == 0 => {}
                None => {
                    let line = format!("starting {id} with {}", replicas(size));
                    self.voice.say(&line).await;
                    let mut deployment = deployment.clone();
                    deployment["spec"]["replicas"] = size.into();
                    apply::quietly(&open.cluster, &deployment).await?;
                }
                Some(seen) if seen.wanted == i32::try_from(size).unwrap_or(i32::MAX) => {}
                Some(_) => {
                    let line = format!("scaling {id} to {}", replicas(size));
                    self.voice.say(&line).await;
                    open.cluster.scale(&id, size).await?;
                }
            }
        }
        Ok(())
    }

    /// Lets the candidate be looked at, as long as it has not all the traffic anyway.
    async fn show(&mut self, decision: &Decision) -> Result<(), ClusterError> {
        let is_canary = !self.is_all_at_once() && decision.weight < Percent::ALL;
        let open = self.opened()?;
        let is_due = open.way == Way::Forth && !open.is_shown && (decision.preview || is_canary);
        let preview = open.candidate.as_ref().and_then(|c| c.preview.as_ref());
        let Some(preview) = preview.filter(|_| is_due && decision.sizes.candidate > 0) else {
            return Ok(());
        };
        apply::quietly(&open.cluster, preview).await?;
        self.voice
            .say(&format!(
                "{} can be looked at: http://{}.{}.svc:{}",
                self.candidate.version,
                ObjectId::of(preview).name,
                open.cluster.namespace,
                preview["spec"]["ports"][0]["port"]
            ))
            .await;
        if let Some(open) = &mut self.open {
            open.is_shown = true;
        }
        Ok(())
    }

    /// Points the Services to the one set or to the other. Elsewhere the numbers of replicas are all there is to do.
    async fn route(&mut self, weight: Percent) -> Result<(), ClusterError> {
        let open = self.opened()?;
        let seen = self.seen.weight();
        if self.is_all_at_once() && seen != weight {
            let to_candidate = weight == Percent::ALL;
            for name in open.switched() {
                let service = match (&open.candidate, to_candidate) {
                    (Some(candidate), true) => candidate.service(&name),
                    _ => open.stable.service(&name),
                };
                let set = match (&open.candidate, to_candidate) {
                    (Some(candidate), true) => &candidate.set,
                    _ => &open.stable.set,
                };
                if let Some(service) = service {
                    apply::quietly(&open.cluster, &pin(service.clone(), set)).await?;
                }
            }
        }
        if self.said != seen {
            self.said = seen;
            let (new, old) = (&self.candidate.version, &self.stable.version);
            self.voice
                .say(&format!(
                    "{seen} of the traffic goes to {new}, the rest to {old}"
                ))
                .await;
        }
        Ok(())
    }

    /// Moves the weights of the route, or what one of its backends leads to, by one step.
    async fn shift(&self, decision: &Decision) -> Result<(), ClusterError> {
        let open = self.opened()?;
        let (Some(router), Some(seen)) = (&open.router, self.seen.routed) else {
            return Ok(());
        };
        let goal = Goal {
            share: decision.weight,
            comes: open.way == Way::Forth && self.seen.candidate_set().ready > 0,
            replaces: open.way == Way::Forth && decision.sizes.stable == 0,
        };
        match routed::next(seen, goal, self.steady) {
            None => Ok(()),
            Some(Move::Weigh(share)) => router.set(&open.cluster, share).await,
            Some(Move::LeadCanary) => open.lead(router, router.canary(), true).await,
            Some(Move::LeadStable { to_candidate }) => {
                open.lead(router, router.stable(), to_candidate).await
            }
        }
    }

    /// Lets testers reach the candidate while a replica of it is ready, and everybody knows where the canary's backend
    /// leads.
    async fn test(&mut self) -> Result<(), ClusterError> {
        let open = self.opened()?;
        let (Some(router), Some(seen)) = (&open.router, self.seen.routed) else {
            return Ok(());
        };
        let is_ready = self.seen.candidate_set().ready > 0;
        let is_due = open.way == Way::Forth && is_ready && seen.canary && self.steady.backends;
        if !router.has_testers() || open.is_tested == Some(is_due) {
            return Ok(());
        }
        let tested = if is_due {
            router.let_test(&open.cluster, self.candidate).await
        } else {
            router.end_tests(&open.cluster, self.candidate).await
        };
        match tested {
            // On the way back a route that is gone keeps nobody from going on.
            Err(ClusterError::Route(_)) if open.way == Way::Back => {}
            other => other?,
        }
        if is_due {
            let to = &self.candidate.version;
            self.voice.say(&format!("testers reach {to}")).await;
        }
        if let Some(open) = &mut self.open {
            open.is_tested = Some(is_due);
        }
        Ok(())
    }

    /// The candidate is what runs here now.
    async fn complete(&mut self) -> Result<(), ClusterError> {
        let open = self.opened()?;
        if self
            .seen
            .routed
            .is_some_and(|routed| !routed.rests_with_candidate())
        {
            return Ok(());
        }
        if let Some(router) = &open.router {
            router.end_tests(&open.cluster, self.candidate).await?;
        }
        let Some(candidate) = &open.candidate else {
            return Ok(());
        };
        let is_new = |id: &ObjectId| candidate.ids().any(|new| new.is_same(id));
        let kept: Vec<ObjectId> = open
            .stable
            .ids()
            .filter(|id| self.keeps_old && !is_new(id))
            .collect();
        open.end(candidate, &kept, self.candidate, self.voice)
            .await?;
        self.is_settled = true;
        Ok(())
    }

    /// The version before is, again. What could not be taken out in time stays where it is.
    async fn rolled_back(&mut self, sizes: Sizes) -> Result<(), ClusterError> {
        let open = self.opened()?;
        if sizes.candidate == 0 {
            open.end(&open.stable, &[], self.stable, self.voice).await?;
        }
        self.is_settled = true;
        Ok(())
    }
}

impl SideBySide for Sets<'_> {
    async fn look(&mut self, way: Way) -> Result<Look, TargetError> {
        Ok(self.see(way).await?)
    }

    async fn bring_about(&mut self, decision: &Decision) -> Result<(), TargetError> {
        Ok(self.bring(decision).await?)
    }

    /// The team's own manifests say how many replicas they want.
    fn terms(&self, terms: Terms) -> Terms {
        let wanted = |release: &Release| {
            let replicas = release.deployment()?["spec"]["replicas"].as_u64();
            Some(replicas.map_or(1, |count| u32::try_from(count).unwrap_or(u32::MAX)))
        };
        let Some(open) = &self.open else {
            return terms;
        };
        Terms {
            replicas: open
                .candidate
                .as_ref()
                .and_then(wanted)
                .unwrap_or(terms.replicas)
                .max(1),
            stable_replicas: wanted(&open.stable).unwrap_or(terms.stable_replicas).max(1),
            ..terms
        }
    }

    fn patience(&self) -> Duration {
        BLIND_TO_CLUSTER
    }

    fn is_settled(&self) -> bool {
        self.is_settled
    }

    fn begin_again(&mut self, at: Timestamp) {
        self.begun.at = at;
        self.begins_again = true;
        self.lasts.clear();
        self.ready_once.clear();
    }

    fn forget(&mut self) {
        self.open = None;
    }

    async fn last_lines(&self) -> Vec<String> {
        match (&self.open, &self.output) {
            (Some(open), Some(output)) => apply::last_lines(&open.cluster, output).await,
            _ => Vec::new(),
        }
    }
}

fn replicas(count: u32) -> String {
    match count {
        1 => "1 replica".to_owned(),
        count => format!("{count} replicas"),
    }
}
