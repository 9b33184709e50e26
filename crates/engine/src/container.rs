//! Long-running containers, and what every container has in common.

pub(crate) mod disposable;
pub(crate) mod exec;
pub(crate) mod logs;
pub(crate) mod state;

use std::{collections::BTreeMap, collections::HashMap, fmt, time::Duration};

use bollard::{
    errors::Error as DockerError,
    models::{
        ContainerCreateBody, HostConfig, PortBinding, RestartPolicy as DockerRestartPolicy,
        RestartPolicyNameEnum,
    },
    query_parameters::{
        CreateContainerOptionsBuilder, KillContainerOptionsBuilder, RemoveContainerOptionsBuilder,
        StartContainerOptions, StopContainerOptionsBuilder, WaitContainerOptions,
    },
};
use futures::StreamExt;
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::{
    Engine, Error, Limits, Mount, Result,
    connection::{QUICK, SLOW},
    container::disposable::Disposable,
    labels::{self, Labels},
    network::Attachment,
    step::{env_list, volume_mount},
};

/// The engine's id of a container.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ContainerId(String);

impl ContainerId {
    /// The id as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl From<String> for ContainerId {
    fn from(id: String) -> Self {
        Self(id)
    }
}

impl fmt::Display for ContainerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A long-running container.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ContainerSpec {
    /// Its name, unique on the engine.
    pub name: String,
    /// The image; it must be on the engine.
    pub image: String,
    /// Environment variables on top of the image's.
    pub env: BTreeMap<String, String>,
    /// Replaces the image's entry point.
    pub entrypoint: Option<Vec<String>>,
    /// Replaces the image's command (the arguments of its entry point).
    pub command: Option<Vec<String>>,
    /// The networks to join; none is the engine's default bridge.
    pub networks: Vec<Attachment>,
    /// Its labels.
    pub labels: Labels,
    /// What it may use.
    pub limits: Limits,
    /// What the engine does when it ends.
    pub restart: RestartPolicy,
    /// Ports that the host forwards to it.
    pub ports: Vec<PublishPort>,
    /// Named volumes.
    pub mounts: Vec<Mount>,
    /// Files to put into it before it starts: absolute path to content.
    pub files: BTreeMap<String, Vec<u8>>,
    /// The user to run as; `None` is the image's own.
    pub user: Option<String>,
}

/// A port of the host that leads to a port of a container.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PublishPort {
    /// The container's TCP port.
    pub container: u16,
    /// The host's port; `None` lets the engine choose a free one.
    pub host: Option<u16>,
    /// The host's address that listens, e.g. `127.0.0.1`.
    pub host_ip: String,
}

/// What the engine does when a container ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    Never,
    /// Starts it again when it failed, at most so many times.
    OnFailure(u32),
    /// Starts it again, also after a restart of the engine, until it is stopped.
    UnlessStopped,
}

impl ContainerSpec {
    /// The fingerprint by which a running container is known to be what is asked for.
    fn fingerprint(&self) -> String {
        let json = serde_json::to_vec(self).expect("a specification has only text keys");
        hex::encode(Sha256::digest(json))
    }

    fn create_body(&self) -> ContainerCreateBody {
        let mut labels: HashMap<String, String> = self.labels.clone().into_iter().collect();
        labels.insert(labels::SPEC.to_owned(), self.fingerprint());
        let first_network = self.networks.first();
        let bindings = self.ports.iter().map(|port| {
            let binding = PortBinding {
                host_ip: Some(port.host_ip.clone()),
                host_port: Some(port.host.unwrap_or(0).to_string()),
            };
            (format!("{}/tcp", port.container), Some(vec![binding]))
        });
        ContainerCreateBody {
            image: Some(self.image.clone()),
            entrypoint: self.entrypoint.clone(),
            cmd: self.command.clone(),
            env: Some(env_list(&self.env)),
            user: self.user.clone(),
            labels: Some(labels),
            exposed_ports: Some(
                self.ports
                    .iter()
                    .map(|port| format!("{}/tcp", port.container))
                    .collect(),
            ),
            networking_config: first_network.map(Attachment::networking_config),
            host_config: Some(HostConfig {
                network_mode: first_network.map(|network| network.network.clone()),
                port_bindings: Some(bindings.collect()),
                restart_policy: Some(self.restart.to_docker()),
                mounts: Some(self.mounts.iter().map(volume_mount).collect()),
                ..self.limits.host_config()
            }),
            ..ContainerCreateBody::default()
        }
    }
}

impl RestartPolicy {
    fn to_docker(self) -> DockerRestartPolicy {
        let (name, maximum_retry_count) = match self {
            Self::Never => (RestartPolicyNameEnum::NO, None),
            Self::OnFailure(times) => (RestartPolicyNameEnum::ON_FAILURE, Some(i64::from(times))),
            Self::UnlessStopped => (RestartPolicyNameEnum::UNLESS_STOPPED, None),
        };
        DockerRestartPolicy {
            name: Some(name),
            maximum_retry_count,
        }
    }
}

impl Engine {
    /// Makes and starts a long-running container. A container of that name made from the same specification is taken
    /// (and started if it stopped); one made from another is [`Error::NameTaken`].
    pub async fn start_service(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let Some((existing, fingerprint)) = self.container_named(&spec.name).await? else {
            return self.launch(spec).await;
        };
        if fingerprint != Some(spec.fingerprint()) {
            return Err(Error::NameTaken {
                name: spec.name.clone(),
            });
        }
        self.start_container(&existing, &spec.image).await?;
        Ok(existing)
    }

    /// Like [`Engine::start_service`], but a container made from another specification is stopped and replaced.
    pub async fn replace_service(
        &self,
        spec: &ContainerSpec,
        grace: Duration,
    ) -> Result<ContainerId> {
        match self.container_named(&spec.name).await? {
            Some((existing, fingerprint)) if fingerprint != Some(spec.fingerprint()) => {
                self.stop(&existing, grace).await?;
                self.remove(&existing).await?;
                self.launch(spec).await
            }
            Some(_) | None => self.start_service(spec).await,
        }
    }

    async fn launch(&self, spec: &ContainerSpec) -> Result<ContainerId> {
        let id = self
            .create_container(Some(spec.name.clone()), &spec.image, spec.create_body())
            .await?;
        let container = Disposable::new(self, id.clone());
        let started = async {
            for network in spec.networks.iter().skip(1) {
                self.connect_network(&id, network).await?;
            }
            if !spec.files.is_empty() {
                self.put_files(&id, "/", &spec.files).await?;
            }
            self.start_container(&id, &spec.image).await
        };
        match started.await {
            Ok(()) => Ok(container.keep()),
            Err(error) => {
                container.dispose().await;
                Err(error)
            }
        }
    }

    /// The container of that name and the fingerprint of the specification that it was made from.
    async fn container_named(&self, name: &str) -> Result<Option<(ContainerId, Option<String>)>> {
        match self.inspect_container(&ContainerId(name.to_owned())).await {
            Ok(found) => {
                let labels = found
                    .config
                    .and_then(|config| config.labels)
                    .unwrap_or_default();
                let id = ContainerId(found.id.unwrap_or_default());
                Ok(Some((id, labels.get(labels::SPEC).cloned())))
            }
            Err(error) if error.is_gone() => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Stops a container: its stop signal, then after the grace a kill. One that isn't there or stopped is fine.
    pub async fn stop(&self, id: &ContainerId, grace: Duration) -> Result<()> {
        let seconds = i32::try_from(grace.as_secs()).unwrap_or(i32::MAX);
        let options = StopContainerOptionsBuilder::default().t(seconds).build();
        let stop = self.docker().stop_container(id.as_str(), Some(options));
        gone_is_fine(self.call("stop the container", grace + QUICK, stop).await)
    }

    /// Removes a container, running or not, with its anonymous volumes. One that isn't there is fine.
    pub async fn remove(&self, id: &ContainerId) -> Result<()> {
        let options = RemoveContainerOptionsBuilder::default()
            .force(true)
            .v(true)
            .build();
        let remove = self.docker().remove_container(id.as_str(), Some(options));
        match gone_is_fine(self.call("remove the container", QUICK, remove).await) {
            Err(Error::Refused {
                status: 409,
                message,
                ..
            }) if message.contains("already in progress") => Ok(()),
            other => other,
        }
    }

    /// Sends a signal, e.g. `HUP`, to a container's first process.
    ///
    /// The engine takes any signal for a wish that the container stops: when it ends, then or later, its restart policy
    /// is not followed.
    pub async fn signal(&self, id: &ContainerId, signal: &str) -> Result<()> {
        let options = KillContainerOptionsBuilder::default()
            .signal(signal)
            .build();
        let doing = format!("send {signal} to the container");
        self.call(
            &doing,
            QUICK,
            self.docker().kill_container(id.as_str(), Some(options)),
        )
        .await
    }

    /// Waits until a container ends and returns its exit code. The wait itself has no limit.
    pub async fn wait_exit(&self, id: &ContainerId) -> Result<i64> {
        let mut wait = self
            .docker()
            .wait_container(id.as_str(), None::<WaitContainerOptions>);
        match wait.next().await {
            Some(Ok(end)) => Ok(end.status_code),
            Some(Err(DockerError::DockerContainerWaitError { code, .. })) => Ok(code),
            Some(Err(error)) => Err(Error::of("wait for the container to end", error)),
            None => Err(Error::Refused {
                doing: "wait for the container to end".to_owned(),
                status: 500,
                message: "the engine closed the connection".to_owned(),
            }),
        }
    }

    pub(crate) async fn create_container(
        &self,
        name: Option<String>,
        image: &str,
        body: ContainerCreateBody,
    ) -> Result<ContainerId> {
        let options = name
            .as_ref()
            .map(|name| CreateContainerOptionsBuilder::default().name(name).build());
        let doing = format!("make a container of {image}");
        // Boxed: a container's configuration is large, and would be in every future above.
        let create = Box::pin(self.docker().create_container(options, body));
        match self.call(&doing, SLOW, create).await {
            Ok(created) => Ok(ContainerId(created.id)),
            Err(Error::NotFound { message, .. }) if message.contains("No such image") => {
                Err(Error::ImageNotFound {
                    image: image.to_owned(),
                    message: "it was not pulled".to_owned(),
                })
            }
            Err(Error::Refused { status: 409, .. }) => Err(Error::NameTaken {
                name: name.unwrap_or_default(),
            }),
            Err(Error::Refused {
                status: 400,
                message,
                ..
            }) => Err(Error::Invalid(message)),
            Err(error) => Err(error),
        }
    }

    pub(crate) async fn start_container(&self, id: &ContainerId, image: &str) -> Result<()> {
        let start = self
            .docker()
            .start_container(id.as_str(), None::<StartContainerOptions>);
        match self.call("start the container", SLOW, start).await {
            // The runtime's words when there is no such program or user. With an init process a missing program shows
            // later, as exit code 127.
            Err(Error::Refused { message, .. } | Error::NotFound { message, .. })
                if message.contains("exec:") || message.contains("unable to find") =>
            {
                Err(Error::CannotStart {
                    image: image.to_owned(),
                    message,
                })
            }
            other => other,
        }
    }
}

fn gone_is_fine(result: Result<()>) -> Result<()> {
    match result {
        Err(error) if error.is_gone() => Ok(()),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_difference_changes_the_fingerprint() {
        let one = ContainerSpec {
            name: "orders".to_owned(),
            ..ContainerSpec::default()
        };
        let mut other = one.clone();
        assert_eq!(one.fingerprint(), other.fingerprint());
        other.env.insert("PORT".to_owned(), "8080".to_owned());
        assert_ne!(one.fingerprint(), other.fingerprint());
    }
}
