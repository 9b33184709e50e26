//! The containers of docker-compose.yml, with a name, ports and environments of their own.

use std::cell::RefCell;
use std::collections::BTreeSet;
use std::fs::{self, Permissions};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use slipway_tests::binaries::Binaries;
use slipway_tests::cli::{stage, text};
use slipway_tests::docker::{docker, remove_images, remove_with_label};
use slipway_tests::{Answer, eventually, http_client};
use tempfile::TempDir;
use testkit::docker::BUSYBOX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

use crate::prerequisites;

/// What must be healthy in the end.
const SERVICES: [&str; 9] = [
    "builder",
    "deployer",
    "edge",
    "gateway",
    "nats",
    "registry-development",
    "registry-production",
    "registry-promoter",
    "test-runner",
];
/// Those of them that say something worth reading.
const OURS: [&str; 5] = [
    "gateway",
    "builder",
    "test-runner",
    "registry-promoter",
    "deployer",
];
const HEALTHY_LIMIT: Duration = Duration::from_secs(90);
const ANSWER_LIMIT: Duration = Duration::from_secs(30);
const RUN_LIMIT: Duration = Duration::from_secs(180);

/// One composition. Everything that it made on the engine is removed when it is dropped, except for the engine's cache.
///
/// Its name follows from the checkout, so what a killed test left is removed by the next.
pub(crate) struct Composition {
    name: String,
    repository: String,
    ports: Ports,
    slipway: PathBuf,
    folder: TempDir,
    runs: RefCell<BTreeSet<String>>,
    passed: bool,
}

struct Ports {
    development: u16,
    production: u16,
    gateway: u16,
    edge: u16,
}

impl Composition {
    /// One that reads `repository`. `None` where the machine lacks what it takes, after saying so; with
    /// `SLIPWAY_TEST_REQUIRE=1` that is a panic.
    pub(crate) fn of(repository: &Path) -> Result<Option<Self>> {
        if !testkit::docker::engine_answers() || !prerequisites::are_there() {
            return Ok(None);
        }
        testkit::docker::busybox_image()?;
        let here = Self {
            name: name_of_checkout(),
            repository: repository.display().to_string(),
            ports: Ports::free()?,
            slipway: Binaries::find()?.slipway,
            folder: tempfile::tempdir()?,
            runs: RefCell::default(),
            passed: false,
        };
        // The services don't run as root.
        fs::set_permissions(repository, Permissions::from_mode(0o755))?;
        fs::write(here.platform(), here.platform_file())?;
        here.clean_up();
        Ok(Some(here))
    }

    /// The repository, as `--repository` takes it.
    pub(crate) fn repository(&self) -> &str {
        &self.repository
    }

    fn environments(&self) -> [String; 2] {
        ["first", "live"].map(|which| format!("{}-{which}", self.name))
    }

    fn live(&self) -> String {
        let [_, live] = self.environments();
        live
    }

    fn platform(&self) -> PathBuf {
        self.folder.path().join("platform.yaml")
    }

    fn platform_file(&self) -> String {
        let [first, live] = self.environments();
        let Ports {
            development,
            production,
            ..
        } = self.ports;
        format!(
            "registries:\n  \
             development: {{ address: \"127.0.0.1:{development}\", endpoint: \"http://registry-development:5000\" }}\n  \
             production: {{ address: \"127.0.0.1:{production}\", endpoint: \"http://registry-production:5000\" }}\n\
             environments:\n  {first}: {{}}\n  {live}: {{ production: true }}\n"
        )
    }

    /// Runs `docker compose` with these arguments, and returns what it printed.
    pub(crate) fn compose(&self, arguments: &[&str]) -> Result<String> {
        let mut command = Command::new("docker");
        command.arg("compose").args(arguments).current_dir(root());
        let answer = self.ask(command)?;
        ensure!(
            answer.good,
            "docker compose {}: {}\n{}",
            arguments.join(" "),
            answer.err,
            answer.out
        );
        Ok(answer.out)
    }

    /// The run that `slipway`, in a container of the composition, prints.
    pub(crate) fn slipway_in_compose(&self, arguments: &[&str]) -> Result<Value> {
        let mut command = Command::new("docker");
        command.args([
            "compose", "run", "--rm", "--no-TTY", "slipway", "--output", "json",
        ]);
        command.args(arguments).current_dir(root());
        Ok(self.remember(self.ask(command)?.run()?))
    }

    /// The run that `slipway`, on this machine, prints.
    pub(crate) fn slipway(&self, arguments: &[&str]) -> Result<Value> {
        Ok(self.remember(self.slipway_here(arguments)?.run()?))
    }

    fn remember(&self, run: Value) -> Value {
        self.runs
            .borrow_mut()
            .insert(text(&run, "run_id").to_owned());
        run
    }

    fn slipway_here(&self, arguments: &[&str]) -> Result<Answer> {
        let tokens = [
            "exec",
            "--no-TTY",
            "gateway",
            "cat",
            "/var/lib/slipway/tokens/tokens",
        ];
        let tokens = self.compose(&tokens)?;
        let token = tokens
            .split_whitespace()
            .last()
            .context("there is no token")?;
        let mut command = Command::new(&self.slipway);
        command
            .args(["--output", "json"])
            .args(arguments)
            .env(
                "SLIPWAY_SERVER",
                format!("http://127.0.0.1:{}", self.ports.gateway),
            )
            .env("SLIPWAY_TOKEN", token);
        self.ask(command)
    }

    fn ask(&self, mut command: Command) -> Result<Answer> {
        let output = command
            .env("COMPOSE_PROJECT_NAME", &self.name)
            .env("SLIPWAY_TAG", &self.name)
            .env("SLIPWAY_BUILD_PROFILE", "dev")
            .env("SLIPWAY_PLATFORM_FILE", self.platform())
            .env("SLIPWAY_REPOSITORIES", &self.repository)
            .env(
                "SLIPWAY_REGISTRY_DEVELOPMENT_PORT",
                self.ports.development.to_string(),
            )
            .env(
                "SLIPWAY_REGISTRY_PRODUCTION_PORT",
                self.ports.production.to_string(),
            )
            .env("SLIPWAY_GATEWAY_PORT", self.ports.gateway.to_string())
            .env("SLIPWAY_EDGE_PORT", self.ports.edge.to_string())
            .stdin(Stdio::null())
            .output()
            .with_context(|| format!("{command:?} can't be run"))?;
        Ok(Answer {
            good: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Waits until every service is healthy.
    pub(crate) async fn is_healthy(&self) -> Result<()> {
        let what = "all services of the composition are healthy";
        eventually(what, HEALTHY_LIMIT, async || {
            let shown = self.containers("{{.Label \"com.docker.compose.service\"}} {{.Status}}")?;
            let ill = SERVICES.iter().find(|service| {
                let healthy = |line: &str| {
                    line.starts_with(&format!("{service} Up")) && line.ends_with("(healthy)")
                };
                !shown.lines().any(healthy)
            });
            ensure!(ill.is_none(), "not healthy:\n{shown}");
            Ok(Some(()))
        })
        .await
    }

    fn containers(&self, format: &str) -> Result<String> {
        docker(&["ps", "--all", "--filter", &self.label(), "--format", format])
    }

    fn label(&self) -> String {
        format!("label=com.docker.compose.project={}", self.name)
    }

    /// Waits until production answers like this, at the service's own address and at the edge of all.
    pub(crate) async fn answers(&self, wanted: &str) -> Result<()> {
        let address = self.address()?;
        let told = http_client::get(&address).await?;
        ensure!(
            told.trim() == wanted,
            "{address} answers {told:?} instead of {wanted:?}"
        );
        let host = format!("orders.{}.localhost", self.live());
        // The deployer tells the edge the way a moment later.
        eventually("the edge knows the way", ANSWER_LIMIT, async || {
            let told = get_as(&host, self.ports.edge).await?;
            ensure!(told.trim_end().ends_with(wanted), "as {host}: {told}");
            Ok(Some(()))
        })
        .await
    }

    /// Where production is.
    pub(crate) fn address(&self) -> Result<String> {
        let shown = self
            .slipway_here(&["environment", "show", &self.live()])?
            .json()?;
        Ok(text(&shown["services"][0], "address").to_owned())
    }

    /// Waits until a stage is running.
    pub(crate) async fn stage_begins(&self, run: &str, name: &str) -> Result<()> {
        eventually(&format!("{name} is running"), RUN_LIMIT, async || {
            let run = self.slipway_here(&["run", "show", run])?.json()?;
            Ok((text(stage(&run, name)?, "state") == "running").then_some(()))
        })
        .await
    }

    /// The run, once it has ended.
    pub(crate) async fn at_rest(&self, run: &str) -> Result<Value> {
        eventually("the run has ended", RUN_LIMIT, async || {
            let run = self.slipway_here(&["run", "show", run])?.json()?;
            Ok(["succeeded", "failed", "cancelled"]
                .contains(&text(&run, "state"))
                .then_some(run))
        })
        .await
    }

    /// Kills the first process of every container, of the composition's and of the deployed ones, as if each had crashed.
    /// `docker kill` would count as a stop that is wanted, after which the engine starts nothing again.
    pub(crate) fn kill_everything(&self) -> Result<()> {
        let deployed = format!("label=slipway.environment={}", self.live());
        let mut ids = self.containers("{{.ID}}")?;
        ids.push_str(&docker(&["ps", "--quiet", "--filter", &deployed])?);
        let inspect = ["inspect", "--format", "{{.State.Pid}}"];
        let ids: Vec<&str> = ids.split_whitespace().collect();
        let processes = docker(&[&inspect[..], &ids].concat())?;
        let running = processes
            .split_whitespace()
            .filter(|process| *process != "0");
        let kill = ["run", "--rm", "--pid", "host", "--network", "none"];
        let kill = kill.into_iter().chain([BUSYBOX, "kill", "-9"]);
        docker(&kill.chain(running).collect::<Vec<_>>()).map(drop)
    }

    /// The ids of the containers, networks or volumes that the composition still has.
    pub(crate) fn left(&self, kind: &str) -> Result<String> {
        let mut arguments = vec![kind, "ls", "--quiet", "--filter"];
        let label = self.label();
        arguments.push(&label);
        if kind == "container" {
            arguments.push("--all");
        }
        docker(&arguments)
    }

    /// Ends it without showing what the services said.
    pub(crate) fn passes(mut self) {
        self.passed = true;
    }

    fn clean_up(&self) {
        remove_with_label(&format!("com.docker.compose.project={}", self.name));
        for environment in self.environments() {
            remove_with_label(&format!("slipway.environment={environment}"));
        }
        for run in self.runs.borrow().iter() {
            remove_with_label(&format!("slipway.run={run}"));
            remove_images(&format!("slipway-workspace/*:{run}"));
        }
        remove_images(&format!("slipway/*:{}", self.name));
        remove_images(&format!("127.0.0.1:{}/*", self.ports.development));
        remove_images(&format!("127.0.0.1:{}/*", self.ports.production));
    }
}

impl Drop for Composition {
    fn drop(&mut self) {
        if !self.passed {
            let log = self.compose(&[&["logs", "--no-color", "--tail", "30"], &OURS[..]].concat());
            eprintln!(
                "the end of what the services said:\n{}",
                log.unwrap_or_else(|error| format!("{error:#}"))
            );
        }
        self.clean_up();
    }
}

impl Ports {
    /// Four that nobody has now. They are below those that the kernel gives to clients: minutes pass until they are used.
    fn free() -> Result<Self> {
        let start = 12_000 + u16::try_from(std::process::id() % 6_000)?;
        let mut free = (start..start + 1_000)
            .filter(|port| TcpListener::bind((Ipv4Addr::LOCALHOST, *port)).is_ok());
        let mut next = || free.next().context("no free port");
        Ok(Self {
            development: next()?,
            production: next()?,
            gateway: next()?,
            edge: next()?,
        })
    }
}

fn root() -> &'static Path {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/.."))
}

fn name_of_checkout() -> String {
    let mut hasher = DefaultHasher::new();
    root().canonicalize().ok().hash(&mut hasher);
    format!("t{:06x}", hasher.finish() & 0xff_ffff)
}

/// Asks for `/` of a host, whatever the resolver of this machine makes of names that end in `.localhost`.
async fn get_as(host: &str, port: u16) -> Result<String> {
    let mut stream = TcpStream::connect((Ipv4Addr::LOCALHOST, port)).await?;
    let request = format!("GET / HTTP/1.0\r\nhost: {host}\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut answer = String::new();
    tokio::time::timeout(ANSWER_LIMIT, stream.read_to_string(&mut answer)).await??;
    Ok(answer)
}
