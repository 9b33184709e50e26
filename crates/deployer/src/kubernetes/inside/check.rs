//! A container that runs to its end in a namespace: a Job, followed through its pod.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use container_stage::outcome::chain;
use domain::spec::ContainerQuery;
use k8s_openapi::api::batch::v1::Job;
use kube::api::{DeleteParams, PostParams};
use kube::{Api, ResourceExt as _};
use serde_json::Value as Json;
use tokio::time::Instant;

use super::job::{self, CONTAINER, Owner};
use super::{Cluster, Inside};
use crate::analysis::container::{self, KEPT_LINES, Ran};
use crate::kubernetes::error::{ClusterError, is_absent};
use crate::kubernetes::look::pods;
use crate::kubernetes::ready::{Pod, never_runs};

/// How often to look at it.
const LOOK: Duration = Duration::from_millis(250);

/// A Job that is removed when nobody wants it any more, also when the work that needs it is dropped half-way.
struct Disposable {
    inside: Inside,
    cluster: Cluster,
    name: Option<String>,
}

impl Disposable {
    async fn dispose(mut self) {
        if let Some(name) = self.name.take() {
            remove(&self.cluster, &name).await;
        }
    }
}

impl Drop for Disposable {
    fn drop(&mut self) {
        let runtime = tokio::runtime::Handle::try_current();
        if let (Some(name), Ok(runtime)) = (self.name.take(), runtime) {
            let cluster = self.cluster.clone();
            let removal = async move { remove(&cluster, &name).await };
            self.inside.tasks.spawn_on(removal, &runtime);
        }
    }
}

async fn remove(cluster: &Cluster, name: &str) {
    if let Err(error) = cluster.delete_job(name).await {
        let error = &error as &dyn std::error::Error;
        tracing::warn!(error, "a check was not removed; the next rollout will");
    }
}

impl Cluster {
    /// Makes a Job; gives its name.
    pub(super) async fn create_job(&self, job: &Json) -> Result<String, ClusterError> {
        let doing = format!("running a check in {}", self.namespace);
        let job: Job = serde_json::from_value(job.clone()).map_err(|error| {
            let error = kube::Error::SerdeError(error);
            ClusterError::of(&doing, &error)
        })?;
        let created = self.typed().create(&PostParams::default(), &job).await;
        created
            .map(|job: Job| job.name_any())
            .map_err(|error| ClusterError::of(doing, &error))
    }

    async fn delete_job(&self, name: &str) -> Result<(), ClusterError> {
        let jobs: Api<Job> = self.typed();
        match jobs.delete(name, &DeleteParams::background()).await {
            Ok(_) => Ok(()),
            Err(error) if is_absent(&error) => Ok(()),
            Err(error) => Err(ClusterError::of(format!("removing the Job {name}"), &error)),
        }
    }
}

impl Inside {
    /// Removes what a deployer that crashed has left of this service's checks.
    pub(crate) async fn clear(&self) -> Result<(), String> {
        let cluster = self.cluster().await?;
        let left = cluster.list::<Job>(&job::left_over(&self.owner())).await;
        for job in left.map_err(|error| chain(&error))? {
            remove(&cluster, &job.name_any()).await;
        }
        Ok(())
    }

    /// Runs a container to its end. Its Job is gone when this returns, or soon after it is dropped.
    pub(crate) async fn run(
        &self,
        query: &ContainerQuery,
        variables: &BTreeMap<String, String>,
    ) -> Result<Ran, String> {
        let limit = container::limit(query);
        let script = engine::shell_script(&query.run, variables).map_err(|error| chain(&error))?;
        let image = job::image(&query.image, &self.platform, &self.target);
        let job = job::job(query, &script, limit, &self.owner(), (&image, &self.target));
        let deadline = Instant::now() + limit;
        let cluster = self.cluster().await?;
        let name = cluster.create_job(&job).await;
        let name = name.map_err(|error| chain(&error))?;
        let running = Disposable {
            inside: self.clone(),
            cluster: cluster.clone(),
            name: Some(name.clone()),
        };
        let ran = follow(&cluster, &name, limit, deadline).await;
        running.dispose().await;
        ran
    }

    pub(super) fn owner(&self) -> Owner<'_> {
        Owner {
            service: &self.service,
            environment: &self.environment,
            attempt: &self.attempt,
        }
    }
}

/// Looks at the pod of a Job until it has ended, or never will.
async fn follow(
    cluster: &Cluster,
    name: &str,
    limit: Duration,
    deadline: Instant,
) -> Result<Ran, String> {
    let selector = format!("job-name={name}");
    let mut since: HashMap<String, Instant> = HashMap::new();
    let mut waits = "the cluster has made no pod for it".to_owned();
    loop {
        let seen = match pods(cluster, &selector).await {
            Ok(seen) => seen.into_iter().next(),
            Err(error) if error.is_passing() => {
                waits = chain(&error);
                None
            }
            Err(error) => return Err(chain(&error)),
        };
        if let Some(pod) = &seen {
            if let Some((code, why)) = ended(pod) {
                let last_lines = last_lines(cluster, pod).await;
                return match why.as_str() {
                    "OOMKilled" => Err("it used more memory than it may and was killed".to_owned()),
                    _ => Ok(Ran {
                        code: i64::from(code),
                        last_lines,
                    }),
                };
            }
            let lasts = |key: &str| {
                let since = since.entry(key.to_owned()).or_insert_with(Instant::now);
                since.elapsed()
            };
            if let Some(why) = never_runs(pod, limit, lasts) {
                return Err(why);
            }
            waits = waiting(pod);
        }
        if Instant::now() >= deadline {
            let seconds = limit.as_secs_f64();
            let printed = match &seen {
                Some(pod) if waits.is_empty() => last_lines(cluster, pod).await,
                _ => String::new(),
            };
            return Err(match (waits.as_str(), printed.as_str()) {
                ("", "") => format!("it took longer than {seconds} s"),
                ("", lines) => format!("it took longer than {seconds} s; it printed last: {lines}"),
                (why, _) => format!("it did not begin within {seconds} s: {why}"),
            });
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// How its container ended: exit code and reason.
fn ended(pod: &Pod) -> Option<(i32, String)> {
    pod.containers.iter().find_map(|one| one.ended.clone())
}

/// Why it does not run yet; empty if it does.
fn waiting(pod: &Pod) -> String {
    if let Some(why) = &pod.unschedulable {
        return format!("no node takes {}: {why}", pod.name);
    }
    match pod.containers.first() {
        None => format!("{} is not on a node yet", pod.name),
        Some(container) => match &container.waiting {
            Some((reason, message)) => format!("{reason} {message}").trim_end().to_owned(),
            None => String::new(),
        },
    }
}

async fn last_lines(cluster: &Cluster, pod: &Pod) -> String {
    let lines = cluster
        .last_lines(&pod.name, CONTAINER, false, KEPT_LINES)
        .await;
    match lines {
        Ok(lines) => {
            let lines: Vec<&str> = lines.iter().map(|line| line.trim_end()).collect();
            lines.join(" / ")
        }
        Err(error) => format!("(its output can't be had: {error})"),
    }
}
