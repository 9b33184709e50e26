//! The build context: kept once, read as often as tries are needed, without what `.dockerignore` leaves out.

use std::{
    fs::File,
    io::{self, Cursor, Read, Write},
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use bytes::Bytes;
use futures::StreamExt;

use super::{Context, dockerfile, ignore::Ignore};
use crate::{
    ByteStream, Error, Result,
    archive::rewrite::{Verdict, rewrite},
};

/// Larger Dockerfiles and ignore files are surely a mistake.
const TEXT_BYTES: u64 = 4 << 20;

/// A context that was looked through.
pub(super) struct PreparedContext {
    stored: Stored,
    /// The Dockerfile's path, cleaned.
    dockerfile: PathBuf,
    text: String,
    ignore: Arc<Ignore>,
    /// Whether the Dockerfile's `# syntax=` line is left out.
    without_syntax: bool,
}

#[derive(Clone)]
enum Stored {
    Memory(Bytes),
    File(Arc<File>),
}

/// Stores a context and finds its Dockerfile and ignore file.
pub(super) async fn prepare(context: Context, dockerfile: &str) -> Result<PreparedContext> {
    let stored = match context {
        Context::Tar(bytes) => Stored::Memory(bytes),
        Context::Stream(stream) => store(stream).await?,
    };
    let dockerfile = clean(Path::new(dockerfile));
    let scanning = (stored.clone(), dockerfile.clone());
    let scanned = tokio::task::spawn_blocking(move || scan(&scanning.0, &scanning.1))
        .await
        .map_err(io::Error::other)
        .and_then(|scanned| scanned)
        .map_err(|error| Error::archive("read the build context", error))?;
    let Some(text) = scanned.dockerfile else {
        return Err(Error::BuildFailed {
            message: format!(
                "there is no {} in the build context; name the right one as `dockerfile`",
                dockerfile.display()
            ),
        });
    };
    let rules = scanned.own_ignore.or(scanned.ignore).unwrap_or_default();
    let ignore =
        Ignore::parse(&rules, &dockerfile).map_err(|message| Error::BuildFailed { message })?;
    Ok(PreparedContext {
        stored,
        dockerfile,
        text,
        ignore: Arc::new(ignore),
        without_syntax: false,
    })
}

impl PreparedContext {
    /// The frontend that the Dockerfile asks for.
    pub(super) fn syntax(&self) -> Option<&str> {
        dockerfile::syntax(&self.text).filter(|_| !self.without_syntax)
    }

    /// Leaves the `# syntax=` line out from now on.
    pub(super) fn drop_syntax_line(&mut self) {
        self.without_syntax = true;
    }

    /// The context's archive, as the engine gets it.
    pub(super) fn archive(&self) -> ByteStream {
        let ignore = Arc::clone(&self.ignore);
        let replaced = self.without_syntax.then(|| {
            (
                self.dockerfile.clone(),
                dockerfile::without_syntax(&self.text),
            )
        });
        let stored = self.stored.clone();
        crate::archive::produce(move |output| {
            let mut input = stored.reader();
            if ignore.is_empty() && replaced.is_none() {
                return io::copy(&mut input, output).map(drop);
            }
            rewrite(input, output, &mut |path| {
                let path = clean(path);
                match &replaced {
                    Some((dockerfile, text)) if *dockerfile == path => {
                        Verdict::Replace(text.clone().into_bytes())
                    }
                    _ if ignore.excludes(&path) => Verdict::Drop,
                    _ => Verdict::keep_unless_empty(path),
                }
            })
        })
    }
}

impl Stored {
    fn reader(&self) -> Box<dyn Read + Send> {
        match self {
            Self::Memory(bytes) => Box::new(Cursor::new(bytes.clone())),
            Self::File(file) => Box::new(FileReader {
                file: Arc::clone(file),
                position: 0,
            }),
        }
    }
}

/// Reads a shared file from its start: each reader has its own position.
struct FileReader {
    file: Arc<File>,
    position: u64,
}

impl Read for FileReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        use std::os::unix::fs::FileExt;
        let count = self.file.read_at(buffer, self.position)?;
        self.position += count as u64;
        Ok(count)
    }
}

async fn store(mut stream: ByteStream) -> Result<Stored> {
    let failed = |error| Error::archive("store the build context", error);
    let mut file = tempfile::tempfile().map_err(failed)?;
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Error::archive("read the build context", error))?;
        // To the page cache, mostly: a blocking call of this size is shorter than a hand-over to another thread.
        file.write_all(&chunk).map_err(failed)?;
    }
    Ok(Stored::File(Arc::new(file)))
}

#[derive(Default)]
struct Scanned {
    dockerfile: Option<String>,
    ignore: Option<String>,
    /// `<Dockerfile>.dockerignore`, which has precedence.
    own_ignore: Option<String>,
}

fn scan(stored: &Stored, dockerfile: &Path) -> io::Result<Scanned> {
    let mut own_name = dockerfile.as_os_str().to_owned();
    own_name.push(".dockerignore");
    let mut scanned = Scanned::default();
    let mut archive = tar::Archive::new(stored.reader());
    for entry in archive.entries()? {
        let entry = entry?;
        let path = clean(&entry.path()?);
        let slot = if path == dockerfile {
            &mut scanned.dockerfile
        } else if path == Path::new(".dockerignore") {
            &mut scanned.ignore
        } else if path.as_os_str() == own_name {
            &mut scanned.own_ignore
        } else {
            continue;
        };
        let mut text = Vec::new();
        entry.take(TEXT_BYTES).read_to_end(&mut text)?;
        *slot = Some(String::from_utf8_lossy(&text).into_owned());
    }
    Ok(scanned)
}

/// `./a//b/` and `/a/b` are `a/b`.
fn clean(path: &Path) -> PathBuf {
    path.components()
        .filter(|component| matches!(component, Component::Normal(_) | Component::ParentDir))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{bytes_stream, collect, tar_files};

    async fn sent(files: &[(&str, &str)], without_syntax: bool) -> BTreeMap<String, String> {
        let files = files
            .iter()
            .map(|(path, content)| ((*path).to_owned(), content.as_bytes().to_vec()))
            .collect();
        let tar = tar_files(&files).expect("an archive");
        let mut context = prepare(Context::Stream(bytes_stream(tar)), "Dockerfile")
            .await
            .expect("a context");
        context.without_syntax = without_syntax;
        let archive = collect(context.archive(), 1 << 20)
            .await
            .expect("an archive");
        let mut archive = tar::Archive::new(archive.as_ref());
        let entries = archive.entries().expect("entries");
        entries
            .map(|entry| {
                let mut entry = entry.expect("an entry");
                let path = entry.path().expect("a path").display().to_string();
                let mut text = String::new();
                entry.read_to_string(&mut text).expect("text");
                (path, text)
            })
            .collect()
    }

    #[tokio::test]
    async fn what_is_ignored_is_not_sent() {
        let files = [
            ("Dockerfile", "FROM a"),
            (".dockerignore", "*.log\nDockerfile"),
            ("a.log", ""),
            ("b.txt", ""),
        ];
        let sent = sent(&files, false).await;
        assert_eq!(
            sent.keys().collect::<Vec<_>>(),
            [".dockerignore", "Dockerfile", "b.txt"]
        );
    }

    #[tokio::test]
    async fn the_syntax_line_can_be_left_out() {
        let sent = sent(
            &[("Dockerfile", "# syntax=docker/dockerfile:1\nFROM a\n")],
            true,
        )
        .await;
        assert_eq!(sent["Dockerfile"], "#\nFROM a\n");
    }

    #[tokio::test]
    async fn a_missing_dockerfile_is_the_users_mistake() {
        let tar = tar_files(&BTreeMap::new()).expect("an archive");
        let result = prepare(Context::Tar(tar), "docker/Dockerfile").await;
        assert!(
            matches!(result, Err(Error::BuildFailed { message }) if message.contains("docker/Dockerfile"))
        );
    }
}
