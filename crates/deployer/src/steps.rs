//! A rollout in steps, two versions side by side: look, let `domain::rollout::decide` say what there should be and what
//! follows, bring it about, append the event, wait.
//!
//! Everything that a step depends on is in the events or seen on the target, so another deployer goes on where one
//! stopped, and what people ask for (pause, promote, abort) is found among the events at the next look.

pub(crate) mod since;

use std::time::Duration;

use container_stage::outcome::chain;
use domain::analysis::judge;
use domain::ids::{EnvironmentName, RunId, ServiceName};
use domain::rollout::{Abort, Act, Decision, Event, Next, Observed, Progress, Step, Terms, decide};
use domain::stage::Outcome;
use jiff::Timestamp;
use tokio::time::Instant;
use worker::Stop;

use crate::analysis::Watch;
use crate::converge::{AFTER_ERROR, BLIND, Ended, LOOK};
use crate::error::TargetError;
use crate::events::append_after;
use crate::service::Deployer;
use crate::voice::Voice;

/// How often to look while a step waits for time, a verdict or a person.
const WATCH: Duration = Duration::from_millis(500);

/// A target on which two versions of a service are side by side.
pub(crate) trait SideBySide {
    /// Looks; the first time, it makes what has to be there before anything else.
    async fn look(&mut self, way: Way) -> Result<Look, TargetError>;
    /// Brings about what was decided after the last look, as far as it goes at once.
    async fn bring_about(&mut self, decision: &Decision) -> Result<(), TargetError>;
    /// The terms, with what the last look says about them.
    fn terms(&self, terms: Terms) -> Terms {
        terms
    }
    /// How long it may be out of sight.
    fn patience(&self) -> Duration {
        BLIND
    }
    /// Whether nothing is left of what was to be removed.
    fn is_settled(&self) -> bool;
    /// A person lets the rollout begin again: what was wrong with new replicas before `at` does not count any more.
    fn begin_again(&mut self, at: Timestamp);
    /// After an error: what is remembered of the target may not be true any more.
    fn forget(&mut self);
    /// The last lines of a new replica that is not as it should be.
    async fn last_lines(&self) -> Vec<String>;
}

/// Where a rollout goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// To the new version.
    Forth,
    /// To the version before.
    Back,
}

/// What a look shows.
#[derive(Debug)]
pub(crate) struct Look {
    pub(crate) observed: Observed,
    /// Why a new replica is not ready yet.
    pub(crate) waiting_for: Option<String>,
    /// What was asked of both versions, where something counts it.
    pub(crate) traffic: Option<judge::Look>,
    /// Replicas of the new version that were started again, or that were ready and are not any more.
    pub(crate) unhealthy: u32,
    /// Where the service answers.
    pub(crate) address: String,
}

/// How it ended.
pub(crate) enum Driven {
    /// The new version has all the traffic.
    Complete { address: String },
    /// The version before has.
    RolledBack {
        reason: String,
        last_lines: Vec<String>,
        how: Ended,
    },
    /// We were told to leave it as it is.
    Interrupted,
    /// The target does not do as it is told; another attempt goes on.
    Broken(String),
    /// Somebody else ended it.
    Elsewhere,
}

/// What one look led to.
enum Stepped {
    /// What there should be now is brought about, as far as it goes.
    Decided(Box<(Decision, Look)>),
    /// The analysis came to another verdict: it is recorded first.
    Judged(Act),
}

/// A rollout that this deployer drives.
pub(crate) struct Drive<'a> {
    pub(crate) deployer: &'a Deployer,
    pub(crate) key: &'a (EnvironmentName, ServiceName),
    pub(crate) run: &'a RunId,
    pub(crate) terms: Terms,
    /// The version before.
    pub(crate) before: &'a str,
    pub(crate) stop: &'a Stop,
    pub(crate) voice: &'a Voice<'a>,
}

/// What is remembered between looks: for words, and for how long nothing could be seen.
struct Memory {
    how: Ended,
    last_lines: Vec<String>,
    /// What was waited for at the last look, and whether that was said.
    waits: (String, bool),
    blind_since: Option<Instant>,
    /// When the rollout began, as far as the target knows.
    began_at: Option<Timestamp>,
}

impl Default for Memory {
    fn default() -> Self {
        Self {
            how: Ended::Red,
            last_lines: Vec::new(),
            waits: (String::new(), true),
            blind_since: None,
            began_at: None,
        }
    }
}

impl Memory {
    /// Why a step is not tried again after an error; `None` if it is.
    fn give_up(&mut self, error: &TargetError, patience: Duration) -> Option<String> {
        let since = *self.blind_since.get_or_insert_with(Instant::now);
        if error.is_passing() && since.elapsed() <= patience {
            let error = error as &dyn std::error::Error;
            tracing::warn!(
                error,
                "a look at a rollout, or a step of it, is tried again"
            );
            return None;
        }
        self.blind_since = None;
        if !error.is_users() && self.how != Ended::Stopped {
            self.how = Ended::Broken;
        }
        Some(chain(error))
    }

    /// What to say of what is waited for: nothing twice, and nothing that is over at the next look.
    fn news(&mut self, why: String) -> Option<String> {
        if self.waits.0 != why {
            self.waits = (why, false);
            return None;
        }
        let was_said = std::mem::replace(&mut self.waits.1, true);
        (!was_said).then_some(why)
    }

    fn rolled_back(self, reason: String) -> Driven {
        Driven::RolledBack {
            reason,
            last_lines: self.last_lines,
            how: self.how,
        }
    }
}

impl Drive<'_> {
    /// Drives it to its end.
    pub(crate) async fn to_the_end(
        &self,
        target: &mut impl SideBySide,
        mut watch: Option<Watch>,
    ) -> Result<Driven, bus::Error> {
        let mut memory = Memory::default();
        let mut changes = self.deployer.rollouts.changes(self.key).await?;
        loop {
            let Some((sequence, progress)) = self.progress().await? else {
                return Ok(Driven::Elsewhere);
            };
            let began_at = memory.began_at.replace(progress.began_at);
            if began_at.is_some_and(|before| before != progress.began_at) {
                target.begin_again(progress.began_at);
            }
            let told = self.stop.outcome();
            let wish = match &told {
                None => None,
                Some(Outcome::Cancelled { reason }) => {
                    memory.how = Ended::Stopped;
                    Some(reason.clone())
                }
                Some(Outcome::Failed(failure)) => Some(failure.reason.clone()),
                Some(_) => return Ok(Driven::Interrupted),
            };
            if let Some(reason) = wish.filter(|_| progress.abort.is_none()) {
                self.abort(sequence, reason).await?;
                continue;
            }
            // A step that is dropped in the middle leaves nothing that the next look does not show.
            let stepped = tokio::select! {
                stepped = self.step(target, watch.as_mut(), &progress) => stepped,
                () = self.stop.token().cancelled(), if told.is_none() => continue,
            };
            let (decision, look) = match stepped {
                Ok(Stepped::Decided(decided)) => *decided,
                Ok(Stepped::Judged(act)) => {
                    memory.blind_since = None;
                    self.record(sequence, act).await?;
                    continue;
                }
                Err(error) => {
                    target.forget();
                    let Some(reason) = memory.give_up(&error, target.patience()) else {
                        tokio::time::sleep(AFTER_ERROR).await;
                        continue;
                    };
                    if progress.abort.is_some() {
                        return Ok(Driven::Broken(format!("going back failed: {reason}")));
                    }
                    self.abort(sequence, reason).await?;
                    continue;
                }
            };
            memory.blind_since = None;
            let next = self.in_full(decision.next, &look, &progress);
            if matches!(next, Next::Abort { .. }) {
                memory.last_lines = target.last_lines().await;
            }
            if self.append(sequence, &next, &look, target).await? {
                self.say(&next, &progress).await;
                match next {
                    Next::Complete => {
                        let address = look.address;
                        return Ok(Driven::Complete { address });
                    }
                    Next::RolledBack { reason } => return Ok(memory.rolled_back(reason)),
                    _ => continue,
                }
            }
            let pace = pace(&progress);
            let wait = match next {
                Next::Stay { why, wake_after } => {
                    if let Some(line) = memory.news(why) {
                        self.voice.say(&line).await;
                    }
                    wake_after.map_or(pace, |after| after.min(pace))
                }
                _ => pace,
            };
            tokio::select! {
                () = tokio::time::sleep(wait) => {}
                // Somebody asked for something.
                () = changes.after(sequence) => {}
                () = self.stop.token().cancelled(), if told.is_none() => {}
            }
        }
    }

    /// Appends what follows, unless something else was appended since it was decided; says whether it did. The end
    /// comes only after the last replica has gone that is to go.
    async fn append(
        &self,
        sequence: u64,
        next: &Next,
        look: &Look,
        target: &impl SideBySide,
    ) -> Result<bool, bus::Error> {
        let is_end = matches!(next, Next::Complete | Next::RolledBack { .. });
        let event = next.event(self.run, &look.address, Timestamp::now());
        match event.filter(|_| !is_end || target.is_settled()) {
            Some(event) => append_after(&self.deployer.rollouts, self.key, sequence, &event).await,
            None => Ok(false),
        }
    }

    /// How far the rollout has come, with the sequence of the last event; `None` if it is not under way any more.
    async fn progress(&self) -> Result<Option<(u64, Progress)>, bus::Error> {
        let rollouts = self.deployer.rollouts.get(self.key).await?;
        Ok(rollouts.and_then(|rollouts| {
            let is_ours = rollouts.active.as_ref().is_some_and(|a| a.run == *self.run);
            let progress = rollouts.progress.filter(|_| is_ours)?;
            Some((rollouts.last_sequence, progress))
        }))
    }

    async fn step(
        &self,
        target: &mut impl SideBySide,
        watch: Option<&mut Watch>,
        progress: &Progress,
    ) -> Result<Stepped, TargetError> {
        let way = match progress.abort {
            Some(_) => Way::Back,
            None => Way::Forth,
        };
        let mut look = target.look(way).await?;
        let (traffic, unhealthy, now) = (look.traffic.take(), look.unhealthy, Timestamp::now());
        let (judged, news) = match watch {
            Some(watch) => (watch.act(progress, traffic, unhealthy, now), watch.news()),
            None => (None, Vec::new()),
        };
        for line in news {
            self.voice.say(&line).await;
        }
        if let Some(act) = judged {
            return Ok(Stepped::Judged(act));
        }
        let terms = target.terms(self.terms);
        let decision = decide(progress, &look.observed, &terms, now);
        target.bring_about(&decision).await?;
        Ok(Stepped::Decided(Box::new((decision, look))))
    }

    async fn abort(&self, sequence: u64, reason: String) -> Result<(), bus::Error> {
        self.voice.say(&format!("it is taken back: {reason}")).await;
        self.record(sequence, Act::AbortRequested { by: None, reason })
            .await
    }

    /// Appends an act, unless something else was appended meanwhile: then there is another look.
    async fn record(&self, sequence: u64, act: Act) -> Result<(), bus::Error> {
        let acted = Event::Acted {
            run: self.run.clone(),
            act,
            at: Timestamp::now(),
        };
        append_after(&self.deployer.rollouts, self.key, sequence, &acted).await?;
        Ok(())
    }

    /// The same, with what else is known about why.
    fn in_full(&self, next: Next, look: &Look, progress: &Progress) -> Next {
        let aborted_for = progress.abort.as_ref().map(Abort::words);
        let is_judged = progress
            .verdict
            .as_ref()
            .is_some_and(|j| j.verdict.aborts());
        let is_explained = is_judged || look.observed.failed.is_some();
        match (next, &look.waiting_for) {
            (Next::Abort { reason }, Some(why)) if !is_explained => Next::Abort {
                reason: format!("{reason}: {why}"),
            },
            (Next::RolledBack { reason }, _) if aborted_for.as_ref() == Some(&reason) => {
                Next::RolledBack {
                    reason: format!("{reason}; {} serves as before", self.before),
                }
            }
            (next, _) => next,
        }
    }

    async fn say(&self, next: &Next, progress: &Progress) {
        let line = match next {
            Next::Stay { .. } | Next::Complete => return,
            Next::Enter(index) => progress.plan.name_of(*index),
            Next::Pause { reason } => format!("paused: {reason}"),
            Next::Abort { reason } => format!("it is taken back: {reason}"),
            Next::RolledBack { reason } => format!("it was taken back: {reason}"),
        };
        self.voice.say(&line).await;
    }
}

/// How long to wait until the next look.
fn pace(progress: &Progress) -> Duration {
    if progress.abort.is_none() && progress.step().is_some_and(Step::waits) {
        WATCH
    } else {
        LOOK
    }
}
