//! The data directory: the token, the gateway's address, NATS's files, clones of repositories.

use std::fs;
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::token;

/// The directory that `slipway up` keeps everything in, readable by its owner only.
pub(super) struct DataDirectory {
    path: PathBuf,
}

impl DataDirectory {
    /// Opens the directory, and makes it and a token if they are not there.
    pub(super) fn open(named: Option<&Path>) -> anyhow::Result<Self> {
        let path = named
            .map(Path::to_path_buf)
            .or_else(|| token::data_dir(&token::process_environment))
            .context("no data directory: give --data-dir, or set HOME")?;
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&path)
            .with_context(|| format!("can't make the data directory {}", path.display()))?;
        let path = path.canonicalize()?;
        let data = Self { path };
        data.ensure_token()?;
        Ok(data)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn token_file(&self) -> PathBuf {
        self.path.join("token")
    }

    pub(super) fn nats(&self) -> PathBuf {
        self.path.join("nats")
    }

    pub(super) fn sources(&self) -> PathBuf {
        self.path.join("source")
    }

    /// Leaves the gateway's address where the command line finds it.
    pub(super) fn publish_endpoint(&self, url: &str) -> anyhow::Result<()> {
        let path = self.path.join("endpoint");
        fs::write(&path, format!("{url}\n"))
            .with_context(|| format!("can't write {}", path.display()))
    }

    /// The first line is the token of whoever runs Slipway here; more lines can be added for others.
    fn ensure_token(&self) -> anyhow::Result<()> {
        let path = self.token_file();
        let file = fs::OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        let mut file = match file {
            Ok(file) => file,
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => return Ok(()),
            Err(error) => {
                return Err(error).with_context(|| format!("can't write {}", path.display()));
            }
        };
        let name = std::env::var("USER")
            .ok()
            .filter(|n| is_plain(n))
            .unwrap_or_else(|| "operator".to_owned());
        let random =
            uuid::Uuid::new_v4().simple().to_string() + &uuid::Uuid::new_v4().simple().to_string();
        writeln!(file, "{name} {random}").with_context(|| format!("can't write {}", path.display()))
    }
}

fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "-_.@".contains(c))
}
