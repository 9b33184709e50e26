//! Removes what the demo left on this machine: its server, containers, networks, volumes, images and directories.
//!
//! Another Slipway may work on the same engine, so that only what belongs to the demo's services and registries goes.

use std::path::Path;

use anyhow::Result;
use domain::platform::PlatformSpec;

use super::client::Client;
use super::home::{Home, port_of};
use super::server;
use super::services::{self, Service};
use crate::process;

/// Stops and removes everything.
pub(super) async fn run(root: &Path) -> Result<()> {
    let home = Home::find()?;
    // While it runs it knows its runs; their containers and images can't be told from others' any other way.
    let runs = match server::program(&home) {
        Some(program) => Client::new(&program, &home)
            .runs()
            .await
            .unwrap_or_default(),
        None => Vec::new(),
    };
    if server::stop(&home).await? {
        println!("  slipway up stopped");
    }
    let services = services::read(&root.join("deploy/demo"))?;
    match home.platform()? {
        None => println!("  no containers: the demo never began"),
        Some(_) if process::ask("docker", ["version"]).await.is_none() => {
            println!("  no container engine answers: containers and images are left");
        }
        Some(platform) => {
            let edges = edge_images(&platform).await;
            let traces = traces(&services, &platform, &runs, &edges);
            println!("  {}", carry_out(&traces).await?);
        }
    }
    if home.remove()? {
        println!("  data and repositories removed");
    }
    Ok(())
}

/// A kind of thing that the engine keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Container,
    Network,
    Volume,
    Image,
}

/// The demo's things of a kind, as a list of the engine's filters that all must hold.
#[derive(Debug, PartialEq, Eq)]
struct Trace {
    kind: Kind,
    filters: Vec<String>,
}

impl Trace {
    fn new<const N: usize>(kind: Kind, filters: [String; N]) -> Self {
        Self {
            kind,
            filters: filters.into(),
        }
    }
}

/// Where the demo's things are found, in the order in which they can be removed.
fn traces(
    services: &[Service],
    platform: &PlatformSpec,
    runs: &[String],
    edges: &[String],
) -> Vec<Trace> {
    use Kind::{Container, Image, Network, Volume};
    let registries = &platform.registries;
    let registries = [&registries.development, &registries.production];
    let ports: Vec<u16> = registries.into_iter().filter_map(port_of).collect();
    let mut traces = Vec::new();
    for environment in platform.environments.keys() {
        let environment = format!("label=slipway.environment={environment}");
        for service in services {
            let service = format!("label=slipway.service={}", service.name);
            traces.push(Trace::new(Container, [environment.clone(), service]));
        }
        traces.push(Trace::new(Network, [environment]));
    }
    for run in runs {
        for kind in [Container, Network, Image] {
            traces.push(Trace::new(kind, [format!("label=slipway.run={run}")]));
        }
    }
    for port in ports {
        let name = format!("slipway-registry-{port}");
        traces.push(Trace::new(Container, [format!("name=^/{name}$")]));
        traces.push(Trace::new(Volume, [format!("name=^{name}$")]));
        let pushed = format!("reference=127.0.0.1:{port}/*");
        traces.push(Trace::new(Image, [pushed]));
    }
    for Service { name, .. } in services {
        let service = format!("label=slipway.service={name}");
        traces.push(Trace::new(Volume, [service]));
    }
    let edges = edges.iter().map(|name| format!("reference={name}"));
    traces.extend(edges.map(|edge| Trace::new(Image, [edge])));
    traces
}

/// The images that the environments' edges run.
async fn edge_images(platform: &PlatformSpec) -> Vec<String> {
    let mut names = Vec::new();
    for environment in platform.environments.keys() {
        let environment = format!("label=slipway.environment={environment}");
        let edges = "label=slipway.role=edge";
        let filters = ["--filter", edges, "--filter", &environment];
        let list = ["ps", "--all", "--format", "{{.Image}}"];
        let printed = process::ask("docker", list.into_iter().chain(filters)).await;
        let printed = printed.unwrap_or_default();
        names.extend(printed.split_whitespace().map(str::to_owned));
    }
    names.sort();
    names.dedup();
    names
}

async fn carry_out(traces: &[Trace]) -> Result<String> {
    let mut removed = [0; 4];
    for trace in traces {
        for id in found(trace).await {
            removed[trace.kind as usize] += usize::from(remove(trace, &id).await?);
        }
    }
    let [containers, networks, volumes, images] = removed;
    Ok(format!(
        "removed {containers} containers, {networks} networks, {volumes} volumes, {images} images"
    ))
}

async fn found(trace: &Trace) -> Vec<String> {
    let list: &[&str] = match trace.kind {
        Kind::Container => &["ps", "--all", "--quiet"],
        Kind::Network => &["network", "ls", "--quiet"],
        Kind::Volume => &["volume", "ls", "--quiet"],
        Kind::Image => &["image", "ls", "--quiet"],
    };
    let filters = trace.filters.iter();
    let filters = filters.flat_map(|filter| ["--filter", filter.as_str()]);
    let printed = process::ask("docker", list.iter().copied().chain(filters)).await;
    let mut ids: Vec<_> = printed
        .unwrap_or_default()
        .split_whitespace()
        .map(str::to_owned)
        .collect();
    ids.sort();
    ids.dedup();
    ids
}

/// Removes one thing; whether it went. A container must go; what another Slipway uses as well stays.
async fn remove(trace: &Trace, id: &str) -> Result<bool> {
    let action: &[&str] = match trace.kind {
        Kind::Container => &["rm", "--force", "--volumes"],
        Kind::Network => &["network", "rm"],
        Kind::Volume => &["volume", "rm"],
        // An image has several names, and goes only with all of them.
        Kind::Image => &["image", "rm", "--force"],
    };
    let command = process::command("docker", action.iter().copied().chain([id]));
    match process::run(command, process::QUESTION * 3).await {
        Ok(_) => Ok(true),
        Err(error) if trace.kind == Kind::Container => Err(error),
        Err(_) => Ok(false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_belongs_to_the_demo_is_looked_for() {
        let services = [Service {
            name: "orders".to_owned(),
            folder: "orders".into(),
            needs: [].into(),
        }];
        let platform = PlatformSpec::default_for_one_machine("127.0.0.1:5000", "127.0.0.1:5001");
        let traces = traces(&services, &platform, &["r1".to_owned()], &[]);
        for trace in traces.iter().filter(|trace| trace.kind == Kind::Container) {
            let filters = trace.filters.join(" ");
            let is_narrow = filters.contains("environment=") && filters.contains("service=orders")
                || filters.contains("run=r1")
                || filters.contains("slipway-registry-500");
            assert!(is_narrow, "{filters} may be somebody else's");
        }
    }
}
