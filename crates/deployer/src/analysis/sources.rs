//! Where numbers come from.

use std::collections::BTreeMap;

use domain::analysis::measurement::Measurement;
use domain::analysis::subject::Subject;
use domain::analysis::verdict::Verdict;
use domain::platform::PlatformSpec;
use domain::spec::{Access, ContainerQuery, Metric, Provider, SecretReference};
use engine::labels::Labels;
use engine::{Engine, Secret};
use jiff::Timestamp;

use super::access::{Own, Pass, ReadSecret};
use super::container::{self, Job, Ran};
use super::load::Volley;
use super::reach::{Inside, Reach};
use super::{http, prometheus};
use crate::{docker, kubernetes};

/// What measurements are made with.
pub(crate) struct Sources {
    /// Absent: there are none.
    containers: Option<Containers>,
    reach: Reach,
}

/// Where containers run.
enum Containers {
    /// On this machine's container engine.
    Engine {
        engine: Engine,
        platform: Box<PlatformSpec>,
        network: String,
        /// By which they are removed if this process ends before them.
        labels: Labels,
    },
    /// In a namespace of a cluster.
    Namespace(Box<kubernetes::inside::Inside>),
}

impl Sources {
    /// Everything is asked from here, and there are no containers.
    #[cfg(test)]
    pub(crate) fn nowhere() -> Self {
        Self {
            containers: None,
            reach: Reach::new(None),
        }
    }

    /// Containers run in `network`, the environment's, and carry `labels`, by which they are removed if this process
    /// ends before them. What only that network knows is asked inside of it.
    pub(crate) fn in_network(
        inside: docker::inside::Inside,
        engine: Engine,
        platform: PlatformSpec,
        network: String,
        labels: Labels,
    ) -> Self {
        let containers = Containers::Engine {
            engine,
            platform: Box::new(platform),
            network,
            labels,
        };
        Self {
            containers: Some(containers),
            reach: Reach::new(Some(Inside::Network(inside))),
        }
    }

    /// Containers are Jobs of the namespace, and its Services are asked by the API server's proxy.
    pub(crate) fn in_namespace(inside: kubernetes::inside::Inside) -> Self {
        Self {
            containers: Some(Containers::Namespace(Box::new(inside.clone()))),
            reach: Reach::new(Some(Inside::Namespace(Box::new(inside)))),
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
                let (answer, pass) = match self.pass(query.auth.as_ref()).await {
                    Ok(pass) => {
                        let asked = pass.clone();
                        let (reach, address) = (&self.reach, &query.address);
                        (prometheus::ask(reach, address, &promql, asked).await, pass)
                    }
                    Err(why) => (Err(why), Pass::default()),
                };
                judge(promql, answer.map_err(|why| pass.hide(&why)))
            }
            Provider::Http(query) => {
                let url = subject.fill_in(&query.url);
                let (answer, pass) = match self.pass(query.auth.as_ref()).await {
                    Ok(pass) => {
                        let asked = pass.clone();
                        (http::ask(&self.reach, query, &url, asked).await, pass)
                    }
                    Err(why) => (Err(why), Pass::default()),
                };
                let answer = answer.map_err(|why| pass.hide(&why));
                judge(http::without_password(&url), answer)
            }
            Provider::Container(query) => {
                let (answer, last_lines) = match self.run(query, subject).await {
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

    /// Whether the service's address leads to one of the versions only, until the new one has all the traffic.
    pub(super) fn are_apart(&self) -> bool {
        matches!(&self.containers, Some(Containers::Namespace(inside)) if inside.is_routed())
    }

    /// Sends requests of our own.
    pub(super) async fn send(&self, volley: &Volley, subject: &Subject) -> Result<(), String> {
        self.reach.send(volley, subject).await
    }

    async fn pass(&self, access: Option<&Access>) -> Result<Pass, String> {
        Pass::of(access, self)
            .await
            .map_err(|why| format!("a secret for it can't be had: {why}"))
    }

    async fn run(&self, query: &ContainerQuery, subject: &Subject) -> Result<Ran, String> {
        let variables: BTreeMap<String, String> = subject
            .variables()
            .map(|(name, value)| (name, value.to_owned()))
            .collect();
        match &self.containers {
            Some(Containers::Engine {
                engine,
                platform,
                network,
                labels,
            }) => {
                let job = Job {
                    query,
                    variables,
                    network: Some(network),
                    labels,
                };
                container::run(engine, platform, job).await
            }
            Some(Containers::Namespace(inside)) => inside.run(query, &variables).await,
            None => Err("there is nothing here to run it on".to_owned()),
        }
    }
}

impl ReadSecret for Sources {
    async fn read(&self, reference: &SecretReference) -> Result<Secret, String> {
        match (&self.containers, reference) {
            (Some(Containers::Namespace(inside)), SecretReference::Kubernetes { .. }) => {
                inside.secret(reference).await
            }
            _ => Own.read(reference).await,
        }
    }
}
