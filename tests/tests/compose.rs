//! `docker compose up -d --build` comes up healthy, takes a run, outlives a crash of everything, and goes without a trace.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;
use slipway_tests::binaries::Binaries;
use slipway_tests::cli::{stage, text};
use slipway_tests::docker::{docker, has_image, remove_images, remove_with_label};
use slipway_tests::{Answer, eventually, http_client, services};
use tempfile::TempDir;
use testkit::docker::BUSYBOX;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

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
/// What the Dockerfile and docker-compose.yml start from.
const IMAGES: [&str; 4] = [
    "rust:1.95",
    "debian:bookworm-slim",
    "registry:2",
    "nats:2.10-alpine",
];
const HEALTHY_LIMIT: Duration = Duration::from_secs(90);
const RUN_LIMIT: Duration = Duration::from_secs(180);
/// A build and a test, with time enough in the test to be killed in.
const STAGES: &str = "\
build: { image: \"slipway-test/busybox:1\", run: [echo whole > built.txt] }
test: { unit: { run: [grep whole built.txt, sleep 4] } }
";

#[tokio::test(flavor = "multi_thread")]
async fn compose_comes_up_healthy_takes_runs_outlives_a_crash_of_everything_and_goes_without_a_trace()
-> Result<()> {
    let Some(here) = Compose::new()? else {
        return Ok(());
    };
    let repository = services::small("orders", STAGES)?;
    open_to_all(repository.path())?;
    here.up(repository.path())?;
    here.is_healthy().await?;

    let started = here.slipway_inside(&["run", "start", "--wait"], repository.path())?;
    let run = started.run()?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    here.answers("0.1.0 hello").await?;

    repository.commit("fix: Again")?;
    let begun = here.slipway_here(&[
        "run",
        "start",
        "--ref",
        "main",
        "--repository",
        &repository.path().display().to_string(),
    ])?;
    let id = text(&begun.run()?, "run_id").to_owned();
    here.stage_runs(&id, "unit-test").await?;
    here.kill_everything()?;
    let run = here.at_rest(&id).await?;
    assert_eq!(text(&run, "state"), "succeeded", "{run:#}");
    here.answers("0.1.1 hello").await?;
    here.is_healthy().await?;

    let address = text(&here.deployed()?, "address").to_owned();
    here.compose(&["down", "--volumes"])?;
    for kind in ["container", "network", "volume"] {
        let left = here.left(kind)?;
        assert!(left.is_empty(), "compose left a {kind}: {left}");
    }
    let still = http_client::get(&address).await?;
    assert_eq!(still.trim(), "0.1.1 hello", "what was deployed stays");
    Ok(())
}

/// A composition with a name, ports and environments of its own. A test that was killed is cleaned up after by the next
/// one of the same checkout, which has the same name.
struct Compose {
    name: String,
    binaries: Binaries,
    folder: TempDir,
    environment: BTreeMap<&'static str, String>,
}

impl Compose {
    /// `None` where the machine lacks what it takes, after saying so; with `SLIPWAY_TEST_REQUIRE=1` that is a panic.
    fn new() -> Result<Option<Self>> {
        if !testkit::docker::engine_answers() {
            return Ok(None);
        }
        if let Some(missing) = missing() {
            let required = std::env::var("SLIPWAY_TEST_REQUIRE").is_ok_and(|value| value == "1");
            assert!(
                !required,
                "there is no {missing}, and SLIPWAY_TEST_REQUIRE=1 asks for it"
            );
            eprintln!("SKIPPED: there is no {missing} (`cargo xtask setup --for compose` helps)");
            return Ok(None);
        }
        testkit::docker::busybox_image()?;
        let mut here = Self {
            name: format!("slipway-test-{:08x}", fingerprint(env!("CARGO_MANIFEST_DIR"))),
            binaries: Binaries::find()?,
            folder: tempfile::tempdir()?,
            environment: BTreeMap::new(),
        };
        here.settings()?;
        here.clean_up();
        Ok(Some(here))
    }

    fn settings(&mut self) -> Result<()> {
        let ports = free_ports::<4>()?;
        let platform = self.folder.path().join("platform.yaml");
        std::fs::write(
            &platform,
            format!(
                "registries:\n  \
                   development: {{ address: \"127.0.0.1:{}\", endpoint: \"http://registry-development:5000\" }}\n  \
                   production: {{ address: \"127.0.0.1:{}\", endpoint: \"http://registry-production:5000\" }}\n\
                 environments:\n  {}: {{}}\n  {}: {{ production: true }}\n",
                ports[0],
                ports[1],
                self.first(),
                self.live()
            ),
        )?;
        open_to_all(&platform)?;
        self.environment = BTreeMap::from([
            ("COMPOSE_PROJECT_NAME", self.name.clone()),
            ("SLIPWAY_BUILD_PROFILE", "dev".to_owned()),
            ("SLIPWAY_TAG", self.name.clone()),
            ("SLIPWAY_PLATFORM_FILE", platform.display().to_string()),
            ("SLIPWAY_REGISTRY_DEVELOPMENT_PORT", ports[0].to_string()),
            ("SLIPWAY_REGISTRY_PRODUCTION_PORT", ports[1].to_string()),
            ("SLIPWAY_GATEWAY_PORT", ports[2].to_string()),
            ("SLIPWAY_EDGE_PORT", ports[3].to_string()),
            ("SLIPWAY_REPOSITORIES", "/srv/git".to_owned()),
        ]);
        Ok(())
    }

    fn first(&self) -> String {
        format!("{}-first", self.name)
    }

    fn live(&self) -> String {
        format!("{}-live", self.name)
    }

    /// The command of the README, with a repository where the services look for repositories.
    fn up(&self, repository: &Path) -> Result<()> {
        todo!()
    }
}
