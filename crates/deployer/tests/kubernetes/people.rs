//! What people do with a rollout under way.

use anyhow::Result;
use domain::ids::RunId;
use domain::rollout::{Event, Rollouts};
use domain::run::{Actor, Refusal};
use jiff::Timestamp;

use crate::bench::{Bench, SERVICE, eventually};

impl Bench {
    /// Waits until the rollout of `run` waits for a person.
    pub(crate) async fn is_paused(&self, run: &RunId) -> Result<()> {
        let paused = eventually("the rollout is paused", async || {
            let rollouts = self.rollouts().await?;
            let is_ours = rollouts.active.as_ref().is_some_and(|a| a.run == *run);
            let paused = rollouts.progress.and_then(|progress| progress.paused);
            Ok(paused.filter(|_| is_ours).map(drop))
        });
        paused.await
    }

    pub(crate) async fn promote(&self, run: &RunId, full: bool) -> Result<()> {
        self.ask(|rollouts| rollouts.promote(run, &me(), full, Timestamp::now()))
            .await
    }

    pub(crate) async fn abort(&self, run: &RunId, why: &str) -> Result<()> {
        self.ask(|rollouts| rollouts.abort(run, &me(), why, Timestamp::now()))
            .await
    }

    pub(crate) async fn retry(&self, run: &RunId) -> Result<()> {
        self.ask(|rollouts| rollouts.retry(run, &me(), Timestamp::now()))
            .await
    }

    async fn ask(&self, what: impl Fn(&Rollouts) -> Result<Event, Refusal>) -> Result<()> {
        let key = (self.test.clone(), SERVICE.parse()?);
        let asked = self.rollouts.update(&key, |rollouts| {
            what(rollouts.unwrap_or(&Rollouts::default()))
                .map(Some)
                .map_err(|refusal| std::io::Error::other(refusal.why))
        });
        asked.await?;
        Ok(())
    }
}

fn me() -> Actor {
    Actor("tests".to_owned())
}
