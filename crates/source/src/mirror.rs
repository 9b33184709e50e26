//! One bare repository on disk per address, written by one process at a time.

use std::{
    fs::{self, File, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use sha2::{Digest, Sha256};
use tokio::{
    sync::{Mutex, OwnedMutexGuard},
    task::spawn_blocking,
    time::{Instant, sleep},
};

use crate::{
    Error, RepositoryUrl,
    git::{Call, Git, Trouble},
};

/// How often a lock that another process holds is tried again.
const LOCK_POLL: Duration = Duration::from_millis(25);

/// The file in a mirror that says: something in here could not be read.
const SUSPECT: &str = "slipway-suspect";

/// What `git archive` takes from the mirror rather than from the commit: a build needs every file as it was committed.
const ATTRIBUTES: &str = "* -export-ignore -export-subst\n";

/// Where the fetched part of one repository is kept.
#[derive(Clone, Debug)]
pub(crate) struct Mirror {
    directory: PathBuf,
    lock_file: PathBuf,
    in_process: Arc<Mutex<()>>,
}

/// The right to write to a mirror, in this process and among processes.
#[derive(Debug)]
pub(crate) struct WriteLock {
    _file: File,
    _in_process: OwnedMutexGuard<()>,
}

/// The hash function of a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ObjectFormat {
    Sha1,
    Sha256,
}

/// The name of the mirror of an address.
pub(crate) fn key(url: &RepositoryUrl) -> String {
    hash(url.as_str())
}

pub(crate) fn hash(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..16])
}

impl Mirror {
    pub(crate) fn new(cache: &Path, key: &str, in_process: Arc<Mutex<()>>) -> Self {
        Self {
            directory: cache.join(format!("{key}.git")),
            lock_file: cache.join(format!("{key}.lock")),
            in_process,
        }
    }

    pub(crate) fn directory(&self) -> &Path {
        &self.directory
    }

    /// Waits until nobody else writes.
    pub(crate) async fn lock(
        &self,
        url: &RepositoryUrl,
        patience: Duration,
    ) -> Result<WriteLock, Error> {
        let doing = || format!("waiting for another fetch of {url}");
        let deadline = Instant::now() + patience;
        let late = || Error::Timeout {
            doing: doing(),
            after: patience,
        };
        let in_process =
            tokio::time::timeout_at(deadline, Arc::clone(&self.in_process).lock_owned());
        let in_process = in_process.await.map_err(|_| late())?;
        let file = File::create(&self.lock_file).map_err(Error::io(doing()))?;
        loop {
            match file.try_lock() {
                Ok(()) => {
                    return Ok(WriteLock {
                        _file: file,
                        _in_process: in_process,
                    });
                }
                Err(TryLockError::Error(source)) => {
                    return Err(Error::Io {
                        doing: doing(),
                        source,
                    });
                }
                Err(TryLockError::WouldBlock) if Instant::now() >= deadline => return Err(late()),
                Err(TryLockError::WouldBlock) => sleep(LOCK_POLL).await,
            }
        }
    }

    /// Whether there is something that can be read.
    pub(crate) fn is_usable(&self) -> bool {
        self.directory.join("HEAD").is_file() && !self.directory.join(SUSPECT).exists()
    }

    /// Notes that something could not be read: the next fetch starts from nothing.
    pub(crate) fn suspect(&self) {
        if let Err(error) = fs::write(self.directory.join(SUSPECT), "") {
            // Without its directory the mirror is not usable anyway.
            tracing::debug!(mirror = %self.directory.display(), %error, "cannot mark a damaged mirror");
        }
    }

    /// Makes the mirror ready to be written: made anew when it is missing or damaged, without the traces of a process
    /// that was killed.
    pub(crate) async fn prepare(
        &self,
        _lock: &WriteLock,
        git: &Git,
        time_limit: Duration,
    ) -> Result<(), Trouble> {
        if !self.is_usable() {
            return self
                .recreate(_lock, git, ObjectFormat::Sha1, time_limit)
                .await;
        }
        let directory = self.directory.clone();
        blocking("clearing the traces of an interrupted fetch", move || {
            remove_stale_locks(&directory)
        })
        .await?;
        Ok(())
    }

    /// Throws away what is there and makes an empty mirror.
    pub(crate) async fn recreate(
        &self,
        _lock: &WriteLock,
        git: &Git,
        format: ObjectFormat,
        time_limit: Duration,
    ) -> Result<(), Trouble> {
        let directory = self.directory.clone();
        blocking("clearing the cache of a repository", move || {
            discard(&directory)
        })
        .await?;
        let draft = self.directory.with_extension("new");
        let parent = self.directory.parent().unwrap_or(Path::new("/"));
        let format = match format {
            ObjectFormat::Sha1 => "--object-format=sha1",
            ObjectFormat::Sha256 => "--object-format=sha256",
        };
        let draft_name = draft.to_string_lossy().into_owned();
        let arguments = [
            "init",
            "--quiet",
            "--bare",
            "--template=",
            format,
            "--",
            &draft_name,
        ];
        let call = Call {
            doing: "making the cache of a repository".to_owned(),
            directory: parent,
            arguments: arguments.map(str::to_owned).to_vec(),
            environment: Vec::new(),
            time_limit,
            size_limit_bytes: 1 << 20,
        };
        git.run(call).await?.checked()?;
        let directory = self.directory.clone();
        blocking("making the cache of a repository", move || {
            fs::create_dir_all(draft.join("info"))?;
            fs::write(draft.join("info/attributes"), ATTRIBUTES)?;
            fs::rename(&draft, &directory)
        })
        .await?;
        Ok(())
    }
}

async fn blocking(
    doing: &'static str,
    work: impl FnOnce() -> std::io::Result<()> + Send + 'static,
) -> Result<(), Error> {
    let done = spawn_blocking(work).await.map_err(std::io::Error::other);
    done.flatten().map_err(Error::io(doing))
}

/// Moves the directory away first, so that no reader sees half of it.
fn discard(directory: &Path) -> std::io::Result<()> {
    for suffix in ["new", "old"] {
        remove(&directory.with_extension(suffix))?;
    }
    let old = directory.with_extension("old");
    match fs::rename(directory, &old) {
        Ok(()) => remove(&old),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

fn remove(path: &Path) -> std::io::Result<()> {
    let removed = if path.is_dir() {
        fs::remove_dir_all(path)
    } else {
        fs::remove_file(path)
    };
    match removed {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Removes the lock files that a killed `git` left: we hold our own lock, so nobody is using them.
fn remove_stale_locks(directory: &Path) -> std::io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            if entry.file_name() != "objects" {
                remove_stale_locks(&path)?;
            }
        } else if path
            .extension()
            .is_some_and(|extension| extension == "lock")
            || path.ends_with("gc.pid")
        {
            remove(&path)?;
        }
    }
    Ok(())
}
