//! The edge in front of a service: made once, told by a file, asked by commands in its container.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use container_stage::naming::role;
use edge::status::Status;
use edge::table::{Backend, FILE_NAME, Route, Table};
use engine::labels;
use engine::{
    Attachment, ContainerId, ContainerInfo, ContainerSpec, Engine, ExecSpec, PublishPort,
    RestartPolicy,
};
use tokio::time::Instant;

use super::Docker;
use super::names;
use super::ports::{PUBLISHED, candidates};
use crate::error::TargetError;
use crate::wanted::Wanted;

/// How long a new edge may take until it answers.
const PATIENCE: Duration = Duration::from_secs(10);
/// How often it is asked meanwhile.
const ASK: Duration = Duration::from_millis(20);

/// The edge of one service in one environment.
pub(crate) struct Edge {
    id: ContainerId,
    service: String,
    address: String,
}

impl Edge {
    /// The edge that is there, or a new one.
    pub(crate) async fn ensure(
        docker: &Docker,
        wanted: &Wanted,
        port: u16,
    ) -> Result<Self, TargetError> {
        let there = docker.containers(wanted, role::EDGE).await?;
        let running = there.iter().find(|c| c.is_running());
        let container = match running {
            Some(container) => container.clone(),
            None => {
                for container in &there {
                    docker.engine.remove(&container.id).await?;
                }
                start(docker, wanted, port).await?
            }
        };
        let edge = Self {
            address: address(&container).unwrap_or_default(),
            service: wanted.service.to_string(),
            id: container.id,
        };
        edge.answers(&docker.engine).await?;
        Ok(edge)
    }

    /// Where the service answers.
    pub(crate) fn address(&self) -> String {
        self.address.clone()
    }

    /// What the edge says of itself and its backends.
    pub(crate) async fn status(&self, engine: &Engine) -> Result<Status, TargetError> {
        status_of(engine, &self.id)
            .await
            .map_err(|error| self.trouble(error))
    }

    /// Puts a table in force. Neighbours reach the service at each of `ports`.
    pub(crate) async fn route(
        &self,
        engine: &Engine,
        generation: u64,
        ports: impl IntoIterator<Item = u16>,
        backends: Vec<Backend>,
    ) -> Result<(), TargetError> {
        let all = Route {
            backends,
            ..Route::default()
        };
        self.route_by_host(engine, generation, ports, vec![all])
            .await
    }

    /// The same, by the host names that are asked for.
    pub(crate) async fn route_by_host(
        &self,
        engine: &Engine,
        generation: u64,
        ports: impl IntoIterator<Item = u16>,
        routes: Vec<Route>,
    ) -> Result<(), TargetError> {
        let listen: BTreeSet<u16> = ports.into_iter().chain([PUBLISHED]).collect();
        let table = Table {
            listen: listen.into_iter().collect(),
            routes,
            ..Table::new(generation, Vec::new())
        };
        let status = put_table(engine, &self.id, &table)
            .await
            .map_err(|error| self.trouble(error))?;
        if status.generation == Some(generation) {
            return Ok(());
        }
        let error = status.table_error;
        Err(self.complaint(error.map_or_else(
            || "it did not take the new table".to_owned(),
            |error| objection(&error),
        )))
    }

    /// Waits until a new edge answers.
    async fn answers(&self, engine: &Engine) -> Result<(), TargetError> {
        let deadline = Instant::now() + PATIENCE;
        loop {
            match self.status(engine).await {
                Ok(_) => return Ok(()),
                Err(error) if Instant::now() > deadline => return Err(error),
                Err(_) => tokio::time::sleep(ASK).await,
            }
        }
    }

    fn trouble(&self, error: StatusError) -> TargetError {
        match error {
            StatusError::Engine(error) => error.into(),
            StatusError::Edge(what) => self.complaint(what),
        }
    }

    fn complaint(&self, what: String) -> TargetError {
        TargetError::Edge {
            service: self.service.clone(),
            what,
        }
    }
}

/// Why an edge's status can't be had.
pub(crate) enum StatusError {
    Engine(engine::Error),
    Edge(String),
}

/// Asks the edge in a container.
pub(crate) async fn status_of(engine: &Engine, id: &ContainerId) -> Result<Status, StatusError> {
    ask(engine, id, "status").await
}

/// Gives the edge in a container a table; its status then tells whether it took it.
///
/// It is told by a command and not by a signal: to the engine, a signal sent through its API means that the container is
/// to be stopped, and it would not start it again after a crash, whatever the restart policy.
pub(crate) async fn put_table(
    engine: &Engine,
    id: &ContainerId,
    table: &Table,
) -> Result<Status, StatusError> {
    let json = serde_json::to_vec_pretty(table).expect("a table has only text keys");
    let files = BTreeMap::from([(FILE_NAME.to_owned(), json)]);
    engine
        .put_files(id, "/state", &files)
        .await
        .map_err(StatusError::Engine)?;
    ask(engine, id, "reload").await
}

async fn ask(engine: &Engine, id: &ContainerId, command: &str) -> Result<Status, StatusError> {
    let answer = engine
        .exec(id, ExecSpec::new(["/edge", command]))
        .await
        .map_err(StatusError::Engine)?;
    if answer.code != 0 {
        let said = String::from_utf8_lossy(&answer.stderr);
        return Err(StatusError::Edge(refusal(
            command,
            answer.code,
            said.trim(),
        )));
    }
    serde_json::from_slice(&answer.stdout)
        .map_err(|error| StatusError::Edge(format!("unreadable status: {error}")))
}

/// Whether an edge complains of a command, or of an option of one, that it does not have.
fn is_unknown(said: &str) -> bool {
    said.contains("unrecognized subcommand") || said.contains("unexpected argument")
}

/// Why an edge did not do as it was told, in one line, and below it what it said.
pub(super) fn refusal(command: &str, code: i64, said: &str) -> String {
    // So end programs that are given arguments that they don't know.
    const USAGE: i64 = 2;
    match said.lines().count() {
        _ if code == USAGE && is_unknown(said) => format!(
            "it is older than this deployer and does not know `{command}`; remove its container, it is made anew\n{said}"
        ),
        0 => format!("`edge {command}` ended with exit code {code}"),
        _ => said.to_owned(),
    }
}

/// Why an edge did not take a table.
fn objection(error: &str) -> String {
    if error.contains("unknown field") {
        return format!(
            "it is older than this deployer and does not know all that its table says; remove its container, it is made \
             anew\n{error}"
        );
    }
    error.to_owned()
}

/// Where an edge is published.
pub(crate) fn address(edge: &ContainerInfo) -> Option<String> {
    let port = edge.ports.iter().find(|p| p.container == PUBLISHED)?;
    Some(format!("http://{}:{}", port.host_ip, port.host))
}

async fn start(docker: &Docker, wanted: &Wanted, port: u16) -> Result<ContainerInfo, TargetError> {
    let image = docker.edge_image.on(&docker.engine).await?;
    for host in candidates(wanted) {
        let spec = spec(docker, wanted, &image, port, host);
        match docker.engine.start_service(&spec).await {
            Ok(id) => {
                let started = docker.engine.inspect(&id).await?;
                return started.ok_or_else(|| TargetError::Edge {
                    service: wanted.service.to_string(),
                    what: "it was removed right after its start".to_owned(),
                });
            }
            Err(error) if is_port_taken(&error) => {}
            Err(error) => return Err(error.into()),
        }
    }
    let (service, environment) = (wanted.service.to_string(), wanted.environment.to_string());
    Err(TargetError::NoPort {
        service,
        environment,
    })
}

fn spec(docker: &Docker, wanted: &Wanted, image: &str, port: u16, host: u16) -> ContainerSpec {
    ContainerSpec {
        name: names::edge(wanted),
        image: image.to_owned(),
        env: BTreeMap::from([(
            "SLIPWAY_EDGE_LISTEN".to_owned(),
            format!("{PUBLISHED},{port}"),
        )]),
        networks: vec![Attachment::new(
            names::network(&wanted.environment),
            [wanted.service.to_string(), names::preview(wanted)],
        )],
        labels: labels::of([
            (labels::ROLE, role::EDGE),
            (labels::ENVIRONMENT, wanted.environment.as_str()),
            (labels::SERVICE, wanted.service.as_str()),
        ]),
        restart: RestartPolicy::UnlessStopped,
        ports: vec![PublishPort {
            container: PUBLISHED,
            host: Some(host),
            host_ip: docker.publish_address.to_string(),
        }],
        ..ContainerSpec::default()
    }
}

/// The engine has no code of its own for a host port that somebody else has.
fn is_port_taken(error: &engine::Error) -> bool {
    let text = container_stage::outcome::chain(error);
    text.contains("port is already allocated") || text.contains("address already in use")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_an_edge_says_begins_with_one_line_that_says_it_all() {
        let usage = "error: unrecognized subcommand 'reload'\n\nUsage: edge <COMMAND>";
        let old = refusal("reload", 2, usage);
        let (first, rest) = old.split_once('\n').unwrap();
        assert!(first.contains("older than this deployer") && first.contains("`reload`"));
        assert_eq!(rest, usage);
        let option = "error: unexpected argument '--user-agent' found";
        assert!(refusal("load", 2, option).contains("older than this deployer"));
        assert_eq!(refusal("status", 1, "no table"), "no table");
        assert_eq!(
            refusal("status", 137, ""),
            "`edge status` ended with exit code 137"
        );
    }

    #[test]
    fn an_edge_that_does_not_know_a_key_of_its_table_is_to_be_made_anew() {
        let newer = r#"{"generation": 1, "routes": [{"backends": [], "weather": "fine"}]}"#;
        let error = serde_json::from_str::<Table>(newer).unwrap_err();
        let said = objection(&error.to_string());
        let (first, rest) = said.split_once('\n').unwrap();
        assert!(first.contains("remove its container") && rest.contains("`weather`"));
        assert_eq!(objection("cannot listen on :80"), "cannot listen on :80");
    }
}
