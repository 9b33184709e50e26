//! Running the program as a person or a script does.

use std::path::Path;
use std::process::{Output, Stdio};
use std::time::Duration;

use tempfile::TempDir;
use tokio::process::Command;

use crate::fake_gateway::{FakeGateway, TOKEN};

/// No command of these tests takes longer.
const PATIENCE: Duration = Duration::from_secs(60);

/// The program with an environment of its own: no settings of whoever runs the tests get in.
pub(crate) struct Program {
    home: TempDir,
    variables: Vec<(String, String)>,
}

/// How it ended, and what it printed.
#[derive(Debug)]
pub(crate) struct Ended {
    pub(crate) code: i32,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    /// Nothing is set.
    pub(crate) fn alone() -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            variables: Vec::new(),
        }
    }

    /// Knows a gateway and its token.
    pub(crate) fn of(gateway: &FakeGateway) -> Self {
        Self::alone()
            .with("SLIPWAY_SERVER", gateway.url())
            .with("SLIPWAY_TOKEN", TOKEN)
    }

    /// The same with one more environment variable.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// An empty folder, which is its working directory and its home.
    pub(crate) fn home(&self) -> &Path {
        self.home.path()
    }

    /// Runs it to its end.
    pub(crate) async fn run(&self, arguments: &[&str]) -> Ended {
        let output = Command::new(env!("CARGO_BIN_EXE_slipway"))
            .args(arguments)
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.home())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(self.home())
            .stdin(Stdio::null())
            .kill_on_drop(true)
            .output();
        let output: Output = tokio::time::timeout(PATIENCE, output)
            .await
            .expect("the program hangs")
            .unwrap();
        Ended {
            code: output.status.code().expect("the program was killed"),
            out: String::from_utf8(output.stdout).unwrap(),
            err: String::from_utf8(output.stderr).unwrap(),
        }
    }

    /// Runs it, and it must succeed.
    pub(crate) async fn ok(&self, arguments: &[&str]) -> String {
        let ended = self.run(arguments).await;
        assert_eq!(ended.code, 0, "{arguments:?}\n{}{}", ended.out, ended.err);
        ended.out
    }
}
