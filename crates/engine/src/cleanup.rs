//! Clearing what a crash left behind: by labels, whatever it is.

use std::collections::HashMap;

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListNetworksOptionsBuilder, ListVolumesOptionsBuilder,
    RemoveVolumeOptionsBuilder,
};

use crate::{
    ContainerId, Engine, Error, Result,
    connection::{QUICK, SLOW},
    labels::{self, Labels},
};

/// How many things a clean-up removed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Removed {
    /// Containers.
    pub containers: usize,
    /// Networks.
    pub networks: usize,
    /// Volumes.
    pub volumes: usize,
}

impl Engine {
    /// Removes every container (running or not), network and volume that has all these labels. An empty value stands
    /// for any. Refuses an empty filter, which would mean everything on the machine.
    pub async fn remove_labelled(&self, filter: &Labels) -> Result<Removed> {
        if filter.is_empty() {
            return Err(Error::Invalid(
                "a clean-up needs at least one label".to_owned(),
            ));
        }
        let filters = HashMap::from([("label".to_owned(), labels::filters(filter))]);
        let mut removed = Removed::default();
        for id in self.labelled_containers(&filters).await? {
            self.remove(&id).await?;
            removed.containers += 1;
        }
        let options = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        let networks = self
            .call(
                "list networks",
                QUICK,
                self.docker().list_networks(Some(options)),
            )
            .await?;
        for id in networks.into_iter().filter_map(|network| network.id) {
            self.remove_network(&id).await?;
            removed.networks += 1;
        }
        let options = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let volumes = self
            .call(
                "list volumes",
                QUICK,
                self.docker().list_volumes(Some(options)),
            )
            .await?;
        for volume in volumes.volumes.unwrap_or_default() {
            self.remove_volume(&volume.name).await?;
            removed.volumes += 1;
        }
        Ok(removed)
    }

    /// Removes a named volume; one that isn't there is fine.
    pub async fn remove_volume(&self, name: &str) -> Result<()> {
        let options = RemoveVolumeOptionsBuilder::default().force(true).build();
        let doing = format!("remove the volume {name}");
        match self
            .call(
                &doing,
                SLOW,
                self.docker().remove_volume(name, Some(options)),
            )
            .await
        {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }

    async fn labelled_containers(
        &self,
        filters: &HashMap<String, Vec<String>>,
    ) -> Result<Vec<ContainerId>> {
        let options = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(filters)
            .build();
        let containers = self
            .call(
                "list containers",
                QUICK,
                self.docker().list_containers(Some(options)),
            )
            .await?;
        Ok(containers
            .into_iter()
            .filter_map(|container| container.id)
            .map(ContainerId::from)
            .collect())
    }
}
