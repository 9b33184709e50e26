//! Going back to what ran before a rollout that did not succeed.

use container_stage::outcome;
use domain::ids::{EnvironmentName, ServiceName};
use domain::rollout::{End, Event, Placement, Rollouts};
use domain::stage::StageName;
use jiff::Timestamp;

use crate::converge::{Converged, Ended, Until, converge};
use crate::events::update;
use crate::service::Deployer;
use crate::voice::Voice;
use crate::wanted::Wanted;

/// What became of it, in a few words.
pub(crate) enum Back {
    /// The environment is as it was, or as near to it as it gets.
    Settled(String),
    /// It is not, and trying again may help.
    Unsettled(String),
}

impl Back {
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Settled(words) | Self::Unsettled(words) => words,
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
        return match deployer.docker.remove_version(wanted).await {
            Ok(()) => Back::Settled("nothing ran here before, and it was removed again".to_owned()),
            Err(error) => Back::Unsettled(format!(
                "removing it failed too: {}",
                outcome::chain(&error)
            )),
        };
    };
    let origin = match deployer.runs.get(&before.placement.origin).await {
        Ok(run) => run.and_then(|run| run.created),
        Err(error) => {
            return Back::Unsettled(format!(
                "what ran before can't be read: {}",
                outcome::chain(&error)
            ));
        }
    };
    let Some(created) = origin else {
        return Back::Settled(
            "what ran before is not known any more; nothing was taken back".to_owned(),
        );
    };
    let back =
        Wanted::of(&created.spec, &before.placement, &wanted.environment).at(Some(&before.address));
    voice.say(&format!("going back to {}", back.version)).await;
    match converge(&deployer.docker, &back, until, voice).await {
        Converged::Done { .. } => Back::Settled(format!("{} serves as before", back.version)),
        Converged::Failed { failure, how } => {
            let words = format!(
                "going back to {} failed too: {}",
                back.version, failure.reason
            );
            if how == Ended::Red {
                Back::Settled(words)
            } else {
                Back::Unsettled(words)
            }
        }
        Converged::Interrupted => Back::Unsettled("going back was interrupted".to_owned()),
    }
}

/// A rollout whose run has ended without it: its deployer was stopped for good before it could say so, and nobody else
/// had to go on. If it is the active one, nothing else happens in the environment until it is ended.
pub(crate) struct Abandoned<'a> {
    deployer: &'a Deployer,
    key: &'a (EnvironmentName, ServiceName),
    placement: Placement,
}

impl<'a> Abandoned<'a> {
    /// The active rollout, if it is abandoned.
    pub(crate) async fn of(
        deployer: &'a Deployer,
        key: &'a (EnvironmentName, ServiceName),
        rollouts: &Rollouts,
    ) -> Result<Option<Self>, bus::Error> {
        let Some(placement) = &rollouts.active else {
            return Ok(None);
        };
        let run = deployer.runs.get(&placement.run).await?;
        let stage = StageName::Deploy(key.0.clone());
        let stage = run.as_ref().and_then(|run| run.stage(&stage));
        let is_over = stage.is_none_or(|s| s.finished_at().is_some());
        Ok(is_over.then(|| Self {
            deployer,
            key,
            placement: placement.clone(),
        }))
    }

    /// Whether it is still the active one. While nobody can say, it is taken for ended.
    pub(crate) async fn is_still(&self) -> bool {
        match self.deployer.rollouts.get(self.key).await {
            Ok(rollouts) => rollouts
                .and_then(|r| r.active)
                .is_some_and(|active| active.run == self.placement.run),
            Err(_) => false,
        }
    }

    /// Ends it as it is: whoever does so brings in something else.
    pub(crate) async fn end(&self, words: &str) -> Result<Rollouts, bus::Error> {
        let run = &self.placement.run;
        let reason = format!("its deployer stopped before the end; {words}");
        let ended = Event::Ended {
            run: run.clone(),
            end: End::RolledBack { reason },
            at: Timestamp::now(),
        };
        update(&self.deployer.rollouts, self.key, |rollouts| {
            rollouts
                .active
                .as_ref()
                .is_some_and(|active| active.run == *run)
                .then(|| ended.clone())
        })
        .await
    }

    /// Takes it back, and ends it.
    pub(crate) async fn take_back(&self, rollouts: &Rollouts) -> Result<(), bus::Error> {
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
            rollouts,
            &Until::Ours(self),
            &Voice::Own,
        )
        .await
        {
            Back::Settled(words) => self.end(&words).await.map(drop),
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
