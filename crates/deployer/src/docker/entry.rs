//! One door for all services: an edge that somebody started beside Slipway (docker-compose.yml does) and labelled
//! `slipway.role=entry`. It is told the way to every deployed service by host name,
//! `<service>.<environment>.localhost`, and is attached to the environments' networks.

use std::time::Duration;

use container_stage::naming::role;
use edge::table::{Backend, Readiness, Route, Table};
use engine::labels;
use engine::{Attachment, ContainerInfo, Engine};
use sha2::{Digest as _, Sha256};

use super::edge::{StatusError, put_table, status_of};
use super::names;
use super::ports::PUBLISHED;

/// How often the way to the services is looked at.
const EVERY: Duration = Duration::from_secs(3);

/// Keeps every entry's table true, for ever.
pub(crate) async fn keep(engine: &Engine) {
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        if let Err(error) = refresh(engine).await {
            tracing::warn!(
                error = &error as &dyn std::error::Error,
                "the entry was not told about the services"
            );
        }
    }
}

async fn refresh(engine: &Engine) -> Result<(), engine::Error> {
    let entries = engine
        .list(&labels::of([(labels::ROLE, role::ENTRY)]))
        .await?;
    if entries.is_empty() {
        return Ok(());
    }
    let edges = engine
        .list(&labels::of([(labels::ROLE, role::EDGE)]))
        .await?;
    let table = table(&edges);
    for entry in entries.iter().filter(|entry| entry.is_running()) {
        join_networks(engine, entry, &edges).await?;
        let known = match status_of(engine, &entry.id).await {
            Ok(status) => status.generation,
            Err(StatusError::Edge(what)) => {
                tracing::debug!("the entry {} does not answer: {what}", entry.name);
                continue;
            }
            Err(StatusError::Engine(error)) => return Err(error),
        };
        if known != Some(table.generation)
            && let Err(StatusError::Engine(error)) = put_table(engine, &entry.id, &table).await
        {
            return Err(error);
        }
    }
    Ok(())
}

async fn join_networks(
    engine: &Engine,
    entry: &ContainerInfo,
    edges: &[ContainerInfo],
) -> Result<(), engine::Error> {
    let environments = edges
        .iter()
        .filter_map(|edge| edge.labels.get(labels::ENVIRONMENT));
    let networks = environments
        .filter_map(|name| name.parse().ok())
        .map(|name| names::network(&name));
    let missing: std::collections::BTreeSet<String> = networks
        .filter(|network| !entry.addresses.contains_key(network))
        .collect();
    for network in missing {
        engine
            .connect_network(&entry.id, &Attachment::new(network, Vec::<String>::new()))
            .await?;
    }
    Ok(())
}

/// The way to every service. Its generation follows from its content, so that it is uploaded only when it changed.
fn table(edges: &[ContainerInfo]) -> Table {
    let mut routes: Vec<Route> = edges.iter().filter_map(routes_to).flatten().collect();
    routes.sort_by(|a, b| a.host.cmp(&b.host));
    let mut table = Table {
        routes,
        ..Table::new(0, Vec::new())
    };
    let content = serde_json::to_vec(&table).expect("a table has only text keys");
    let hash = Sha256::digest(content);
    table.generation = u64::from(u32::from_be_bytes([hash[0], hash[1], hash[2], hash[3]])) + 1;
    table
}

/// The way to a service, and to the version of it that can be looked at before it has all the traffic: the service's own
/// edge tells the two apart.
fn routes_to(edge: &ContainerInfo) -> Option<[Route; 2]> {
    let (environment, service) = (
        edge.labels.get(labels::ENVIRONMENT)?,
        edge.labels.get(labels::SERVICE)?,
    );
    let hosts = [
        format!("{service}.{environment}.localhost"),
        format!("{service}-preview.{environment}.localhost"),
    ];
    Some(hosts.map(|host| Route {
        host: Some(host),
        backends: vec![Backend {
            name: edge.name.clone(),
            address: format!("{}:{PUBLISHED}", edge.name),
            weight: 1,
            version: String::new(),
            ready: Readiness::Tcp(true),
        }],
        ..Route::default()
    }))
}
