//! What reached a bad version before and after it was decided to take it back.

use std::time::SystemTime;

use anyhow::{Context as _, Result};
use bus::aggregates::Aggregate as _;
use domain::ids::RunId;
use domain::rollout::{Act, Event, Rollouts};
use jiff::Timestamp;
use proto::event::WireEvent as _;
use testkit::load::LoadReport;

use crate::bench::{Bench, SERVICE};

/// Requests of a load that a version answered.
#[derive(Debug)]
pub(crate) struct Aftermath {
    pub(crate) before_the_decision: usize,
    pub(crate) until_the_end: usize,
    pub(crate) after_the_end: usize,
}

impl Bench {
    /// What happened to rollouts in the test environment.
    pub(crate) async fn events(&self) -> Result<Vec<Event>> {
        let key = (self.test.clone(), SERVICE.parse()?);
        let stored = self.bus.events().load(&Rollouts::subject(&key), 0).await?;
        let events = stored.iter().map(|stored| Event::decode(&stored.payload));
        Ok(events.collect::<Result<_, _>>()?)
    }

    /// The requests to the version whose answer is `body`, brought by `run`, which was taken back.
    pub(crate) async fn aftermath(
        &self,
        run: &RunId,
        report: &LoadReport,
        body: &str,
    ) -> Result<Aftermath> {
        let events = self.events().await?;
        let decided = events.iter().find_map(|event| match event {
            Event::Acted {
                run: of,
                act: Act::AbortRequested { .. },
                at,
            } if of == run => Some(*at),
            _ => None,
        });
        let ended = events.iter().find_map(|event| match event {
            Event::Ended { run: of, at, .. } if of == run => Some(*at),
            _ => None,
        });
        let decided = SystemTime::from(decided.context("nobody decided to take it back")?);
        let ended = SystemTime::from(ended.context("it did not end")?);
        let never = SystemTime::from(Timestamp::MAX);
        let aftermath = Aftermath {
            before_the_decision: report.sent_between(body, SystemTime::UNIX_EPOCH, decided),
            until_the_end: report.sent_between(body, decided, ended),
            after_the_end: report.sent_between(body, ended, never),
        };
        println!(
            "{} of {} requests failed; {aftermath:?}",
            report.failed, report.total
        );
        Ok(aftermath)
    }
}

impl Aftermath {
    /// Fails unless the version was left at once: what it got between decision and end is less than what it had got until
    /// then, and it got nothing later.
    pub(crate) fn assert_left_at_once(&self) {
        assert!(
            self.before_the_decision > 0 && self.until_the_end < self.before_the_decision,
            "{self:?}"
        );
        assert_eq!(self.after_the_end, 0, "{self:?}");
    }
}
