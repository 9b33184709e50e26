//! Asking an installation, by its command line, as people and scripts do.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use serde_json::Value;
use tokio::process::Command;

use super::Installation;
use crate::{Answer, docker, eventually};

/// No run of these tests takes longer.
const RUN_LIMIT: Duration = Duration::from_secs(240);

impl Installation {
    /// Runs the `slipway` command with `--output json`, as the one who started the installation.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn slipway(&self, arguments: &[&str]) -> Result<Answer> {
        self.slipway_with(arguments, &[]).await
    }

    /// Runs the `slipway` command with `--output json` and more variables, such as another `SLIPWAY_TOKEN`.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn slipway_with(
        &self,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Result<Answer> {
        let arguments = [arguments, &["--output", "json"]].concat();
        let answer = self.command(&arguments, variables).await?;
        self.remember(&answer);
        Ok(answer)
    }

    /// Runs the `slipway` command as a person would.
    ///
    /// # Errors
    /// When it does not end.
    pub async fn slipway_plain(&self, arguments: &[&str]) -> Result<String> {
        Ok(self.command(arguments, &[]).await?.out)
    }

    async fn command(&self, arguments: &[&str], variables: &[(&str, &str)]) -> Result<Answer> {
        let command = Command::new(&self.binaries.slipway)
            .args(arguments)
            .env("SLIPWAY_DATA_DIR", self.data())
            .env_remove("SLIPWAY_TOKEN")
            .env_remove("SLIPWAY_SERVER")
            .envs(variables.iter().copied())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output = tokio::time::timeout(RUN_LIMIT, command).await;
        let output = output.with_context(|| {
            format!(
                "slipway {} does not end:\n{}",
                arguments.join(" "),
                self.log()
            )
        })??;
        Ok(Answer {
            good: output.status.success(),
            out: String::from_utf8_lossy(&output.stdout).into_owned(),
            err: String::from_utf8_lossy(&output.stderr).into_owned(),
        })
    }

    /// Carries a commit of a repository with one service to its rest.
    ///
    /// # Errors
    /// When there is not one run.
    pub async fn carry(&self, repository: &Path, reference: &str) -> Result<Value> {
        let repository = repository.to_str().context("a path that is text")?;
        let arguments = [
            "run",
            "start",
            "--repository",
            repository,
            "--ref",
            reference,
            "--wait",
        ];
        self.slipway(&arguments).await?.run()
    }

    /// Starts a run, and does not wait for it.
    ///
    /// # Errors
    /// When there is not one run.
    pub async fn begin(&self, repository: &Path) -> Result<String> {
        let repository = repository.to_str().context("a path that is text")?;
        let answer = self
            .slipway(&["run", "start", "--repository", repository, "--ref", "main"])
            .await?;
        Ok(crate::cli::text(&answer.run()?, "run_id").to_owned())
    }

    /// A run as it is now.
    ///
    /// # Errors
    /// When there is none.
    pub async fn run(&self, id: &str) -> Result<Value> {
        self.slipway(&["run", "show", id]).await?.json()
    }

    /// Waits until a run has ended, or waits for a person.
    ///
    /// # Errors
    /// When it does not.
    pub async fn at_rest(&self, id: &str) -> Result<Value> {
        let what = format!("run {id} is at rest");
        let at_rest = eventually(&what, RUN_LIMIT, async || {
            let run = self.run(id).await?;
            Ok((!["queued", "running"].contains(&crate::cli::text(&run, "state"))).then_some(run))
        });
        match at_rest.await {
            Ok(run) => Ok(run),
            Err(error) => Err(error.context(format!("{:#}", self.run(id).await?))),
        }
    }

    /// Waits until a stage of a run is in a state, or beyond: has ended.
    ///
    /// # Errors
    /// When that takes too long.
    pub async fn stage_reaches(&self, id: &str, stage: &str, state: &str) -> Result<Value> {
        eventually(
            &format!("stage {stage} is {state}"),
            RUN_LIMIT,
            async || {
                let run = self.run(id).await?;
                let now = crate::cli::text(crate::cli::stage(&run, stage)?, "state").to_owned();
                Ok(
                    (now == state || !["pending", "queued", "running"].contains(&now.as_str()))
                        .then_some(run),
                )
            },
        )
        .await
    }

    /// A service as an environment shows it.
    ///
    /// # Errors
    /// When the environment does not answer.
    pub async fn deployed(&self, environment: &str, service: &str) -> Result<Option<Value>> {
        let shown = self
            .slipway(&["environment", "show", environment])
            .await?
            .json()?;
        let services = shown["services"]
            .as_array()
            .context("an environment without services")?;
        Ok(services
            .iter()
            .find(|found| found["service"] == service)
            .cloned())
    }

    /// The containers of a service in an environment that take traffic, each with the digest of its image and its
    /// state.
    ///
    /// # Errors
    /// When the engine does not answer.
    pub fn replicas(environment: &str, service: &str) -> Result<Vec<String>> {
        let (environment, service) = (
            format!("slipway.environment={environment}"),
            format!("slipway.service={service}"),
        );
        docker::containers(&["slipway.role=replica", &environment, &service])
    }

    fn remember(&self, answer: &Answer) {
        let Ok(json) = answer.json() else { return };
        let runs = json["runs"].as_array().into_iter().flatten().chain([&json]);
        let ids = runs
            .filter_map(|run| run["run_id"].as_str())
            .map(str::to_owned);
        self.runs
            .lock()
            .expect("nobody panics with the lock")
            .extend(ids);
    }
}
