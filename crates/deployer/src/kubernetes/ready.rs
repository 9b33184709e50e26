//! Whether a release is ready, as `kubectl rollout status` decides it, and whether it never will be. Pure.
//!
//! The conditions and their order are those of kubectl's `pkg/polymorphichelpers/rollout_status.go`. Beyond them, what
//! a pod of the new version says of itself ends a rollout long before its deadline.

use std::time::Duration;

use jiff::Timestamp;

/// A Deployment, StatefulSet or DaemonSet as one look shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Workload {
    /// Kind and name.
    pub(super) what: String,
    /// The controller has seen the newest description.
    pub(super) observed: bool,
    /// Pods wanted.
    pub(super) wanted: i32,
    /// Pods of the new version, pods in all, and pods that are ready for long enough.
    pub(super) updated: i32,
    pub(super) total: i32,
    pub(super) available: i32,
    /// What the controller says of its progress deadline, if that is over.
    pub(super) overdue: Option<String>,
    /// Why it can't make pods.
    pub(super) can_not_make_pods: Option<String>,
    /// The pods of the new version.
    pub(super) pods: Vec<Pod>,
    /// Broken pods of another version that the controller waits for instead of replacing them.
    pub(super) in_the_way: Vec<String>,
}

/// A pod of the new version.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Pod {
    pub(super) name: String,
    /// Why no node takes it.
    pub(super) unschedulable: Option<String>,
    pub(super) containers: Vec<Container>,
}

/// A container of such a pod.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct Container {
    pub(super) name: String,
    pub(super) ready: bool,
    /// Reason and message for not running.
    pub(super) waiting: Option<(String, String)>,
    /// How it ended last: exit code and reason.
    pub(super) ended: Option<(i32, String)>,
    /// When it ended last.
    pub(super) ended_at: Option<Timestamp>,
    pub(super) restarts: i32,
}

/// What a look says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    /// All is there, and nothing old.
    Ready,
    /// Not yet.
    Waiting {
        /// For what, for people.
        why: String,
        /// Changes whenever something went on.
        progress: Vec<i32>,
    },
    /// It will not be.
    Failed {
        reason: String,
        /// Whose output tells more.
        output: Option<Output>,
    },
}

/// The output of a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Output {
    pub(super) pod: String,
    pub(super) container: String,
    /// Of its run before this one.
    pub(super) previous: bool,
}

/// Something that may go away by itself within a time.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Complaint {
    key: String,
    grace: Duration,
    reason: String,
    output: Option<Output>,
}

/// How long what may be over in a moment may last.
const MOMENT: Duration = Duration::from_secs(10);

/// How long a controller may say of a rollout what was true of the one before.
const STALE: Duration = Duration::from_secs(4);

/// Judges workloads. `lasts` tells since when something of that name is so, `deadline` is the rollout's own.
pub(super) fn judge(
    workloads: &[Workload],
    deadline: Duration,
    mut lasts: impl FnMut(&str) -> Duration,
) -> Verdict {
    let mut waiting: Option<String> = None;
    for workload in workloads {
        let not_yet = match status(workload) {
            Status::Done => continue,
            // What is left of the rollout before is said until its controller sees that something goes on again.
            Status::Failed(reason) if lasts(&format!("{} is overdue", workload.what)) < STALE => {
                reason
            }
            Status::Failed(reason) => {
                let words = unready(workload);
                return Verdict::Failed {
                    reason: match words {
                        Some((words, _)) => format!("{reason}: {words}"),
                        None => reason,
                    },
                    output: unready(workload).map(|(_, output)| output),
                };
            }
            Status::NotYet(why) => why,
        };
        let complaints = complaints(workload, deadline);
        if let Some(fatal) = complaints.iter().find(|c| lasts(&c.key) >= c.grace) {
            return Verdict::Failed {
                reason: fatal.reason.clone(),
                output: fatal.output.clone(),
            };
        }
        let worry = complaints.into_iter().next().map(|c| c.reason);
        let worry = worry.or_else(|| unready(workload).map(|(words, _)| words));
        waiting.get_or_insert(match worry {
            Some(worry) => format!("{}: {not_yet}; {worry}", workload.what),
            None => format!("{}: {not_yet}", workload.what),
        });
    }
    match waiting {
        None => Verdict::Ready,
        Some(why) => Verdict::Waiting {
            why,
            progress: workloads
                .iter()
                .flat_map(|w| {
                    [
                        i32::from(w.observed),
                        w.updated,
                        w.total - w.updated,
                        w.available,
                    ]
                })
                .collect(),
        },
    }
}

/// Whether a pod does not come up: a container of it waits for what does not come, or ended and is not ready.
pub(super) fn is_broken(pod: &Pod) -> bool {
    let mut containers = pod.containers.iter();
    containers.any(|c| of_container(pod, c).is_some() || !c.ready && c.ended.is_some())
}

/// Why a pod that is to run to its end never will, if that is so. The parameters are those of [`judge`].
pub(super) fn never_runs(
    pod: &Pod,
    deadline: Duration,
    mut lasts: impl FnMut(&str) -> Duration,
) -> Option<String> {
    let complaints = of_pod(pod, deadline).into_iter();
    let mut fatal = complaints.filter(|complaint| lasts(&complaint.key) >= complaint.grace);
    fatal.next().map(|complaint| complaint.reason)
}

/// Whose output to show where nothing else is known to be wrong.
pub(super) fn suspect(workloads: &[Workload]) -> Option<Output> {
    workloads.iter().find_map(unready).map(|(_, output)| output)
}

enum Status {
    Done,
    NotYet(String),
    Failed(String),
}

/// kubectl's conditions, in kubectl's order.
fn status(w: &Workload) -> Status {
    if !w.observed {
        return Status::NotYet("its controller has not seen it yet".to_owned());
    }
    if let Some(overdue) = &w.overdue {
        return Status::Failed(format!(
            "{} exceeded its progress deadline ({overdue})",
            w.what
        ));
    }
    if w.updated < w.wanted {
        return Status::NotYet(format!("{} of {} replicas are new", w.updated, w.wanted));
    }
    if w.total > w.updated {
        return Status::NotYet(format!("{} old replicas are left", w.total - w.updated));
    }
    if w.available < w.updated {
        return Status::NotYet(format!(
            "{} of {} replicas are ready",
            w.available, w.updated
        ));
    }
    Status::Done
}

fn complaints(workload: &Workload, deadline: Duration) -> Vec<Complaint> {
    if !workload.observed {
        // What is seen is of the version before.
        return Vec::new();
    }
    let pods = workload.pods.iter();
    let mut found: Vec<Complaint> = pods.flat_map(|pod| of_pod(pod, deadline)).collect();
    if let Some(why) = &workload.can_not_make_pods {
        let advice = if why.contains("exceeded quota") {
            "; ask for less in `deploy`, or raise the namespace's quota"
        } else {
            ""
        };
        found.push(Complaint {
            key: format!("{} makes no pods", workload.what),
            grace: MOMENT,
            reason: format!("{} can't make its pods: {why}{advice}", workload.what),
            output: None,
        });
    }
    // What is fatal at once is told before what may go away.
    found.sort_by_key(|complaint| complaint.grace);
    found
}

fn of_pod(pod: &Pod, deadline: Duration) -> Vec<Complaint> {
    let containers = pod.containers.iter().filter_map(|c| of_container(pod, c));
    let nowhere = pod.unschedulable.as_ref().map(|why| Complaint {
        key: format!("{} unschedulable", pod.name),
        // A cluster that grows needs a while for it.
        grace: deadline / 2,
        reason: format!("no node takes {}: {why}", pod.name),
        output: None,
    });
    containers.chain(nowhere).collect()
}

fn of_container(pod: &Pod, container: &Container) -> Option<Complaint> {
    let (why, message) = container.waiting.as_ref()?;
    let who = format!("{} in {}", container.name, pod.name);
    let message = match message.trim() {
        "" => String::new(),
        message => format!(": {message}"),
    };
    let output = |previous| {
        Some(Output {
            pod: pod.name.clone(),
            container: container.name.clone(),
            previous,
        })
    };
    let (grace, reason, output) = match why.as_str() {
        "CrashLoopBackOff" => (Duration::ZERO, crashed(&who, container), output(true)),
        "ErrImagePull" => (
            MOMENT,
            format!("the image of {who} can't be pulled{message}"),
            None,
        ),
        "ImagePullBackOff"
        | "ErrImageNeverPull"
        | "InvalidImageName"
        | "ImageInspectError"
        | "RegistryUnavailable" => (
            Duration::ZERO,
            format!("the image of {who} can't be pulled ({why}){message}"),
            None,
        ),
        // A ConfigMap or Secret that came a moment before may not be seen yet.
        "CreateContainerConfigError" => (
            MOMENT / 5,
            format!("{who} can't be configured ({why}){message}"),
            None,
        ),
        "CreateContainerError"
        | "RunContainerError"
        | "PreCreateHookError"
        | "PreStartHookError"
        | "PostStartHookError" => (
            MOMENT / 5,
            format!("{who} can't be started ({why}){message}"),
            output(false),
        ),
        _ => return None,
    };
    Some(Complaint {
        key: format!("{} {} {why}", pod.name, container.name),
        grace,
        reason,
        output,
    })
}

fn crashed(who: &str, container: &Container) -> String {
    let times = match container.restarts {
        0 | 1 => "again and again".to_owned(),
        count => format!("{} times", count + 1),
    };
    match &container.ended {
        Some((_, reason)) if reason == "OOMKilled" => {
            format!("{who} used more memory than its limit, {times} (CrashLoopBackOff)")
        }
        Some((code, _)) => format!("{who} ended with exit code {code}, {times} (CrashLoopBackOff)"),
        None => format!("{who} ended {times} (CrashLoopBackOff)"),
    }
}

/// A container that is not ready, in words, and where it says more.
fn unready(workload: &Workload) -> Option<(String, Output)> {
    let containers = workload
        .pods
        .iter()
        .flat_map(|pod| pod.containers.iter().map(move |c| (pod, c)));
    let (pod, container) = containers.clone().find(|(_, c)| !c.ready)?;
    let words = match (&container.waiting, &container.ended) {
        (Some((why, message)), _) => format!("{} in {}: {why} {message}", container.name, pod.name),
        (None, Some((code, _))) => format!(
            "{} in {} ended with exit code {code} and was started again",
            container.name, pod.name
        ),
        (None, None) => format!(
            "{} in {} runs and does not answer its readiness check",
            container.name, pod.name
        ),
    };
    let output = Output {
        pod: pod.name.clone(),
        container: container.name.clone(),
        previous: container.waiting.is_some() && container.ended.is_some(),
    };
    Some((words.trim_end().to_owned(), output))
}

#[cfg(test)]
mod tests;
