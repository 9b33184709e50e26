//! Clearing what is not needed any more: finding it by labels, whatever it is, and removing it.

use std::collections::HashMap;

use bollard::query_parameters::{
    ListContainersOptionsBuilder, ListImagesOptionsBuilder, ListNetworksOptionsBuilder,
    ListVolumesOptionsBuilder, RemoveVolumeOptionsBuilder,
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

/// An image in a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ListedImage {
    /// Its names.
    pub tags: Vec<String>,
    /// Its labels.
    pub labels: Labels,
    /// When it was made, in seconds of Unix time.
    pub created: i64,
}

impl Engine {
    /// The labels of every container (running or not), network and volume that has all labels of the filter. An empty
    /// value stands for any.
    pub async fn labels_of_labelled(&self, filter: &Labels) -> Result<Vec<Labels>> {
        let filters = HashMap::from([("label".to_owned(), labels::filters(filter))]);
        let containers = ListContainersOptionsBuilder::default()
            .all(true)
            .filters(&filters)
            .build();
        let networks = ListNetworksOptionsBuilder::default()
            .filters(&filters)
            .build();
        let volumes = ListVolumesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let (docker, mut found) = (self.docker(), Vec::new());
        let listing = docker.list_containers(Some(containers));
        for container in self.call("list containers", QUICK, listing).await? {
            found.extend(container.labels);
        }
        let listing = docker.list_networks(Some(networks));
        for network in self.call("list networks", QUICK, listing).await? {
            found.extend(network.labels);
        }
        let listing = docker.list_volumes(Some(volumes));
        let volumes = self.call("list volumes", QUICK, listing).await?.volumes;
        found.extend(volumes.unwrap_or_default().into_iter().map(|v| v.labels));
        Ok(found
            .into_iter()
            .map(|labels| labels.into_iter().collect())
            .collect())
    }

    /// Every image that has all labels of the filter. An empty value stands for any.
    pub async fn list_images(&self, filter: &Labels) -> Result<Vec<ListedImage>> {
        let filters = HashMap::from([("label".to_owned(), labels::filters(filter))]);
        let options = ListImagesOptionsBuilder::default()
            .filters(&filters)
            .build();
        let listing = self.docker().list_images(Some(options));
        let images = self.call("list images", SLOW, listing).await?;
        Ok(images
            .into_iter()
            .map(|image| ListedImage {
                tags: image.repo_tags,
                labels: image.labels.into_iter().collect(),
                created: image.created,
            })
            .collect())
    }

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
