//! Running a team's commands in one limited, unprivileged container, with live output.

mod commit;
mod script;

pub use script::shell_script;

use std::{
    collections::BTreeMap,
    pin::pin,
    time::{Duration, Instant},
};

use bollard::{
    container::AttachContainerResults,
    models::{
        ContainerCreateBody, HostConfig, HostConfigLogConfig, Mount as DockerMount, MountType,
        MountVolumeOptions,
    },
    query_parameters::{AttachContainerOptionsBuilder, KillContainerOptionsBuilder},
};
use futures::StreamExt;
use tokio::{io::AsyncWriteExt, time::timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    ByteStream, ContainerId, Engine, Error, Limits, OutputSink, Result,
    connection::QUICK,
    container::disposable::Disposable,
    labels::Labels,
    network::Attachment,
    output::{OutputChunk, emit},
};

/// How long the engine may take to kill a container that has to stop.
const KILL_LIMIT: Duration = Duration::from_secs(10);
/// How long output may trail the end of its container, when whoever reads it is slow.
const DRAIN_LIMIT: Duration = Duration::from_secs(60);

/// What to run, where and how.
pub struct StepSpec {
    /// The container's name; one is made up where it is `None`.
    pub name: Option<String>,
    /// The image; it must be on the engine (see [`Engine::ensure_image`]).
    pub image: String,
    /// The directory to work in; it is made if it isn't there. `None` is the image's own.
    pub workdir: Option<String>,
    /// What to run.
    pub command: StepCommand,
    /// Environment variables on top of the image's.
    pub env: BTreeMap<String, String>,
    /// The network to join; `None` is the engine's default bridge.
    pub network: Option<Attachment>,
    /// What it may use, and for how long.
    pub limits: Limits,
    /// Named volumes: caches that outlive the container.
    pub mounts: Vec<Mount>,
    /// The container's labels.
    pub labels: Labels,
    /// A tar archive to unpack into `workdir` before the start.
    pub files: Option<ByteStream>,
    /// The user to run as; `None` is the image's own.
    pub user: Option<String>,
    /// Keep the container after it ended by itself, for [`Engine::commit`] and [`Engine::download`]. Who keeps it
    /// removes it.
    pub keep: bool,
}

/// What a step runs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepCommand {
    /// Command lines, run one after the other by one `sh`, each printed (`$ cargo test`) before it runs. The first
    /// that fails ends the step; the working directory and exported variables persist from line to line. Neither
    /// commands nor variables become part of the container's configuration, so a commit doesn't leak them.
    Shell(Vec<String>),
    /// A program and its arguments instead of the image's entry point.
    Argv(Vec<String>),
    /// Whatever the image runs by itself.
    Image,
}

/// A named volume in a container.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Mount {
    /// The volume's name; it is made at first use.
    pub volume: String,
    /// Where it appears in the container: an absolute path.
    pub target: String,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// Labels of the volume when it is made.
    pub labels: Labels,
}

/// How a step ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StepEnd {
    /// Why it ended.
    pub exit: StepExit,
    /// The container, if it was kept.
    pub container: Option<ContainerId>,
    /// From the start of the container to its end.
    pub duration: Duration,
}

/// Why a step ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StepExit {
    /// By itself, with this exit code.
    Exited(i64),
    /// It took longer than its limit and was killed.
    TimedOut,
    /// It was cancelled and killed.
    Cancelled,
    /// It used more memory than its limit and was killed by the kernel.
    OutOfMemory,
}

impl StepSpec {
    /// A step that runs command lines in an image, with everything else at its default.
    pub fn shell<I, S>(image: impl Into<String>, lines: I) -> Self
    where
        I: IntoIterator<Item = S>,
        S: Into<String>,
    {
        let lines = lines.into_iter().map(Into::into).collect();
        Self {
            name: None,
            image: image.into(),
            workdir: None,
            command: StepCommand::Shell(lines),
            env: BTreeMap::new(),
            network: None,
            limits: Limits::default(),
            mounts: Vec::new(),
            labels: Labels::new(),
            files: None,
            user: None,
            keep: false,
        }
    }
}

impl Engine {
    /// Runs a step to its end and returns why it ended. Output goes to the sink while it is printed, in order, without
    /// regard to lines; memory stays bounded whatever is printed.
    ///
    /// Cancelling kills the container at once. Unless the step is [kept](StepSpec::keep) and ended by itself, the
    /// container is gone when this returns, and soon afterwards when the future is dropped.
    pub async fn run_step(
        &self,
        mut spec: StepSpec,
        output: OutputSink,
        cancel: &CancellationToken,
    ) -> Result<StepEnd> {
        let began = Instant::now();
        let script = match &spec.command {
            StepCommand::Shell(lines) => Some(shell_script(lines, &spec.env)?),
            StepCommand::Argv(_) | StepCommand::Image => None,
        };
        if cancel.is_cancelled() {
            return Ok(StepEnd {
                exit: StepExit::Cancelled,
                container: None,
                duration: began.elapsed(),
            });
        }
        let files = spec.files.take();
        let id = self
            .create_container(spec.name.clone(), &spec.image, create_body(&spec))
            .await?;
        let container = Disposable::new(self, id.clone());
        let prepared = tokio::select! {
            prepared = self.prepare(&id, &spec, files) => Some(prepared),
            () = cancel.cancelled() => None,
        };
        let ended = match prepared {
            None => Ok((StepExit::Cancelled, Duration::ZERO)),
            Some(Err(error)) => Err(error),
            Some(Ok(streams)) => {
                self.attend(&id, streams, script, output, cancel, spec.limits.time)
                    .await
            }
        };
        let kept =
            spec.keep && matches!(ended, Ok((StepExit::Exited(_) | StepExit::OutOfMemory, _)));
        let container = if kept {
            Some(container.keep())
        } else {
            container.dispose().await;
            None
        };
        ended.map(|(exit, duration)| StepEnd {
            exit,
            container,
            duration,
        })
    }

    /// Fills the working directory, attaches and starts.
    async fn prepare(
        &self,
        id: &ContainerId,
        spec: &StepSpec,
        files: Option<ByteStream>,
    ) -> Result<AttachContainerResults> {
        if let Some(files) = files {
            let dir = spec.workdir.as_deref().unwrap_or("/");
            self.make_directory(id, dir).await?;
            self.upload(id, dir, files).await?;
        }
        let options = AttachContainerOptionsBuilder::default()
            .stream(true)
            .stdin(matches!(spec.command, StepCommand::Shell(_)))
            .stdout(true)
            .stderr(true)
            .build();
        let attach = self.docker().attach_container(id.as_str(), Some(options));
        let streams = self.call("attach to the container", QUICK, attach).await?;
        self.start_container(id, &spec.image).await?;
        Ok(streams)
    }

    /// Feeds the script in, passes the output on, and sees to it that the container ends.
    async fn attend(
        &self,
        id: &ContainerId,
        streams: AttachContainerResults,
        script: Option<String>,
        sink: OutputSink,
        cancel: &CancellationToken,
        limit: Option<Duration>,
    ) -> Result<(StepExit, Duration)> {
        let AttachContainerResults {
            mut output,
            mut input,
        } = streams;
        let started = Instant::now();
        let feed = async move {
            // A container that ends before it has read its script is noticed by its exit code.
            if let Some(script) = script {
                input.write_all(script.as_bytes()).await.ok();
            }
            input.shutdown().await.ok();
        };
        // Set when the step is being stopped: from then on nobody waits for a slow reader. The engine can't kill a
        // container whose output nobody takes.
        let hurry = CancellationToken::new();
        let drain = async {
            while let Some(Ok(chunk)) = output.next().await {
                tokio::select! {
                    biased;
                    () = emit(&sink, OutputChunk::from(chunk)) => {}
                    () = hurry.cancelled() => {}
                }
            }
        };
        let mut pump = pin!(async { tokio::join!(feed, drain) });
        let mut exit = pin!(self.wait_exit(id));
        let natural_end = async {
            tokio::select! {
                _ = &mut pump => exit.await,
                code = &mut exit => {
                    timeout(DRAIN_LIMIT, &mut pump).await.ok();
                    code
                }
            }
        };
        let interrupted = tokio::select! {
            code = natural_end => {
                let exit = self.explain(id, code?).await?;
                return Ok((exit, started.elapsed()));
            }
            () = cancel.cancelled() => StepExit::Cancelled,
            () = deadline(limit) => StepExit::TimedOut,
        };
        hurry.cancel();
        let (killed, _) = tokio::join!(self.kill(id), timeout(KILL_LIMIT, pump));
        killed?;
        Ok((interrupted, started.elapsed()))
    }

    /// Kills a container now.
    async fn kill(&self, id: &ContainerId) -> Result<()> {
        let options = KillContainerOptionsBuilder::default()
            .signal("KILL")
            .build();
        let kill = self.docker().kill_container(id.as_str(), Some(options));
        match self.call("kill the container", KILL_LIMIT, kill).await {
            // 409: it has just ended by itself.
            Err(Error::Refused { status: 409, .. } | Error::NotFound { .. }) | Ok(()) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Tells an exit from an exit for want of memory. The kernel's report reaches the engine apart from the exit
    /// itself, so a killed process is looked at twice.
    async fn explain(&self, id: &ContainerId, code: i64) -> Result<StepExit> {
        const KILLED: i64 = 137;
        if code == 0 {
            return Ok(StepExit::Exited(code));
        }
        for wait in [Duration::ZERO, Duration::from_millis(200)] {
            tokio::time::sleep(wait).await;
            if self.was_out_of_memory(id).await? {
                return Ok(StepExit::OutOfMemory);
            }
            if code != KILLED {
                break;
            }
        }
        Ok(StepExit::Exited(code))
    }

    /// Makes a directory and its parents in a container that need not run.
    async fn make_directory(&self, id: &ContainerId, dir: &str) -> Result<()> {
        let relative = dir.trim_matches('/');
        if relative.is_empty() {
            return Ok(());
        }
        let tar = crate::archive::tar_of_directory(relative)?;
        self.upload(id, "/", crate::bytes_stream(tar)).await
    }
}

/// The container that a step runs in.
fn create_body(spec: &StepSpec) -> ContainerCreateBody {
    let interactive = matches!(spec.command, StepCommand::Shell(_));
    let (entrypoint, cmd, env) = match &spec.command {
        StepCommand::Shell(_) => (Some(script::entrypoint()), Some(Vec::new()), None),
        StepCommand::Argv(argv) => (
            Some(argv.clone()),
            Some(Vec::new()),
            Some(env_list(&spec.env)),
        ),
        StepCommand::Image => (None, None, Some(env_list(&spec.env))),
    };
    ContainerCreateBody {
        image: Some(spec.image.clone()),
        entrypoint,
        cmd,
        env,
        working_dir: spec.workdir.clone(),
        user: spec.user.clone(),
        labels: Some(spec.labels.clone().into_iter().collect()),
        open_stdin: Some(interactive),
        stdin_once: Some(interactive),
        attach_stdin: Some(interactive),
        attach_stdout: Some(true),
        attach_stderr: Some(true),
        networking_config: spec.network.as_ref().map(Attachment::networking_config),
        host_config: Some(HostConfig {
            network_mode: spec.network.as_ref().map(|network| network.network.clone()),
            mounts: Some(spec.mounts.iter().map(volume_mount).collect()),
            // The output is streamed and kept by whoever asked for it; a second copy on disk would only be in the way.
            log_config: Some(HostConfigLogConfig {
                typ: Some("none".to_owned()),
                config: None,
            }),
            ..spec.limits.host_config()
        }),
        ..ContainerCreateBody::default()
    }
}

pub(crate) fn env_list(env: &BTreeMap<String, String>) -> Vec<String> {
    env.iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect()
}

pub(crate) fn volume_mount(mount: &Mount) -> DockerMount {
    DockerMount {
        typ: Some(MountType::VOLUME),
        source: Some(mount.volume.clone()),
        target: Some(mount.target.clone()),
        read_only: Some(mount.read_only),
        volume_options: Some(MountVolumeOptions {
            labels: Some(mount.labels.clone().into_iter().collect()),
            ..MountVolumeOptions::default()
        }),
        ..DockerMount::default()
    }
}

async fn deadline(limit: Option<Duration>) {
    match limit {
        Some(limit) => tokio::time::sleep(limit).await,
        None => std::future::pending().await,
    }
}
