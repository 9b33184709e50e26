//! What every answer of the gateway needs.

use std::sync::Arc;

use bus::Bus;
use bus::aggregates::Log;
use domain::ids::RunId;
use domain::platform::PlatformSpec;
use domain::release::Releases;
use domain::run::{Event, Refusal, Run};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::Error;
use crate::error::not_updated;
use crate::intake::Intake;
use crate::parts::Parts;
use crate::projection::Projection;
use crate::rollouts::History;

/// The event store, the projection of it, the other services.
pub(crate) struct Gateway {
    pub(crate) bus: Bus,
    pub(crate) platform: Arc<PlatformSpec>,
    pub(crate) projection: Projection,
    pub(crate) intake: Intake,
    pub(crate) runs: Log<Run>,
    pub(crate) releases: Log<Releases>,
    pub(crate) rollouts: Log<History>,
    pub(crate) parts: Arc<Parts>,
    pub(crate) stop: CancellationToken,
    /// What goes on when its caller has gone.
    pub(crate) tasks: TaskTracker,
}

impl Gateway {
    /// A run as of now.
    pub(crate) async fn run(&self, id: &str) -> Result<Run, Error> {
        let id: RunId = id.parse()?;
        self.runs
            .get(&id)
            .await?
            .ok_or_else(|| Error::not_found(format!("there is no run {id}")))
    }

    /// Appends what `decide` makes of a run, and enqueues what then may begin.
    pub(crate) async fn change(
        &self,
        id: &str,
        mut decide: impl FnMut(&Run) -> Result<Event, Refusal>,
    ) -> Result<Run, Error> {
        let id: RunId = id.parse()?;
        let updated = self
            .runs
            .update(&id, |run| run.map(&mut decide).transpose())
            .await
            .map_err(|error| not_updated(format!("run {id}"), error))?;
        worker::enqueue_ready(&self.bus, &updated.state).await;
        self.projection.reaches(updated.state.last_sequence).await;
        Ok(updated.state)
    }
}
