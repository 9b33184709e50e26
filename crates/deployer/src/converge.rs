//! From what runs to what is wanted: look, decide, act, until the wanted version is there or can't be.

use std::collections::HashMap;
use std::time::Duration;

use container_stage::outcome;
use domain::stage::{Failure, Outcome};
use tokio::time::Instant;
use worker::Stop;

use crate::docker::{Docker, Seen, Target};
use crate::error::TargetError;
use crate::events::UnderControl;
use crate::kubernetes;
use crate::rolling::{Health, Scale, Step, next};
use crate::take_back::Abandoned;
use crate::target::{Place, Targets};
use crate::voice::Voice;
use crate::wanted::Wanted;

/// How often to look at the target while it gets ready.
pub(crate) const LOOK: Duration = Duration::from_millis(200);
/// How long to wait after a look or a step that did not succeed.
pub(crate) const AFTER_ERROR: Duration = Duration::from_secs(1);
/// How long the engine, the edge or the registry may be away before the attempt is given up. Another follows.
pub(crate) const BLIND: Duration = Duration::from_secs(60);
/// How long a cluster may be: its API server may be moved to another machine meanwhile.
pub(crate) const BLIND_TO_CLUSTER: Duration = Duration::from_secs(150);

/// How a rollout, or going back, ended.
pub(crate) enum Converged {
    /// The wanted version has all the traffic, and nothing else is there.
    Done {
        /// Where it answers.
        address: String,
        /// It was so from the beginning.
        was_there: bool,
    },
    /// It can't be, or should not be any more.
    Failed {
        /// Why.
        failure: Box<Failure>,
        /// Whose fault it is.
        how: Ended,
    },
    /// We were told to leave it as it is.
    Interrupted,
}

/// Whose fault the end of a rollout is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Ended {
    /// The team's.
    Red,
    /// Ours or the infrastructure's; another attempt may help.
    Broken,
    /// Nobody's: somebody cancelled it.
    Stopped,
}

/// Until when to go on.
pub(crate) enum Until<'a> {
    /// Until the attempt is told to stop.
    Told(&'a Stop),
    /// The same, or until a person wants the rollout to be taken back.
    Asked(&'a Stop, &'a UnderControl<'a>),
    /// Until the rollout that is taken back is somebody else's business.
    Ours(&'a Abandoned<'a>),
    /// To the end.
    End,
}

impl Until<'_> {
    /// How to end now; `None` to go on.
    async fn halted(&self) -> Option<Converged> {
        match self {
            Self::Told(stop) => stopped(stop),
            Self::Asked(stop, rollout) => match stopped(stop) {
                None => rollout
                    .abort()
                    .await
                    .map(|reason| failed(reason, Ended::Red)),
                stopped => stopped,
            },
            Self::Ours(abandoned) => {
                (!abandoned.is_still().await).then_some(Converged::Interrupted)
            }
            Self::End => None,
        }
    }

    /// Ends when it is time to ask [`Until::halted`] in the middle of a step.
    async fn told(&self) {
        match self {
            Self::Told(stop) | Self::Asked(stop, _) => stop.token().cancelled().await,
            Self::Ours(_) | Self::End => std::future::pending().await,
        }
    }
}

/// How an attempt ends that was told to stop.
fn stopped(stop: &Stop) -> Option<Converged> {
    Some(match stop.outcome()? {
        Outcome::Cancelled { reason } => failed(reason, Ended::Stopped),
        Outcome::Failed(failure) => failed(failure.reason, Ended::Red),
        _ => Converged::Interrupted,
    })
}

/// Brings the wanted version in.
pub(crate) async fn converge(
    targets: &Targets,
    wanted: &Wanted,
    until: &Until<'_>,
    voice: &Voice<'_>,
) -> Converged {
    voice.say(&format!("image {}", wanted.image())).await;
    let mut rollout = match targets.of(&wanted.environment) {
        Ok(Place::Docker(docker)) => {
            UnderWay::Docker(Box::new(Rollout::new(docker, wanted, voice)))
        }
        Ok(Place::Kubernetes(kubernetes, target)) => {
            UnderWay::Kubernetes(Box::new(kubernetes.rollout(target, wanted, voice)))
        }
        Err(error) => return failed(outcome::chain(&error), Ended::Red),
    };
    let (mut blind_since, mut was_paused) = (None, false);
    loop {
        if let Some(halted) = until.halted().await {
            return halted;
        }
        if let Some(reason) = rollout.pause(until).await {
            if !was_paused {
                voice.say(&format!("paused: {reason}")).await;
            }
            was_paused = true;
            // The time of the pause does not count.
            rollout.begin_anew();
            tokio::select! {
                () = tokio::time::sleep(LOOK) => continue,
                () = until.told() => continue,
            }
        }
        was_paused = false;
        // A step that is dropped in the middle leaves nothing that the next look does not show.
        let advanced = tokio::select! {
            advanced = rollout.advance() => advanced,
            () = until.told() => continue,
        };
        match advanced {
            Ok(Some(converged)) => return converged,
            Ok(None) => blind_since = None,
            Err(error) => {
                let since = *blind_since.get_or_insert_with(Instant::now);
                if !error.is_passing() || since.elapsed() > rollout.patience() {
                    let how = if error.is_users() {
                        Ended::Red
                    } else {
                        Ended::Broken
                    };
                    return explained(&error, how);
                }
                tracing::warn!(
                    error = &error as &dyn std::error::Error,
                    "a step of a rollout is tried again"
                );
                rollout.begin_anew();
                tokio::time::sleep(AFTER_ERROR).await;
            }
        }
    }
}

/// The scale that a version asks for.
pub(crate) fn scale(wanted: &Wanted) -> Scale {
    let (batches, replicas) = (wanted.rolling(), wanted.deploy.replicas.max(1));
    let count = |n: u32| usize::try_from(n).unwrap_or(usize::MAX);
    Scale {
        replicas: count(replicas),
        surge: count(batches.max_surge.of(replicas)),
        unavailable: count(batches.max_unavailable.of(replicas)),
    }
}

fn failed(reason: impl Into<String>, how: Ended) -> Converged {
    Converged::Failed {
        failure: Box::new(Failure::because(reason)),
        how,
    }
}

fn explained(error: &TargetError, how: Ended) -> Converged {
    let details = error.details();
    let failure = Failure::because(outcome::chain(error));
    Converged::Failed {
        failure: Box::new(failure.with_last_lines(details.iter().map(String::as_str))),
        how,
    }
}

/// A rollout on its way, on the target of its environment.
enum UnderWay<'a> {
    Docker(Box<Rollout<'a>>),
    Kubernetes(Box<kubernetes::Rollout<'a>>),
}

impl UnderWay<'_> {
    /// One look and one step; says how it ended, if it did.
    async fn advance(&mut self) -> Result<Option<Converged>, TargetError> {
        match self {
            Self::Docker(rollout) => rollout.advance().await,
            Self::Kubernetes(rollout) => Ok(rollout.advance().await?),
        }
    }

    /// Why it is to stay as it is for now. Once a cluster has its objects, it does not wait.
    async fn pause(&self, until: &Until<'_>) -> Option<String> {
        match (self, until) {
            (Self::Docker(_), Until::Asked(_, rollout)) => rollout.pause().await,
            _ => None,
        }
    }

    /// After an error nothing is taken for known.
    fn begin_anew(&mut self) {
        match self {
            Self::Docker(rollout) => rollout.target = None,
            Self::Kubernetes(rollout) => rollout.begin_anew(),
        }
    }

    fn patience(&self) -> Duration {
        match self {
            Self::Docker(_) => BLIND,
            Self::Kubernetes(_) => BLIND_TO_CLUSTER,
        }
    }
}

/// A rollout on the docker target. What it remembers is only about time; everything else is seen anew at each look.
struct Rollout<'a> {
    docker: &'a Docker,
    wanted: &'a Wanted,
    voice: &'a Voice<'a>,
    scale: Scale,
    /// `None` before the first look, and after an error: the edge may have to be made anew.
    target: Option<Target<'a>>,
    is_cleared: bool,
    has_acted: bool,
    /// Since when a replica gets no new requests.
    unrouted: HashMap<String, Instant>,
    most_ready: usize,
    progress: Instant,
}

impl<'a> Rollout<'a> {
    fn new(docker: &'a Docker, wanted: &'a Wanted, voice: &'a Voice<'a>) -> Self {
        Self {
            docker,
            wanted,
            voice,
            scale: scale(wanted),
            target: None,
            is_cleared: false,
            has_acted: false,
            unrouted: HashMap::new(),
            most_ready: 0,
            progress: Instant::now(),
        }
    }

    /// One look and one step; says how it ended, if it did.
    async fn advance(&mut self) -> Result<Option<Converged>, TargetError> {
        if self.target.is_none() {
            self.target = Some(self.docker.prepare(self.wanted).await?);
            // While the image was fetched nothing could get ready.
            self.progress = Instant::now();
        }
        let Some(target) = &self.target else {
            return Ok(None);
        };
        let mut seen = target.look().await?;
        if !self.is_cleared {
            if target.remove_broken(&seen, self.voice).await? {
                self.has_acted = true;
                seen = target.look().await?;
            }
            self.is_cleared = true;
        }
        remember_unrouted(&mut self.unrouted, &seen);
        let overdue = |name: &str| {
            self.unrouted
                .get(name)
                .is_some_and(|s| s.elapsed() > self.wanted.drain())
        };
        let step = next(self.scale, &seen.replicas, overdue);
        self.has_acted |= !matches!(step, Step::Done);
        target.act(&step, &seen, self.voice).await?;
        let is_ready = |replica: &&crate::rolling::Replica| {
            replica.is_wanted && replica.health == Health::Ready
        };
        let ready = seen.replicas.iter().filter(is_ready).count();
        if ready > self.most_ready || matches!(step, Step::Start(_) | Step::Remove(_)) {
            self.most_ready = self.most_ready.max(ready);
            self.progress = Instant::now();
        }
        let reason = match step {
            Step::Done => {
                return Ok(Some(Converged::Done {
                    address: seen.address,
                    was_there: !self.has_acted,
                }));
            }
            Step::Fail { reason } => reason,
            // Where all are ready, only requests under way are waited for, and these have a limit of their own.
            _ if ready < self.scale.replicas
                && self.progress.elapsed() > self.wanted.deadline() =>
            {
                not_ready(self.wanted, &seen)
            }
            Step::Wait => {
                tokio::time::sleep(LOOK).await;
                return Ok(None);
            }
            Step::Start(_) | Step::Route(_) | Step::Remove(_) => return Ok(None),
        };
        let failure = Failure {
            last_lines: target.last_lines(&seen).await,
            ..Failure::because(reason)
        };
        Ok(Some(Converged::Failed {
            failure: Box::new(failure),
            how: Ended::Red,
        }))
    }
}

fn not_ready(wanted: &Wanted, seen: &Seen) -> String {
    let why = seen
        .waiting_for
        .as_deref()
        .unwrap_or("the edge did not say why");
    format!(
        "{} {} did not become ready within {} s: {why}",
        wanted.service,
        wanted.version,
        wanted.deadline().as_secs()
    )
}

fn remember_unrouted(unrouted: &mut HashMap<String, Instant>, seen: &Seen) {
    unrouted.retain(|name, _| {
        seen.replicas
            .iter()
            .any(|r| r.name == *name && !r.is_routed)
    });
    for replica in seen.replicas.iter().filter(|r| !r.is_routed) {
        unrouted
            .entry(replica.name.clone())
            .or_insert_with(Instant::now);
    }
}
