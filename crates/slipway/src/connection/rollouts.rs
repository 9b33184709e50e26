//! What is asked of rollouts.

use proto::gateway::v1::rollout_service_client::RolloutServiceClient;
use proto::gateway::v1::{self, Rollout};
use tonic::{Status, Streaming};

use super::{Authorized, Gateway, MESSAGE_LIMIT, QUICK};
use crate::error::CliError;

impl Gateway {
    fn rollouts(&self) -> RolloutServiceClient<Authorized> {
        RolloutServiceClient::new(self.channel.clone()).max_decoding_message_size(MESSAGE_LIMIT)
    }

    /// One page of rollouts, those under way first.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn list_rollouts(
        &self,
        request: v1::ListRolloutsRequest,
    ) -> Result<v1::ListRolloutsResponse, CliError> {
        self.within(QUICK, self.rollouts().list_rollouts(request))
            .await
    }

    /// One rollout.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn rollout(&self, request: v1::GetRolloutRequest) -> Result<Rollout, CliError> {
        self.within(QUICK, self.rollouts().get_rollout(request))
            .await
    }

    /// The rollout at every change. The refusal is not in words yet: a lost gateway is tried again.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn watch_rollout(
        &self,
        request: v1::WatchRolloutRequest,
    ) -> Result<Streaming<Rollout>, Status> {
        Ok(self.rollouts().watch_rollout(request).await?.into_inner())
    }

    /// Lets a rollout wait.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn pause_rollout(
        &self,
        request: v1::PauseRolloutRequest,
    ) -> Result<Rollout, CliError> {
        self.within(QUICK, self.rollouts().pause_rollout(request))
            .await
    }

    /// Ends a pause.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn resume_rollout(
        &self,
        request: v1::ResumeRolloutRequest,
    ) -> Result<Rollout, CliError> {
        self.within(QUICK, self.rollouts().resume_rollout(request))
            .await
    }

    /// Lets a rollout go on to its next step, or to its last one.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn promote_rollout(
        &self,
        request: v1::PromoteRolloutRequest,
    ) -> Result<Rollout, CliError> {
        self.within(QUICK, self.rollouts().promote_rollout(request))
            .await
    }

    /// Takes a rollout back.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn abort_rollout(
        &self,
        request: v1::AbortRolloutRequest,
    ) -> Result<Rollout, CliError> {
        self.within(QUICK, self.rollouts().abort_rollout(request))
            .await
    }

    /// Lets a rollout that failed begin again.
    ///
    /// # Errors
    /// See [`Gateway::start_run`].
    pub async fn retry_rollout(
        &self,
        request: v1::RetryRolloutRequest,
    ) -> Result<Rollout, CliError> {
        self.within(QUICK, self.rollouts().retry_rollout(request))
            .await
    }
}
