//! What one look at two sets shows.

use std::collections::BTreeSet;

use edge::status::{RouteStatus, Status};
use edge::table::Route;
use engine::ContainerInfo;
use jiff::Timestamp;

use super::super::replicas;
use super::layout::{Member, Side};
use crate::rolling::{Health, Replica};

/// Restarts after which a new replica counts as broken, even if it is ready again.
const RESTARTS: u32 = 2;

/// The keys of both versions, and since when the candidate is brought in.
pub(super) struct Versions<'k> {
    pub(super) stable: &'k str,
    pub(super) candidate: &'k str,
    pub(super) since: Timestamp,
}

/// What one look showed.
#[derive(Default)]
pub(super) struct Seen {
    /// Sorted by name.
    pub(super) containers: Vec<ContainerInfo>,
    /// In the same order.
    pub(super) members: Vec<Member>,
    pub(super) generation: u64,
    /// What the table lists by route, replica and weight.
    table: BTreeSet<(Option<String>, String, u32)>,
    /// What decides before the weights.
    affinities: Vec<RouteStatus>,
    /// A replica of the candidate that is not as it should be, and why.
    pub(super) unwell: Option<(usize, String)>,
    /// How many of them are not, or were not.
    pub(super) unhealthy: u32,
}

impl Seen {
    pub(super) fn of(
        containers: Vec<ContainerInfo>,
        status: &Status,
        versions: &Versions<'_>,
        is_leaving: impl Fn(&str) -> bool,
    ) -> Self {
        let listed = status.backends.iter().filter(|b| !b.draining);
        let mut seen = Self {
            generation: status.generation.unwrap_or(0),
            table: listed
                .map(|b| (b.host.clone(), b.name.clone(), b.weight))
                .collect(),
            affinities: status.routes.clone(),
            ..Self::default()
        };
        let marked = status.routes.iter().flat_map(|route| &route.matches);
        let marked: BTreeSet<&String> = marked.flat_map(|marked| &marked.backends).collect();
        let now = Timestamp::now();
        for (index, container) in containers.iter().enumerate() {
            let known = || status.backends.iter().filter(|b| b.name == container.name);
            let backend = known().find(|b| b.host.is_none());
            let replica = replicas::seen(container, backend, versions.candidate, now);
            let side = match () {
                () if replica.is_wanted => Side::Candidate,
                () if replicas::is_of(container, versions.stable) => Side::Stable,
                () => Side::Stray,
            };
            if side == Side::Candidate && !is_leaving(&container.name) {
                seen.look_after(index, container, &replica, versions.since);
            }
            seen.members.push(Member {
                side,
                is_ready: replica.health == Health::Ready,
                weight: backend.filter(|b| !b.draining).map(|b| b.weight),
                is_marked: marked.contains(&container.name),
                in_flight: known().map(|b| b.in_flight).max().unwrap_or(0),
                is_listed: known().next().is_some(),
                is_leaving: is_leaving(&container.name),
                name: container.name.clone(),
            });
        }
        seen.containers = containers;
        seen
    }

    /// Whether the table in force says just this.
    pub(super) fn says(&self, routes: &[Route]) -> bool {
        let listed = routes.iter().flat_map(|route| {
            let listed = route.backends.iter();
            listed.map(|b| (route.host.clone(), b.name.clone(), b.weight))
        });
        listed.collect::<BTreeSet<_>>() == self.table
            && routes
                .iter()
                .filter_map(RouteStatus::of)
                .eq(self.affinities.iter().cloned())
    }

    /// Notes what is wrong with a replica of the candidate.
    fn look_after(
        &mut self,
        index: usize,
        container: &ContainerInfo,
        replica: &Replica,
        since: Timestamp,
    ) {
        let restarted = container.restarts > 0 && container.started_at.is_some_and(|at| at > since);
        let why = match &replica.health {
            Health::Failed { reason } => Some(reason.clone()),
            // It is not well, even if it is ready in between.
            _ if restarted && container.restarts >= RESTARTS => Some(format!(
                "{} ended {} times since its start",
                container.name, container.restarts
            )),
            _ => None,
        };
        let has_lapsed = replica.is_routed && replica.health != Health::Ready;
        self.unhealthy += u32::from(why.is_some() || restarted || has_lapsed);
        if self.unwell.is_none() {
            self.unwell = why.map(|why| (index, why));
        }
    }
}

pub(super) fn label(container: &ContainerInfo, name: &str) -> String {
    container.labels.get(name).cloned().unwrap_or_default()
}
