//! Networks that containers find each other in by name.

use std::collections::HashMap;

use bollard::{
    models::{EndpointSettings, NetworkConnectRequest, NetworkCreateRequest, NetworkingConfig},
    query_parameters::{InspectNetworkOptions, ListNetworksOptionsBuilder},
};
use serde::Serialize;
use tokio::sync::Mutex;

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

/// Held while a network is made, so that two tasks of this process don't make it at the same moment.
static MAKING: Mutex<()> = Mutex::const_new(());

impl Engine {
    /// Makes a bridge network unless there is one of that name; returns its id.
    pub async fn ensure_network(&self, name: &str, labels: &Labels) -> Result<String> {
        let _alone = MAKING.lock().await;
        if let Some(id) = self.network_id(name).await? {
            return Ok(id);
        }
        let request = NetworkCreateRequest {
            name: name.to_owned(),
            labels: Some(labels.clone().into_iter().collect()),
            ..NetworkCreateRequest::default()
        };
        let doing = format!("make the network {name}");
        match self
            .call(&doing, QUICK, self.docker().create_network(request))
            .await
        {
            Ok(_) | Err(Error::Refused { status: 409, .. }) => {}
            Err(error) => return Err(error),
        }
        self.network_id(name).await?.ok_or(Error::NotFound {
            doing,
            message: "it was removed at the same moment".to_owned(),
        })
    }

    /// The network of that name. The engine lets two processes make networks of the same name at the same moment, and
    /// then nobody can join them by it: the one that containers use stays, or else the one with the smallest id.
    async fn network_id(&self, name: &str) -> Result<Option<String>> {
        let mut ids = self.networks_named(name).await?;
        ids.sort();
        if ids.len() < 2 {
            return Ok(ids.pop());
        }
        let mut kept = ids[0].clone();
        for id in &ids {
            if self.is_in_use(id).await? {
                kept.clone_from(id);
                break;
            }
        }
        for id in ids.iter().filter(|id| **id != kept) {
            match self.remove_network(id).await {
                // Somebody joined it meanwhile. Whoever leaves it last has to be waited for.
                Ok(()) | Err(Error::Refused { .. }) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Some(kept))
    }

    /// Whether containers are in a network.
    async fn is_in_use(&self, id: &str) -> Result<bool> {
        let inspect = self
            .docker()
            .inspect_network(id, None::<InspectNetworkOptions>);
        match self.call("look up a network", QUICK, inspect).await {
            Ok(network) => Ok(network.containers.is_some_and(|all| !all.is_empty())),
            Err(error) if error.is_gone() => Ok(false),
            Err(error) => Err(error),
        }
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
