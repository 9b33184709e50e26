//! Networks that containers find each other in by name.

use std::collections::HashMap;

use bollard::{
    models::{EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkingConfig},
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};
use serde::Serialize;

use crate::{ContainerId, Engine, Error, Result, connection::QUICK, labels::Labels};

/// Membership of a network.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Attachment {
    /// The network's name.
    pub network: String,
    /// The host names by which the others find the container.
    pub aliases: Vec<String>,
}

impl Attachment {
    /// Membership of a network under some host names.
    pub fn new<I, S>(network: impl Into<String>, aliases: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            network: network.into(),
            aliases: aliases.into_iter().map(Into::into).collect(),
        }
    }

    fn endpoint(&self) -> EndpointSettings {
        EndpointSettings {
            aliases: Some(self.aliases.clone()),
            ..EndpointSettings::default()
        }
    }

    pub(crate) fn networking_config(&self) -> NetworkingConfig {
        NetworkingConfig {
            endpoints_config: Some(HashMap::from([(self.network.clone(), self.endpoint())])),
        }
    }
}

impl Engine {
    /// Makes a bridge network unless there is one of that name; returns its id.
    pub async fn ensure_network(&self, name: &str, labels: &Labels) -> Result<String> {
        if let Some(id) = self.network_id(name).await? {
            return Ok(id);
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let doing = format!("make the network {name}");
        let created = match self
            .call(&doing, QUICK, self.docker().create_network(request))
            .await
        {
            Ok(created) => Some(created.id),
            Err(Error::Refused { status: 409, .. }) => None,
            Err(error) => return Err(error),
        };
        self.settle_network(name, created, doing).await
    }

    /// The engine lets two callers make networks of the same name at the same moment. The one with the smallest id
    /// stays, whoever made the other removes it.
    async fn settle_network(
        &self,
        name: &str,
        created: Option<String>,
        doing: String,
    ) -> Result<String> {
        let mut ids = self.networks_named(name).await?;
        ids.sort();
        let winner = ids.into_iter().next().ok_or(Error::NotFound {
            doing,
            message: "it was removed at the same moment".to_owned(),
        })?;
        if let Some(created) = created.filter(|created| *created != winner) {
            self.remove_network(&created).await?;
        }
        Ok(winner)
    }

    async fn networks_named(&self, name: &str) -> Result<Vec<String>> {
        let filters = HashMap::from([("name", vec![name])]);
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
        // The engine's filter takes any part of a name.
        Ok(networks
            .into_iter()
            .filter(|network| network.name.as_deref() == Some(name))
            .filter_map(|network| network.id)
            .collect())
    }

    async fn network_id(&self, name: &str) -> Result<Option<String>> {
        let inspect = self
            .docker()
            .inspect_network(name, None::<InspectNetworkOptions>);
        match self.call("look up a network", QUICK, inspect).await {
            Ok(network) => Ok(network.id),
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Removes a network; one that isn't there is fine, one that containers use is refused.
    pub async fn remove_network(&self, name: &str) -> Result<()> {
        let doing = format!("remove the network {name}");
        match self
            .call(&doing, QUICK, self.docker().remove_network(name))
            .await
        {
            Err(error) if !error.is_gone() => Err(error),
            _ => Ok(()),
        }
    }

    /// Joins a container to one more network; a container that is in it already is fine.
    pub async fn connect_network(
        &self,
        container: &ContainerId,
        attachment: &Attachment,
    ) -> Result<()> {
        let request = NetworkConnectRequest {
            container: container.as_str().to_owned(),
            endpoint_config: Some(attachment.endpoint()),
        };
        let doing = format!("join the container to the network {}", attachment.network);
        let connect = self.docker().connect_network(&attachment.network, request);
        match self.call(&doing, QUICK, connect).await {
            Err(Error::Refused { message, .. })
                if message.contains("already exists in network") =>
            {
                Ok(())
            }
            other => other,
        }
    }
}
