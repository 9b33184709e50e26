//! The `slipway` command, asked as a script asks it.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::io::{AsyncBufReadExt as _, BufReader};
use tokio::process::Command;

use super::home::Home;
use crate::process;

/// A run takes minutes at the most; one that hangs must not keep the demo for ever.
const RUN_LIMIT: Duration = Duration::from_secs(20 * 60);

/// One run, as far as the demo reads it.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Run {
    pub run_id: String,
    pub state: String,
    pub version: String,
    pub commit: String,
    pub stages: Vec<Stage>,
}

/// One stage of a run.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Stage {
    pub name: String,
    pub state: String,
}

/// What an environment runs.
#[derive(Debug, Clone, Default, Deserialize)]
pub(super) struct Environment {
    pub name: String,
    pub services: Vec<Deployed>,
}

/// One service in an environment.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub(super) struct Deployed {
    pub service: String,
    pub version: String,
    pub image_digest: String,
    pub address: String,
    pub replicas_ready: u32,
    pub run_id: String,
}

impl Run {
    pub(super) fn is_at_rest(&self) -> bool {
        matches!(
            self.state.as_str(),
            "succeeded" | "failed" | "cancelled" | "waiting_for_approval"
        )
    }

    pub(super) fn succeeded(&self) -> bool {
        self.state == "succeeded"
    }
}

impl Environment {
    pub(super) fn service(&self, name: &str) -> Option<&Deployed> {
        self.services.iter().find(|service| service.service == name)
    }
}

#[derive(Deserialize)]
struct Runs {
    runs: Vec<Run>,
}

/// Calls the command against the demo's Slipway.
#[derive(Debug, Clone)]
pub(super) struct Client {
    program: PathBuf,
    data: PathBuf,
}

impl Client {
    pub(super) fn new(program: &Path, home: &Home) -> Self {
        Self {
            program: program.to_owned(),
            data: home.data().to_owned(),
        }
    }

    /// Whether the gateway answers.
    pub(super) async fn answers(&self) -> bool {
        process::run(
            self.command(&["environment", "list", "--output", "json"]),
            process::QUESTION,
        )
        .await
        .is_ok()
    }

    pub(super) async fn environment(&self, name: &str) -> Result<Environment> {
        self.ask(&["environment", "show", name]).await
    }

    pub(super) async fn run(&self, id: &str) -> Result<Run> {
        self.ask(&["run", "show", id]).await
    }

    /// The ids of all runs.
    pub(super) async fn runs(&self) -> Result<Vec<String>> {
        let listed: Runs = self.ask(&["run", "list", "--limit", "100000"]).await?;
        Ok(listed.runs.into_iter().map(|run| run.run_id).collect())
    }

    /// Starts the run of a repository with one service.
    pub(super) async fn start(&self, repository: &Path) -> Result<Run> {
        let path = repository.to_str().context("the path is UTF-8")?;
        let started: Runs = self
            .ask(&["run", "start", "--repository", path, "--ref", "main"])
            .await?;
        let [run] = <[Run; 1]>::try_from(started.runs)
            .map_err(|runs| anyhow::anyhow!("{path} made {} runs; one was expected", runs.len()))?;
        Ok(run)
    }

    /// Follows a run until it is at rest and shows each of its states to `seen`.
    pub(super) async fn follow(&self, run: Run, mut seen: impl FnMut(&Run)) -> Result<Run> {
        let arguments = [
            "run",
            "watch",
            &run.run_id,
            "--until-rest",
            "--output",
            "json",
        ];
        let mut child = self
            .command(&arguments)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("could not start the slipway command")?;
        let output = child.stdout.take().context("the output is piped")?;
        let mut lines = BufReader::new(output).lines();
        let mut latest = run;
        let watching = async {
            while let Some(line) = lines.next_line().await? {
                latest = serde_json::from_str(&line).context("a run is not as expected")?;
                seen(&latest);
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(RUN_LIMIT, watching)
            .await
            .with_context(|| {
                format!(
                    "a run is not at rest after {} minutes",
                    RUN_LIMIT.as_secs() / 60
                )
            })??;
        // Its exit code tells of the run, which is in hand; only a watcher that gave up is asked again.
        child.wait().await?;
        if !latest.is_at_rest() {
            latest = self.run(&latest.run_id).await?;
        }
        if !latest.is_at_rest() {
            bail!("the run {} could not be followed to its end", latest.run_id);
        }
        Ok(latest)
    }

    /// Shows a run as people read it.
    pub(super) async fn show(&self, id: &str) -> Result<()> {
        self.command(&["run", "show", id])
            .status()
            .await
            .context("could not start the slipway command")?;
        Ok(())
    }

    async fn ask<T: DeserializeOwned>(&self, arguments: &[&str]) -> Result<T> {
        let mut command = self.command(arguments);
        command.args(["--output", "json"]);
        let shown = process::shown(&command);
        let printed = process::run(command, process::QUESTION * 6).await?;
        serde_json::from_str(&printed).with_context(|| format!("`{shown}` printed something else"))
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = process::command(&self.program, arguments);
        command.env("SLIPWAY_DATA_DIR", &self.data);
        for variable in ["SLIPWAY_SERVER", "SLIPWAY_TOKEN", "SLIPWAY_TOKEN_FILE"] {
            command.env_remove(variable);
        }
        command
    }
}
