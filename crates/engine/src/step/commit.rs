//! Keeping what a step made, as an image.

use std::collections::HashMap;

use bollard::{models::ContainerConfig, query_parameters::CommitContainerOptionsBuilder};

use crate::{ContainerId, Engine, Result, connection::SLOW, labels::Labels};

impl Engine {
    /// Commits a kept container as an image and tags it. Entry point, command and variables stay those of the image
    /// that the container was made of; the container's own labels are blanked, `labels` are set.
    pub async fn commit(
        &self,
        container: &ContainerId,
        reference: &str,
        labels: &Labels,
    ) -> Result<String> {
        let inspected = self.inspect_container(container).await?;
        let base = self
            .inspect_raw(&inspected.image.unwrap_or_default())
            .await?;
        let base = base.config.unwrap_or_default();
        let own_labels = inspected
            .config
            .and_then(|config| config.labels)
            .unwrap_or_default();
        let inherited = base.labels.unwrap_or_default();
        let mut all: HashMap<String, String> = own_labels
            .into_iter()
            .filter(|(name, value)| inherited.get(name) != Some(value))
            .map(|(name, _)| (name, String::new()))
            .collect();
        all.extend(labels.clone());
        let config = ContainerConfig {
            entrypoint: Some(base.entrypoint.unwrap_or_default()),
            cmd: Some(base.cmd.unwrap_or_default()),
            labels: Some(all),
            ..ContainerConfig::default()
        };
        let (repository, tag) = crate::image::split_reference(reference);
        let options = CommitContainerOptionsBuilder::default()
            .container(container.as_str())
            .repo(repository)
            .tag(tag)
            .pause(false)
            .build();
        let commit = self.docker().commit_container(options, config);
        Ok(self
            .call(
                &format!("commit the container as {reference}"),
                SLOW,
                commit,
            )
            .await?
            .id)
    }
}
