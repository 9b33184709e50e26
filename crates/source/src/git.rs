//! Runs the `git` program: a cleared environment, a time limit, a size limit, and nothing left behind.

use std::sync::atomic::{AtomicU64, Ordering};
use std::{
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::{
    io::{AsyncRead, AsyncReadExt},
    process::{Child, ChildStderr, ChildStdout, Command},
    time::timeout,
};

use crate::{
    Error, SourceConfig,
    symptom::{Failure, Symptom},
};

/// How much of what `git` says on standard error is kept.
const STDERR_BYTES: usize = 64 << 10;

/// Configuration for every `git` and for what it starts, such as the serving side of a local fetch. It stands in for
/// the user's file; the system's file is ignored.
const CONFIGURATION: &str = "\
[safe]
\tdirectory = *
[core]
\thooksPath = /dev/null
\tquotePath = false
\tfsmonitor = false
[credential]
\thelper =
[protocol]
\tallow = never
[protocol \"https\"]
\tallow = always
[protocol \"http\"]
\tallow = always
[protocol \"ssh\"]
\tallow = always
[protocol \"git\"]
\tallow = always
[protocol \"file\"]
\tallow = always
[http]
\tlowSpeedLimit = 1000
\tlowSpeedTime = 60
[gc]
\tautoDetach = false
[maintenance]
\tautoDetach = false
[tar]
\tumask = 0022
[advice]
\tdetachedHead = false
";

/// The `git` program with the environment that it always gets.
#[derive(Debug)]
pub(crate) struct Git {
    environment: Vec<(String, OsString)>,
    configuration: PathBuf,
}

/// One run of `git`.
pub(crate) struct Call<'a> {
    /// For error messages: "fetching main of https://…".
    pub(crate) doing: String,
    pub(crate) directory: &'a Path,
    pub(crate) arguments: Vec<String>,
    pub(crate) environment: Vec<(String, OsString)>,
    pub(crate) time_limit: Duration,
    pub(crate) size_limit_bytes: u64,
}

/// What a finished `git` printed.
#[derive(Debug)]
pub(crate) struct Output {
    doing: String,
    code: Option<i32>,
    pub(crate) stdout: Vec<u8>,
    stderr: String,
}

/// A run that did not do what it should: an error already, or a failed `git` whose meaning its caller knows best.
#[derive(Debug)]
pub(crate) enum Trouble {
    Error(Error),
    Git(Failure),
}

impl From<Error> for Trouble {
    fn from(error: Error) -> Self {
        Self::Error(error)
    }
}

impl Output {
    /// What was printed, if `git` succeeded.
    pub(crate) fn checked(self) -> Result<Vec<u8>, Trouble> {
        match self.code {
            Some(0) => Ok(self.stdout),
            _ => Err(Trouble::Git(Failure::new(self.doing, &self.stderr))),
        }
    }

    /// What a failure means; none when `git` succeeded or answered no.
    pub(crate) fn symptom(&self) -> Option<Symptom> {
        match self.code {
            Some(0 | 1) => None,
            _ => Some(Failure::new(String::new(), &self.stderr).symptom),
        }
    }

    /// The answer of a command that exits with 0 for yes and 1 for no.
    pub(crate) fn yes_or_no(self) -> Result<bool, Trouble> {
        match self.code {
            Some(1) => Ok(false),
            _ => self.checked().map(|_| true),
        }
    }
}

impl Git {
    /// Writes the configuration file into the cache, where each `git` finds it.
    pub(crate) fn new(cache: &Path, config: &SourceConfig) -> Result<Self, Error> {
        let configuration = cache.join("gitconfig");
        // Services of one process share the cache, and open it at the same time.
        static DRAFTS: AtomicU64 = AtomicU64::new(0);
        let number = DRAFTS.fetch_add(1, Ordering::Relaxed);
        let draft = cache.join(format!("gitconfig.{}.{number}", std::process::id()));
        std::fs::write(&draft, CONFIGURATION)
            .and_then(|()| std::fs::rename(&draft, &configuration))
            .map_err(Error::io("writing the configuration of git"))?;
        Ok(Self {
            environment: config.environment.clone(),
            configuration,
        })
    }

    /// Runs to the end.
    pub(crate) async fn run(&self, call: Call<'_>) -> Result<Output, Error> {
        let (
            Running {
                mut child,
                mut stderr,
                guard,
            },
            mut stdout,
        ) = self.start(&call)?;
        let limit = call.size_limit_bytes;
        let work = async {
            let (stdout, stderr) = tokio::try_join!(
                read_limited(&mut stdout, limit),
                read_last_words(&mut stderr)
            )?;
            io::Result::Ok((stdout, stderr, child.wait().await?.code()))
        };
        match timeout(call.time_limit, work).await {
            Err(_) => Err(Error::Timeout {
                doing: call.doing,
                after: call.time_limit,
            }),
            Ok(Err(source)) if source.kind() == io::ErrorKind::FileTooLarge => {
                Err(Error::TooLarge {
                    what: format!("the result of {}", call.doing),
                    limit_bytes: limit,
                })
            }
            Ok(Err(source)) => Err(Error::Io {
                doing: call.doing,
                source,
            }),
            Ok(Ok((stdout, stderr, code))) => {
                guard.disarm();
                Ok(Output {
                    doing: call.doing,
                    code,
                    stdout,
                    stderr,
                })
            }
        }
    }

    /// Starts `git`; its output is read by the caller, who keeps what is returned until the end.
    pub(crate) fn start(&self, call: &Call<'_>) -> Result<(Running, ChildStdout), Error> {
        let mut command = Command::new("git");
        command
            .args(&call.arguments)
            .current_dir(call.directory)
            .env_clear()
            .envs(self.environment.iter().map(|(name, value)| (name, value)))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            .env("GIT_CONFIG_GLOBAL", &self.configuration)
            .env("GIT_TERMINAL_PROMPT", "0")
            .env("GIT_LITERAL_PATHSPECS", "1")
            .env("GIT_LFS_SKIP_SMUDGE", "1")
            .env("GIT_SSH_COMMAND", "ssh -oBatchMode=yes -oConnectTimeout=30")
            .env("LC_ALL", "C")
            .envs(call.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn().map_err(|source| match source.kind() {
            io::ErrorKind::NotFound if call.directory.is_dir() => Error::GitMissing,
            _ => Error::Io {
                doing: call.doing.clone(),
                source,
            },
        })?;
        let guard = ProcessGroup::of(&child);
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            unreachable!("both were asked for above")
        };
        Ok((
            Running {
                child,
                stderr,
                guard,
            },
            stdout,
        ))
    }
}

/// A `git` under way; dropped, it is killed with everything it started.
pub(crate) struct Running {
    pub(crate) child: Child,
    pub(crate) stderr: ChildStderr,
    pub(crate) guard: ProcessGroup,
}

/// Kills a process group when dropped: Git leaves the network to programs that would outlive it.
pub(crate) struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(child: &Child) -> Self {
        Self(
            child
                .id()
                .and_then(|id| i32::try_from(id).ok())
                .and_then(Pid::from_raw),
        )
    }

    /// The leader has ended, so its number may soon belong to another process.
    pub(crate) fn disarm(mut self) {
        self.0 = None;
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(leader) = self.0 {
            // The group may be gone already; nothing else can go wrong here.
            let _ = kill_process_group(leader, Signal::KILL);
        }
    }
}

async fn read_limited(from: &mut (impl AsyncRead + Unpin), limit: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    from.take(limit + 1).read_to_end(&mut bytes).await?;
    if bytes.len() as u64 > limit {
        Err(io::ErrorKind::FileTooLarge.into())
    } else {
        Ok(bytes)
    }
}

/// Reads to the end, so that the writer never waits, and keeps the last part.
pub(crate) async fn read_last_words(from: &mut (impl AsyncRead + Unpin)) -> io::Result<String> {
    let mut kept = Vec::new();
    let mut chunk = [0; 8 << 10];
    loop {
        let count = from.read(&mut chunk).await?;
        if count == 0 {
            return Ok(String::from_utf8_lossy(&kept).into_owned());
        }
        kept.extend_from_slice(&chunk[..count]);
        kept.drain(..kept.len().saturating_sub(STDERR_BYTES));
    }
}
