//! Running one more program in a container that runs.

use std::{collections::BTreeMap, time::Duration};

use bollard::{container::LogOutput, exec::StartExecResults, models::ExecConfig};
use bytes::Bytes;
use futures::StreamExt;

use crate::{
    ContainerId, Engine, Error, Result,
    connection::{QUICK, within},
    step::env_list,
};

/// What is kept of each stream.
const KEPT_BYTES: usize = 1 << 20;

/// A program to run in a container.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecSpec {
    /// The program and its arguments.
    pub argv: Vec<String>,
    /// Environment variables on top of the container's.
    pub env: BTreeMap<String, String>,
    /// How long we wait for it. The engine can't kill it: it goes on in the container.
    pub limit: Duration,
}

/// How a program ended, and what it printed: the first MiB of each stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExecOutput {
    /// Its exit code.
    pub code: i64,
    /// Its standard output.
    pub stdout: Vec<u8>,
    /// Its standard error.
    pub stderr: Vec<u8>,
}

impl ExecSpec {
    /// A program with half a minute to run.
    pub fn new<I, S>(argv: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        Self {
            argv: argv.into_iter().map(Into::into).collect(),
            env: BTreeMap::new(),
            limit: QUICK,
        }
    }
}

impl Engine {
    /// Runs a program in a running container to its end.
    pub async fn exec(&self, id: &ContainerId, spec: ExecSpec) -> Result<ExecOutput> {
        let program = spec.argv.first().cloned().unwrap_or_default();
        let doing = format!("run {program} in the container");
        let limit = spec.limit;
        within(
            &doing,
            limit,
            Box::pin(self.exec_unlimited(id, spec, &doing)),
        )
        .await
    }

    async fn exec_unlimited(
        &self,
        id: &ContainerId,
        spec: ExecSpec,
        doing: &str,
    ) -> Result<ExecOutput> {
        let config = ExecConfig {
            cmd: Some(spec.argv),
            env: Some(env_list(&spec.env)),
            attach_stdout: Some(true),
            attach_stderr: Some(true),
            ..ExecConfig::default()
        };
        let exec = self
            .call(doing, QUICK, self.docker().create_exec(id.as_str(), config))
            .await?;
        let started = self
            .call(doing, QUICK, self.docker().start_exec(&exec.id, None))
            .await?;
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        if let StartExecResults::Attached { mut output, .. } = started {
            while let Some(chunk) = output.next().await {
                match chunk.map_err(|error| Error::of(doing, error))? {
                    LogOutput::StdErr { message } => keep(&mut stderr, &message),
                    other => keep(&mut stdout, &other.into_bytes()),
                }
            }
        }
        let ended = self
            .call(doing, QUICK, self.docker().inspect_exec(&exec.id))
            .await?;
        Ok(ExecOutput {
            code: ended.exit_code.unwrap_or(-1),
            stdout,
            stderr,
        })
    }
}

fn keep(kept: &mut Vec<u8>, more: &Bytes) {
    let room = KEPT_BYTES.saturating_sub(kept.len());
    kept.extend_from_slice(&more[..more.len().min(room)]);
}
