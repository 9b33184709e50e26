//! Every subject, stream and consumer that Slipway uses; no other file names one.
//!
//! | stream | subjects | kept |
//! |---|---|---|
//! | `slipway-events` | `slipway.run.<run>`, `slipway.release.<service>`, `slipway.rollout.<environment>.<service>` | file |
//! | `slipway-jobs` | `slipway.job.<build\|test\|promote\|deploy>[.<pool>]` | memory, work queue |
//! | `slipway-dead` | `slipway.dead.…`, and the server's advisories about jobs that were delivered too often | file |
//! | `slipway-logs` | `slipway.log.<run>.<stage>` | file, by age and size |
//! | `slipway-inbox` | `slipway.commit.<repository>` | file, short |
//! | `slipway-feed` | `slipway.cdevents.>` | file, short |
//! | none | `slipway.worker.<worker>` | questions and answers only |
//!
//! Ids and names are escaped into one token each, so text from outside can add neither dots nor wildcards.

use std::fmt;

pub use self::token::SubjectError;
pub(crate) use self::token::escape;
use self::token::{token, unescape};

mod token;

pub(crate) const EVENTS: &str = "slipway-events";
pub(crate) const JOBS: &str = "slipway-jobs";
pub(crate) const DEAD: &str = "slipway-dead";
pub(crate) const LOGS: &str = "slipway-logs";
pub(crate) const INBOX: &str = "slipway-inbox";
pub(crate) const FEED: &str = "slipway-feed";

pub(crate) const EVENT_SUBJECTS: [&str; 3] =
    ["slipway.run.*", "slipway.release.*", "slipway.rollout.*.*"];
pub(crate) const JOB_SUBJECTS: [&str; 2] = ["slipway.job.*", "slipway.job.*.*"];
pub(crate) const LOG_SUBJECTS: [&str; 1] = ["slipway.log.*.*"];
pub(crate) const INBOX_SUBJECTS: [&str; 1] = ["slipway.commit.*"];
pub(crate) const FEED_SUBJECTS: [&str; 1] = ["slipway.cdevents.>"];
pub(crate) const DEAD_JOBS: &str = "slipway.dead.job.*";
pub(crate) const DEAD_COMMITS: &str = "slipway.dead.commit";
/// What the server publishes when a job was delivered as often as its consumer allows.
pub(crate) const JOBS_EXHAUSTED: &str = "$JS.EVENT.ADVISORY.CONSUMER.MAX_DELIVERIES.slipway-jobs.*";
/// Everything that [`DEAD`] collects.
pub(crate) const DEAD_SUBJECTS: [&str; 3] = [DEAD_JOBS, DEAD_COMMITS, JOBS_EXHAUSTED];

/// The consumer that the replicas of the gateway share.
pub(crate) const INBOX_CONSUMER: &str = "gateway";
/// The consumer that all who turn dead letters into failed stages share.
pub(crate) const DEAD_JOBS_CONSUMER: &str = "failed-jobs";

/// A list of events: one run, one service's releases, or one service's rollouts in one environment.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum EventSubject {
    /// The events of the run with this id.
    Run(String),
    /// The releases of this service.
    Release(String),
    /// The rollouts of a service in an environment.
    Rollout {
        /// The environment's name.
        environment: String,
        /// The service's name.
        service: String,
    },
}

impl EventSubject {
    /// The subject on the bus.
    ///
    /// # Errors
    /// When an id is empty or too long.
    pub fn to_subject(&self) -> Result<String, SubjectError> {
        Ok(match self {
            Self::Run(run) => format!("slipway.run.{}", token("run", run)?),
            Self::Release(service) => format!("slipway.release.{}", token("service", service)?),
            Self::Rollout {
                environment,
                service,
            } => {
                format!(
                    "slipway.rollout.{}.{}",
                    token("environment", environment)?,
                    token("service", service)?
                )
            }
        })
    }

    /// The list that `subject` names; `None` for a subject that [`EventSubject::to_subject`] cannot have made.
    pub fn parse(subject: &str) -> Option<Self> {
        let mut tokens = subject.strip_prefix("slipway.")?.split('.');
        let mut next = || tokens.next().filter(|token| !token.is_empty());
        let parsed = match next()? {
            "run" => Self::Run(unescape(next()?)?),
            "release" => Self::Release(unescape(next()?)?),
            "rollout" => Self::Rollout {
                environment: unescape(next()?)?,
                service: unescape(next()?)?,
            },
            _ => return None,
        };
        tokens.next().is_none().then_some(parsed)
    }
}

impl fmt::Display for EventSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Run(run) => write!(f, "run {run}"),
            Self::Release(service) => write!(f, "releases of {service}"),
            Self::Rollout {
                environment,
                service,
            } => write!(f, "rollouts of {service} in {environment}"),
        }
    }
}

/// Which events to follow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum EventFilter {
    /// Every event there is.
    All,
    /// The events of all runs.
    Runs,
    /// The releases of all services.
    Releases,
    /// All rollouts, in all environments.
    Rollouts,
    /// The events of one list.
    One(EventSubject),
}

impl EventFilter {
    /// The pattern for a consumer; empty means everything in the stream.
    pub(crate) fn pattern(&self) -> Result<String, SubjectError> {
        Ok(match self {
            Self::All => String::new(),
            Self::Runs => EVENT_SUBJECTS[0].to_owned(),
            Self::Releases => EVENT_SUBJECTS[1].to_owned(),
            Self::Rollouts => EVENT_SUBJECTS[2].to_owned(),
            Self::One(subject) => subject.to_subject()?,
        })
    }
}

/// What kind of work a job is; each has its own queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum JobKind {
    /// For a builder.
    Build,
    /// For a test-runner.
    Test,
    /// For a registry-promoter.
    Promote,
    /// For a deployer.
    Deploy,
}

impl JobKind {
    /// Every kind.
    pub const ALL: [Self; 4] = [Self::Build, Self::Test, Self::Promote, Self::Deploy];

    /// The kind's name, as in the subject.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Build => "build",
            Self::Test => "test",
            Self::Promote => "promote",
            Self::Deploy => "deploy",
        }
    }

    /// The kind with this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }

    pub(crate) fn dead_letter_subject(self) -> String {
        format!("slipway.dead.job.{}", self.name())
    }
}

impl fmt::Display for JobKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where jobs of `kind` for `pool` (or for any worker) are put and taken.
pub(crate) fn job(kind: JobKind, pool: Option<&str>) -> Result<String, SubjectError> {
    Ok(match pool {
        None => format!("slipway.job.{kind}"),
        Some(pool) => format!("slipway.job.{kind}.{}", token("pool", pool)?),
    })
}

/// The kind and pool of a job's subject.
pub(crate) fn parse_job(subject: &str) -> Option<(JobKind, Option<String>)> {
    let mut tokens = subject.strip_prefix("slipway.job.")?.split('.');
    let kind = JobKind::from_name(tokens.next()?)?;
    let pool = tokens.next().map(unescape);
    match (pool, tokens.next()) {
        (None, None) => Some((kind, None)),
        (Some(Some(pool)), None) => Some((kind, Some(pool))),
        _ => None,
    }
}

/// The consumer of a job queue. `born` tells one life of the stream, which is lost with the server's memory, from the
/// next: without it, an acknowledgement that was under way during a restart could settle another job.
pub(crate) fn job_consumer(
    kind: JobKind,
    pool: Option<&str>,
    born: i128,
) -> Result<String, SubjectError> {
    Ok(match pool {
        None => format!("{kind}-{born}"),
        Some(pool) => format!("{kind}-{born}-{}", token("pool", pool)?),
    })
}

/// The logs of one stage.
pub(crate) fn log(run: &str, stage: &str) -> Result<String, SubjectError> {
    Ok(format!(
        "slipway.log.{}.{}",
        token("run", run)?,
        token("stage", stage)?
    ))
}

/// The logs of all stages of a run.
pub(crate) fn logs(run: &str) -> Result<String, SubjectError> {
    Ok(format!("slipway.log.{}.*", token("run", run)?))
}

/// The stage whose logs are on `subject`.
pub(crate) fn parse_log_stage(subject: &str) -> Option<String> {
    unescape(subject.strip_prefix("slipway.log.")?.split('.').nth(1)?)
}

/// Where commits of `repository` arrive.
pub(crate) fn commit(repository: &str) -> Result<String, SubjectError> {
    Ok(format!(
        "slipway.commit.{}",
        token("repository", repository)?
    ))
}

/// The repository of a commit's subject, as its publisher wrote it.
pub(crate) fn parse_commit(subject: &str) -> Option<String> {
    let repository = subject.strip_prefix("slipway.commit.")?;
    Some(unescape(repository).unwrap_or_else(|| repository.to_owned()))
}

/// Where the public feed carries events of `event_type`, a dotted CDEvents type such as
/// `dev.cdevents.service.deployed.0.2.0`.
pub(crate) fn cdevent(event_type: &str) -> Result<String, SubjectError> {
    let tokens: Vec<String> = event_type
        .split('.')
        .map(|part| token("event type", part))
        .collect::<Result<_, _>>()?;
    Ok(format!("slipway.cdevents.{}", tokens.join(".")))
}

/// Where `worker` answers what it holds.
pub(crate) fn worker(worker: &str) -> Result<String, SubjectError> {
    Ok(format!("slipway.worker.{}", token("worker", worker)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn event_subjects_come_back_from_the_bus() {
        for subject in [
            EventSubject::Run("0198-a".into()),
            EventSubject::Release("delivery".into()),
            EventSubject::Rollout {
                environment: "production".into(),
                service: "a.b.>".into(),
            },
        ] {
            assert_eq!(
                EventSubject::parse(&subject.to_subject().unwrap()),
                Some(subject)
            );
        }
    }

    #[test]
    fn a_service_cannot_reach_another_subject() {
        let hostile = EventSubject::Rollout {
            environment: "test.x".into(),
            service: "*".into(),
        };
        assert_eq!(
            hostile.to_subject().unwrap(),
            "slipway.rollout.test%2Ex.%2A"
        );
    }

    #[test]
    fn foreign_subjects_are_not_event_subjects() {
        for subject in [
            "slipway.run",
            "slipway.run.",
            "slipway.run.a.b",
            "slipway.job.build",
            "x.run.a",
            "slipway.run.%",
        ] {
            assert_eq!(EventSubject::parse(subject), None, "{subject}");
        }
    }

    #[test]
    fn job_subjects_tell_kind_and_pool() {
        let subject = job(JobKind::Build, Some("gpu.large")).unwrap();
        assert_eq!(
            parse_job(&subject),
            Some((JobKind::Build, Some("gpu.large".into())))
        );
        assert_eq!(
            parse_job("slipway.job.deploy"),
            Some((JobKind::Deploy, None))
        );
        assert_eq!(parse_job("slipway.job.dance"), None);
    }
}
