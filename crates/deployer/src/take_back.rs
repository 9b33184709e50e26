//! Going back to what ran before a rollout that did not succeed, or whose tests stopped.

use container_stage::outcome;
use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::{End, Event, Placement, Rollouts};
use domain::run::StageState;
use domain::stage::StageName;
use jiff::Timestamp;

use crate::converge::{Converged, Ended, Until, converge};
use crate::events::update;
use crate::origin::wanted_of;
use crate::service::Deployer;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// What became of it, in a few words.
pub(crate) enum Back {
    /// The environment is as it was.
    Settled {
        words: String,
        /// Where the service answers; empty if nothing of it is left.
        address: String,
    },
    /// It is not, and trying again would not help.
    Stays(String),
    /// It is not, and trying again may help.
    Unsettled(String),
}

impl Back {
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Settled { words, .. } | Self::Stays(words) | Self::Unsettled(words) => words,
        }
    }
}

/// Brings back what ran before `wanted`, as `rollouts` has it.
pub(crate) async fn take_back(
    deployer: &Deployer,
    wanted: &Wanted,
    rollouts: &Rollouts,
    until: &Until<'_>,
    voice: &Voice<'_>,
) -> Back {
    let Some(before) = rollouts.current() else {
        return match deployer.targets.remove_version(wanted).await {
            Ok(()) => Back::Settled {
                words: "nothing ran here before, and it was removed again".to_owned(),
                address: String::new(),
            },
            Err(error) => Back::Unsettled(format!(
                "removing it failed too: {}",
                outcome::chain(&error)
            )),
        };
    };
    let back = match wanted_of(deployer, before, &wanted.environment).await {
        Ok(Some(back)) => back.returning(),
        Ok(None) => {
            return Back::Stays(
                "what ran before is not known any more; nothing was taken back".to_owned(),
            );
        }
        Err(error) => {
            return Back::Unsettled(format!(
                "what ran before can't be read: {}",
                outcome::chain(&error)
            ));
        }
    };
    voice.say(&format!("going back to {}", back.version)).await;
    match converge(&deployer.targets, &back, until, voice).await {
        Converged::Done { address, .. } => Back::Settled {
            words: format!("{} serves as before", back.version),
            address,
        },
        Converged::Failed { failure, how } => {
            let words = format!(
                "going back to {} failed too: {}",
                back.version, failure.reason
            );
            if how == Ended::Red {
                Back::Stays(words)
            } else {
                Back::Unsettled(words)
            }
        }
        Converged::Interrupted => Back::Unsettled("going back was interrupted".to_owned()),
    }
}

/// A rollout, or the taking out of one, whose run has ended without it: its deployer was stopped for good before it
/// could say so, and nobody else had to go on. Nothing else happens in the environment until it is ended.
pub(crate) struct Abandoned<'a> {
    deployer: &'a Deployer,
    key: &'a (EnvironmentName, ServiceName),
    placement: Placement,
    direction: Direction,
}

/// Which way the version was going.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Direction {
    In,
    Out,
}

/// What is under way, if anything is.
fn under_way(rollouts: &Rollouts) -> Option<(&Placement, Direction)> {
    let coming = rollouts.active.as_ref().map(|p| (p, Direction::In));
    coming.or_else(|| rollouts.restoring.as_ref().map(|p| (p, Direction::Out)))
}

impl<'a> Abandoned<'a> {
    /// What is under way, if it is abandoned.
    pub(crate) async fn of(
        deployer: &'a Deployer,
        key: &'a (EnvironmentName, ServiceName),
        rollouts: &Rollouts,
    ) -> Result<Option<Self>, bus::Error> {
        let Some((placement, direction)) = under_way(rollouts) else {
            return Ok(None);
        };
        let run = deployer.runs.get(&placement.run).await?;
        let stage = |name: StageName| run.as_ref().and_then(|run| run.stage(&name));
        let is_over = match direction {
            Direction::In => {
                stage(StageName::Deploy(key.0.clone())).is_none_or(|s| s.finished_at().is_some())
            }
            // After a retry by a person the version comes in anew, before it may have to be taken out again.
            Direction::Out => stage(StageName::Restore(key.0.clone()))
                .is_none_or(|s| matches!(s.state, StageState::Pending | StageState::Ended { .. })),
        };
        Ok(is_over.then(|| Self {
            deployer,
            key,
            placement: placement.clone(),
            direction,
        }))
    }

    /// Whether it is still under way. While nobody can say, it is taken for ended.
    pub(crate) async fn is_still(&self) -> bool {
        match self.deployer.rollouts.get(self.key).await {
            Ok(rollouts) => rollouts.is_some_and(|rollouts| self.is_in(&rollouts)),
            Err(_) => false,
        }
    }

    fn is_in(&self, rollouts: &Rollouts) -> bool {
        under_way(rollouts).is_some_and(|(placement, direction)| {
            placement.run == self.placement.run && direction == self.direction
        })
    }

    /// Ends it as it is: whoever does so brings in something else.
    pub(crate) async fn end(&self, words: &str) -> Result<Rollouts, bus::Error> {
        self.end_at(words, String::new()).await
    }

    /// The same, with where the service answers now.
    async fn end_at(&self, words: &str, address: String) -> Result<Rollouts, bus::Error> {
        let reason = format!("its deployer stopped before the end; {words}");
        self.end_as(match self.direction {
            Direction::In => End::RolledBack { reason },
            Direction::Out => End::Restored { reason, address },
        })
        .await
    }

    async fn end_as(&self, end: End) -> Result<Rollouts, bus::Error> {
        let ended = Event::Ended {
            run: self.placement.run.clone(),
            end,
            at: Timestamp::now(),
        };
        update(&self.deployer.rollouts, self.key, |rollouts| {
            self.is_in(rollouts).then(|| ended.clone())
        })
        .await
    }

    /// Takes it back, and ends it.
    pub(crate) async fn take_back(&self, rollouts: &Rollouts) -> Result<(), bus::Error> {
        let run = &self.placement.run;
        let current = rollouts.current().map(|current| &current.placement.run);
        if self.direction == Direction::Out && current != Some(run) {
            return self.end("something newer is there").await.map(drop);
        }
        let earlier = match self.direction {
            Direction::In => rollouts.clone(),
            Direction::Out => rollouts.clone().without(run),
        };
        let origin = self.deployer.runs.get(&self.placement.origin).await?;
        let Some(created) = origin.and_then(|run| run.created) else {
            return self
                .end("what it brought is not known any more")
                .await
                .map(drop);
        };
        let wanted = Wanted::of(&created.spec, &self.placement, &self.key.0);
        match take_back(
            self.deployer,
            &wanted,
            &earlier,
            &Until::Ours(self),
            &Voice::Own,
        )
        .await
        {
            Back::Settled { words, address } => self.end_at(&words, address).await.map(drop),
            Back::Stays(words) => {
                let reason = format!("its deployer stopped before the end; {words}");
                self.end_as(End::RolledBack { reason }).await.map(drop)
            }
            Back::Unsettled(words) => {
                tracing::warn!(
                    "an abandoned rollout of {} in {} stays: {words}",
                    self.key.1,
                    self.key.0
                );
                Ok(())
            }
        }
    }
}
