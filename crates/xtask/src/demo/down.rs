//! Removes what the demo left on this machine: its server, containers, networks, volumes, images and directories.
//!
//! Another Slipway may work on the same engine, so that only what belongs to the demo's services and registries goes.

use std::path::Path;

use anyhow::Result;

use super::home::{Home, port_of};
use super::{server, services};
use crate::process;

/// Stops and removes everything.
pub(super) async fn run(root: &Path) -> Result<()> {
    let home = Home::find()?;
    if server::stop(&home).await? {
        println!("  slipway up stopped");
    }
    if process::ask("docker", ["version"]).await.is_some() {
        let removed = Removal::plan(root, &home)?.carry_out().await?;
        println!("  {removed}");
    } else {
        println!("  no container engine answers: containers and images are left, if there are any");
    }
    if home.remove()? {
        println!("  data and repositories removed");
    }
    Ok(())
}

struct Removal {
    services: Vec<String>,
    environments: Vec<String>,
    ports: Vec<u16>,
}

impl Removal {
    fn plan(root: &Path, home: &Home) -> Result<Self> {
        let services = services::read(&root.join("deploy/demo"))?;
        let platform = home.platform()?;
        let (mut environments, mut ports) = (Vec::new(), Vec::new());
        if let Some(platform) = &platform {
            environments.extend(platform.environments.keys().map(ToString::to_string));
            let registries = [
                &platform.registries.development,
                &platform.registries.production,
            ];
            ports.extend(registries.into_iter().filter_map(port_of));
        }
        Ok(Self {
            services: services.into_iter().map(|service| service.name).collect(),
            environments,
            ports,
        })
    }

    async fn carry_out(&self) -> Result<String> {
        let containers = self.containers().await;
        remove(&["rm", "--force", "--volumes"], &containers).await?;
        let networks = self.networks().await;
        let networks = remove_unused(&["network", "rm"], &networks).await;
        let volumes = self.volumes().await;
        remove(&["volume", "rm"], &volumes).await?;
        let images = self.images().await;
        remove(&["image", "rm", "--force"], &images).await?;
        let edges = listed(&[
            "image",
            "ls",
            "--quiet",
            "--filter",
            "label=slipway.role=edge-image",
        ])
        .await;
        let edges = remove_unused(&["image", "rm"], &edges).await;
        Ok(format!(
            "removed {} containers, {networks} networks, {} volumes, {} images",
            containers.len(),
            volumes.len(),
            images.len() + edges
        ))
    }

    async fn containers(&self) -> Vec<String> {
        let mut found = Vec::new();
        for filter in self.of_services() {
            found.extend(listed(&["ps", "--all", "--quiet", "--filter", &filter]).await);
        }
        for name in self.registries() {
            let filter = format!("name=^/{name}$");
            found.extend(listed(&["ps", "--all", "--quiet", "--filter", &filter]).await);
        }
        found
    }

    async fn networks(&self) -> Vec<String> {
        let mut found = Vec::new();
        let environments = self.environments.iter();
        let environments = environments.map(|name| format!("label=slipway.environment={name}"));
        for filter in self.of_services().chain(environments) {
            found.extend(listed(&["network", "ls", "--quiet", "--filter", &filter]).await);
        }
        found
    }

    async fn volumes(&self) -> Vec<String> {
        let mut found = Vec::new();
        for filter in self.of_services() {
            found.extend(listed(&["volume", "ls", "--quiet", "--filter", &filter]).await);
        }
        for name in self.registries() {
            let filter = format!("name=^{name}$");
            found.extend(listed(&["volume", "ls", "--quiet", "--filter", &filter]).await);
        }
        found
    }

    /// Workspaces and build environments by label, what was pushed and pulled by the registries' addresses.
    async fn images(&self) -> Vec<String> {
        let references = self
            .ports
            .iter()
            .map(|port| format!("reference=127.0.0.1:{port}/*"));
        let mut found = Vec::new();
        for filter in self.of_services().chain(references) {
            found.extend(listed(&["image", "ls", "--quiet", "--filter", &filter]).await);
        }
        found.sort();
        found.dedup();
        found
    }

    fn of_services(&self) -> impl Iterator<Item = String> {
        self.services
            .iter()
            .map(|name| format!("label=slipway.service={name}"))
    }

    fn registries(&self) -> impl Iterator<Item = String> {
        self.ports
            .iter()
            .map(|port| format!("slipway-registry-{port}"))
    }
}

async fn listed(arguments: &[&str]) -> Vec<String> {
    let printed = process::ask("docker", arguments).await.unwrap_or_default();
    printed.split_whitespace().map(str::to_owned).collect()
}

async fn remove(action: &[&str], names: &[String]) -> Result<()> {
    if names.is_empty() {
        return Ok(());
    }
    let mut command = process::command("docker", action);
    command.args(names);
    process::run(command, process::QUESTION * 6).await.map(drop)
}

/// Removes what nobody uses, and returns how many those were.
async fn remove_unused(action: &[&str], names: &[String]) -> usize {
    let mut removed = 0;
    for name in names {
        let arguments = action.iter().copied().chain([name.as_str()]);
        if process::ask("docker", arguments).await.is_some() {
            removed += 1;
        }
    }
    removed
}
