//! Measurements that are under way.

use std::collections::HashMap;
use std::sync::Arc;

use domain::analysis::measurement::Measurement;
use domain::analysis::subject::Subject;
use domain::spec::Metric;
use jiff::Timestamp;
use tokio::task::{Id, JoinSet};

use super::sources::Sources;

/// Measurements that are under way, at most one of each metric. They end when this is dropped.
pub(super) struct Probes {
    sources: Arc<Sources>,
    subject: Arc<Subject>,
    tasks: JoinSet<Measurement>,
    metrics: HashMap<Id, Metric>,
}

impl Probes {
    pub(super) fn new(sources: Arc<Sources>, subject: Arc<Subject>) -> Self {
        Self {
            sources,
            subject,
            tasks: JoinSet::new(),
            metrics: HashMap::new(),
        }
    }

    /// Begins to measure, unless that is under way.
    pub(super) fn begin(&mut self, metric: &Metric, unhealthy: u32) {
        if self.metrics.values().any(|other| other.name == metric.name) {
            return;
        }
        let (sources, subject) = (self.sources.clone(), self.subject.clone());
        let of = metric.clone();
        let measured = async move { sources.measure(&of, &subject, unhealthy).await };
        let id = self.tasks.spawn(measured).id();
        self.metrics.insert(id, metric.clone());
    }

    /// What was measured since the last time.
    pub(super) fn finished(&mut self) -> Vec<(Metric, Measurement)> {
        let mut finished = Vec::new();
        while let Some(ended) = self.tasks.try_join_next_with_id() {
            let (id, measured) = match ended {
                Ok((id, measurement)) => (id, Ok(measurement)),
                Err(error) => (error.id(), Err(format!("measuring broke off: {error}"))),
            };
            let Some(metric) = self.metrics.remove(&id) else {
                continue;
            };
            let measurement = measured
                .unwrap_or_else(|why| Measurement::of(&metric, "", Err(why), Timestamp::now()));
            finished.push((metric, measurement));
        }
        finished
    }
}
