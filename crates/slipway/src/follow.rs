//! Watching a run or a rollout across restarts of the gateway.

use std::time::Duration;

use futures::stream::{self, Stream};
use proto::gateway::v1::{Rollout, Run, WatchRolloutRequest};
use tokio::time::Instant;
use tonic::{Status, Streaming};

use crate::connection::Gateway;
use crate::error::CliError;
use crate::failure;

/// For how long a gateway may be away.
pub const PATIENCE: Duration = Duration::from_secs(120);

/// What can be watched until it has ended.
pub trait Watched: Send + Sized + 'static {
    /// What tells one from the other.
    type Which: Clone + Send + Sync + 'static;

    /// It as it is, and at every change until it has ended.
    ///
    /// # Errors
    /// When the gateway refuses or is not there.
    fn watch(
        gateway: &Gateway,
        which: &Self::Which,
    ) -> impl Future<Output = Result<Streaming<Self>, Status>> + Send;

    /// Whether nothing more will happen without somebody starting it again.
    fn is_over(&self) -> bool;

    /// The command that watches it again.
    fn again(which: &Self::Which) -> String;
}

impl Watched for Run {
    type Which = String;

    async fn watch(gateway: &Gateway, run_id: &String) -> Result<Streaming<Self>, Status> {
        gateway.watch_run(run_id).await
    }

    fn is_over(&self) -> bool {
        has_ended(self)
    }

    fn again(run_id: &String) -> String {
        format!("slipway run watch {run_id}")
    }
}

impl Watched for Rollout {
    type Which = WatchRolloutRequest;

    async fn watch(
        gateway: &Gateway,
        which: &WatchRolloutRequest,
    ) -> Result<Streaming<Self>, Status> {
        gateway.watch_rollout(which.clone()).await
    }

    fn is_over(&self) -> bool {
        matches!(
            self.state.as_str(),
            "completed" | "rolled_back" | "restored"
        )
    }

    fn again(which: &WatchRolloutRequest) -> String {
        format!(
            "slipway rollout watch {} --in {} --run {}",
            which.service, which.environment, which.run_id
        )
    }
}

/// What a watcher sees.
#[derive(Debug, Clone)]
pub enum Seen<T> {
    /// It as it is now.
    Now(Box<T>),
    /// The gateway went away and is asked again; said once for each time that it goes.
    Lost {
        /// Why, for people.
        reason: String,
    },
    /// The gateway is back.
    Back,
}

/// It as it is, and at every change until it has ended.
pub fn follow<T: Watched>(
    gateway: Gateway,
    which: T::Which,
) -> impl Stream<Item = Result<Seen<T>, CliError>> + Send {
    let follower = Follower {
        gateway,
        which,
        stream: None,
        held: None,
        absence: Absence::default(),
        ended: false,
    };
    stream::unfold(follower, |mut follower| async move {
        let seen = follower.next().await?;
        follower.ended |= seen.is_err();
        Some((seen, follower))
    })
}

struct Follower<T: Watched> {
    gateway: Gateway,
    which: T::Which,
    stream: Option<Streaming<T>>,
    /// Read, and not given out before it was said that the gateway is back.
    held: Option<T>,
    absence: Absence,
    ended: bool,
}

impl<T: Watched> Follower<T> {
    async fn next(&mut self) -> Option<Result<Seen<T>, CliError>> {
        while !self.ended {
            let lost = match self.read().await {
                Ok(now) if self.absence.is_over() => {
                    self.held = Some(now);
                    return Some(Ok(Seen::Back));
                }
                Ok(now) => {
                    self.ended = now.is_over();
                    return Some(Ok(Seen::Now(Box::new(now))));
                }
                Err(status) if failure::is_lost(&status) => status,
                Err(status) => return Some(Err(self.gateway.explain(&status))),
            };
            self.stream = None;
            let reason = lost_reason(&lost);
            match self.absence.begin_or_go_on(Instant::now()) {
                Step::Say => return Some(Ok(Seen::Lost { reason })),
                Step::Wait(delay) => tokio::time::sleep(delay).await,
                Step::GiveUp => {
                    let (seconds, again) = (PATIENCE.as_secs(), T::again(&self.which));
                    return Some(Err(CliError::LostGateway {
                        seconds,
                        reason,
                        again,
                    }));
                }
            }
        }
        None
    }

    async fn read(&mut self) -> Result<T, Status> {
        if let Some(held) = self.held.take() {
            return Ok(held);
        }
        let stream = match &mut self.stream {
            Some(stream) => stream,
            none => none.insert(T::watch(&self.gateway, &self.which).await?),
        };
        // A stream that ends before what is watched does was cut by a gateway that stops.
        stream
            .message()
            .await?
            .ok_or_else(|| Status::unavailable("the gateway ended the connection"))
    }
}

/// Whether nothing more will happen without somebody starting it again.
#[must_use]
pub fn has_ended(run: &Run) -> bool {
    matches!(run.state.as_str(), "succeeded" | "failed" | "cancelled")
}

/// Whether the run does nothing now: it has ended, or waits for a person.
#[must_use]
pub fn is_at_rest(run: &Run) -> bool {
    has_ended(run) || run.state == "waiting_for_approval"
}

fn lost_reason(status: &Status) -> String {
    match std::error::Error::source(status) {
        Some(source) => failure::root_cause(source),
        None => status.message().to_owned(),
    }
}

/// How long the gateway has been away, and when to ask again.
#[derive(Debug, Default)]
struct Absence {
    since: Option<Instant>,
    attempt: u32,
}

#[derive(Debug, PartialEq, Eq)]
enum Step {
    /// It has just gone: say so.
    Say,
    /// Ask again after this.
    Wait(Duration),
    /// It has been away for too long.
    GiveUp,
}

impl Absence {
    fn begin_or_go_on(&mut self, now: Instant) -> Step {
        let Some(since) = self.since else {
            self.since = Some(now);
            return Step::Say;
        };
        if now.duration_since(since) >= PATIENCE {
            return Step::GiveUp;
        }
        let delay = Duration::from_millis(250 << self.attempt.min(5)).min(Duration::from_secs(5));
        self.attempt += 1;
        Step::Wait(delay)
    }

    /// Ends the absence; whether there was one.
    fn is_over(&mut self) -> bool {
        std::mem::take(self).since.is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_absence_is_said_once_waited_for_longer_and_longer_and_given_up() {
        let begin = Instant::now();
        let mut absence = Absence::default();
        assert_eq!(absence.begin_or_go_on(begin), Step::Say);
        let delays: Vec<_> = (0..7).map(|_| absence.begin_or_go_on(begin)).collect();
        let millis =
            [250, 500, 1000, 2000, 4000, 5000, 5000].map(|m| Step::Wait(Duration::from_millis(m)));
        assert_eq!(delays, millis);
        assert_eq!(absence.begin_or_go_on(begin + PATIENCE), Step::GiveUp);
    }

    #[test]
    fn each_absence_has_its_own_patience() {
        let begin = Instant::now();
        let mut absence = Absence::default();
        assert!(!absence.is_over());
        absence.begin_or_go_on(begin);
        assert!(absence.is_over());
        assert_eq!(absence.begin_or_go_on(begin + PATIENCE), Step::Say);
    }
}
