//! Where numbers come from.

use std::collections::BTreeMap;

use domain::analysis::measurement::Measurement;
use domain::analysis::subject::Subject;
use domain::analysis::verdict::Verdict;
use domain::platform::PlatformSpec;
use domain::spec::{Metric, Provider};
use engine::Engine;
use engine::labels::Labels;
use jiff::Timestamp;

use super::container::{self, Job};
use super::exchange::Http;
use super::{http, prometheus};

/// What measurements are made with.
pub(crate) struct Sources {
    engine: Option<Engine>,
    platform: PlatformSpec,
    network: Option<String>,
    labels: Labels,
    http: Http,
}

impl Sources {
    /// Containers run on `engine`, if there is one, in `network`, the environment's if it has one there, and carry `labels`, by which they
    /// are removed if this process ends before them.
    pub(crate) fn new(
        engine: impl Into<Option<Engine>>,
        platform: PlatformSpec,
        network: Option<String>,
        labels: Labels,
    ) -> Self {
        Self {
            engine: engine.into(),
            platform,
            network,
            labels,
            http: Http::new(),
        }
    }

    /// Measures once. Takes no longer than the metric allows.
    pub(super) async fn measure(
        &self,
        metric: &Metric,
        subject: &Subject,
        unhealthy: u32,
    ) -> Measurement {
        let judge =
            |query: String, answer| Measurement::of(metric, query, answer, Timestamp::now());
        match &metric.provider {
            Provider::Prometheus(query) => {
                let promql = subject.fill_in(&query.query);
                let answer = prometheus::ask(&self.http, &query.address, &promql).await;
                judge(promql, answer)
            }
            Provider::Http(query) => {
                let url = subject.fill_in(&query.url);
                let answer = http::ask(&self.http, query, &url).await;
                judge(http::without_password(&url), answer)
            }
            Provider::Container(query) => {
                let variables: BTreeMap<String, String> = subject
                    .variables()
                    .map(|(name, value)| (name, value.to_owned()))
                    .collect();
                let job = Job {
                    query,
                    variables,
                    network: self.network.as_deref(),
                    labels: &self.labels,
                };
                let ran = match &self.engine {
                    Some(engine) => container::run(engine, &self.platform, job).await,
                    None => Err("this deployer has no container engine to run it on".to_owned()),
                };
                let (answer, last_lines) = match ran {
                    Ok(ran) => (Ok(vec![ran.code as f64]), ran.last_lines),
                    Err(why) => (Err(why), String::new()),
                };
                let mut measurement = judge(container::words(query), answer);
                if measurement.verdict != Verdict::Pass && measurement.message.is_empty() {
                    measurement.message = last_lines;
                }
                measurement
            }
            Provider::Pods => {
                let query = format!("replicas of {} that are not healthy", subject.version);
                judge(query, Ok(vec![f64::from(unhealthy)]))
            }
        }
    }
}
