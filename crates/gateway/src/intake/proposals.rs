//! Proposals: a newer push, or its end, makes earlier runs needless.

use domain::ids::ServiceName;
use domain::run::{Kind, Refusal, Run};
use jiff::Timestamp;

use super::{Intake, slipway};
use crate::Error;
use crate::error::not_updated;

impl Intake {
    /// Cancels the earlier runs of the same proposal and service.
    pub(super) async fn supersede(&self, newer: &Run) -> Result<(), Error> {
        let Kind::Proposal { number } = &newer.change.kind else {
            return Ok(());
        };
        if newer.refused.is_some() {
            return Ok(());
        }
        let reason = format!("superseded by run {}", newer.id);
        self.cancel_proposal(
            &newer.change.repository,
            number,
            Some(&newer.change.service),
            newer.order,
            &reason,
        )
        .await
    }

    /// Cancels the runs of a proposal that began before `order`; of one service, or of all.
    ///
    /// # Errors
    /// When the bus can't be used.
    pub async fn cancel_proposal(
        &self,
        repository: &str,
        number: &str,
        service: Option<&ServiceName>,
        order: u64,
        reason: &str,
    ) -> Result<(), Error> {
        for run in self.projection.active_runs() {
            let same = matches!(&run.change.kind, Kind::Proposal { number: other } if other == number)
                && run.change.repository == repository
                && service.is_none_or(|service| run.change.service == *service);
            if !same || run.order >= order {
                continue;
            }
            let cancel = |run: Option<&Run>| match run
                .map(|run| run.cancel(&slipway(), reason, Timestamp::now()))
            {
                Some(Ok(event)) => Ok(Some(event)),
                // It has ended meanwhile, or somebody else was faster.
                Some(Err(_)) | None => Ok::<_, Refusal>(None),
            };
            match self.runs.update(&run.id, cancel).await {
                Ok(updated) => {
                    tracing::info!(run.id = %run.id, cancelled = updated.appended, "{reason}");
                }
                Err(error) => {
                    return Err(not_updated(format!("run {}", run.id), error));
                }
            }
        }
        Ok(())
    }
}
