//! The states by their keys, and the order that lists have.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::release::{Event, Releases};
use domain::run::{Change, Kind, Run, RunState};
use jiff::Timestamp;

use crate::Error;
use crate::rollouts::History;

/// Which runs to list.
#[derive(Debug, Clone, Default)]
pub struct RunFilter {
    /// Of this service only.
    pub service: Option<ServiceName>,
    /// In this state only.
    pub state: Option<RunState>,
}

/// Which part of a list.
#[derive(Debug, Clone)]
pub struct Page {
    /// How many at most.
    pub size: usize,
    /// After the item with this token.
    pub token: Option<String>,
}

#[derive(Default)]
pub(super) struct Index {
    runs: HashMap<RunId, Arc<Run>>,
    by_order: BTreeMap<u64, RunId>,
    active: HashSet<RunId>,
    /// When runs that have not appeared yet reserved their version.
    expected: HashMap<RunId, Timestamp>,
    pub(super) releases: BTreeMap<ServiceName, Arc<Releases>>,
    pub(super) rollouts: BTreeMap<(EnvironmentName, ServiceName), Arc<History>>,
}

impl Index {
    pub(super) fn run(&self, id: &RunId) -> Option<Arc<Run>> {
        self.runs.get(id).cloned()
    }

    pub(super) fn take_run(&mut self, id: &RunId) -> Option<Arc<Run>> {
        self.runs.remove(id)
    }

    pub(super) fn put_run(&mut self, run: Arc<Run>) {
        if run.state().is_ended() {
            self.active.remove(&run.id);
        } else {
            self.active.insert(run.id.clone());
        }
        self.expected.remove(&run.id);
        self.by_order.insert(run.order, run.id.clone());
        self.runs.insert(run.id.clone(), run);
    }

    pub(super) fn expect_run(&mut self, event: &Event) {
        if let Event::Reserved { run, at, .. } = event
            && !self.runs.contains_key(run)
        {
            self.expected.insert(run.clone(), *at);
        }
    }

    pub(super) fn expected_since(&self, run: &RunId) -> Option<Timestamp> {
        self.expected.get(run).copied()
    }

    pub(super) fn newest_run_of(&self, change: &Change, not: &RunId) -> Option<Arc<Run>> {
        let is_same = |run: &Arc<Run>| {
            let other = &run.change;
            other.commit == change.commit
                && other.service == change.service
                && other.repository == change.repository
                && other.kind == Kind::Change
                && run.refused.is_none()
                && run.id != *not
        };
        let newest_first = self.by_order.values().rev();
        newest_first.filter_map(|id| self.run(id)).find(is_same)
    }

    pub(super) fn active_runs(&self) -> Vec<Arc<Run>> {
        self.active.iter().filter_map(|id| self.run(id)).collect()
    }

    pub(super) fn runs(
        &self,
        filter: &RunFilter,
        page: &Page,
    ) -> Result<(Vec<Arc<Run>>, Option<String>), Error> {
        let before = match &page.token {
            None => u64::MAX,
            Some(token) => {
                let id: Option<RunId> = token.parse().ok();
                let last = id.and_then(|id| self.run(&id));
                last.ok_or_else(|| {
                    Error::field("page_token", "it is not one that an earlier answer gave")
                })?
                .order
            }
        };
        let wanted = |run: &Arc<Run>| {
            filter
                .service
                .as_ref()
                .is_none_or(|service| run.change.service == *service)
                && filter.state.is_none_or(|state| run.state() == state)
        };
        let newest_first = self
            .by_order
            .range(..before)
            .rev()
            .filter_map(|(_, id)| self.run(id))
            .filter(wanted);
        let mut runs: Vec<Arc<Run>> = newest_first.take(page.size + 1).collect();
        let more = runs.len() > page.size;
        runs.truncate(page.size);
        let token = runs.last().filter(|_| more).map(|run| run.id.to_string());
        Ok((runs, token))
    }
}
