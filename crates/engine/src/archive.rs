//! Archives: what goes into containers and builds, and what comes out, as streams of tar.

mod pipe;
pub(crate) use pipe::produce;
pub(crate) mod rewrite;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    pin::Pin,
    time::Duration,
};

use bollard::{
    body_try_stream,
    models::ContainerCreateBody,
    query_parameters::{DownloadFromContainerOptionsBuilder, UploadToContainerOptionsBuilder},
};
use bytes::{Bytes, BytesMut};
use futures::{Stream, StreamExt, TryStreamExt, stream};
use sync_wrapper::SyncStream;

use crate::{
    ContainerId, Engine, Error, Result,
    connection::{SLOW, within},
    container::disposable::Disposable,
};

/// Bytes as they come. An error ends the stream.
pub type ByteStream = Pin<Box<dyn Stream<Item = io::Result<Bytes>> + Send + Sync>>;

/// Any stream of bytes as a [`ByteStream`].
pub fn byte_stream(stream: impl Stream<Item = io::Result<Bytes>> + Send + 'static) -> ByteStream {
    Box::pin(SyncStream::new(stream))
}

/// How long an archive may pause before we give the engine up.
const IDLE_LIMIT: Duration = Duration::from_secs(120);

/// Bytes that are here already, as a stream.
pub fn bytes_stream(bytes: impl Into<Bytes>) -> ByteStream {
    byte_stream(stream::iter([Ok(bytes.into())]))
}

/// Reads a stream to its end; more than `limit` bytes are an error.
pub async fn collect(mut stream: ByteStream, limit: usize) -> Result<Bytes> {
    let mut all = BytesMut::new();
    while let Some(chunk) = stream.next().await {
        let chunk = chunk.map_err(|error| Error::archive("read the archive", error))?;
        if all.len() + chunk.len() > limit {
            let error = io::Error::other(format!("it is larger than {limit} bytes"));
            return Err(Error::archive("read the archive", error));
        }
        all.extend_from_slice(&chunk);
    }
    Ok(all.freeze())
}

/// The archive of a directory of this machine, with paths relative to it. Symbolic links stay links.
pub fn tar_directory(directory: impl Into<PathBuf>) -> ByteStream {
    let directory = directory.into();
    produce(move |output| {
        let mut builder = tar::Builder::new(output);
        builder.follow_symlinks(false);
        builder.append_dir_all("", &directory)?;
        builder.into_inner().map(drop)
    })
}

/// An archive of files: path to content. What starts with `#!` is executable.
pub fn tar_files(files: &BTreeMap<String, Vec<u8>>) -> Result<Bytes> {
    let mut builder = tar::Builder::new(Vec::new());
    for (path, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(if content.starts_with(b"#!") {
            0o755
        } else {
            0o644
        });
        builder
            .append_data(
                &mut header,
                path.trim_start_matches('/'),
                content.as_slice(),
            )
            .map_err(|error| Error::archive(&format!("put {path} into an archive"), error))?;
    }
    finish(builder)
}

/// An archive of one directory and its parents.
pub(crate) fn tar_of_directory(path: &str) -> Result<Bytes> {
    let mut builder = tar::Builder::new(Vec::new());
    let mut header = tar::Header::new_gnu();
    header.set_entry_type(tar::EntryType::Directory);
    header.set_size(0);
    header.set_mode(0o755);
    builder
        .append_data(&mut header, path, io::empty())
        .map_err(|error| Error::archive(&format!("put {path} into an archive"), error))?;
    finish(builder)
}

fn finish(builder: tar::Builder<Vec<u8>>) -> Result<Bytes> {
    let bytes = builder
        .into_inner()
        .map_err(|error| Error::archive("finish an archive", error))?;
    Ok(bytes.into())
}

/// Drops the first component of every path of an archive: what the engine calls `app/src/main.rs` becomes
/// `src/main.rs`. The directory itself goes.
pub fn reroot(archive: ByteStream) -> ByteStream {
    pipe::transform(archive, |input, output| {
        rewrite::rewrite(input, output, &mut |path: &Path| {
            let rest: PathBuf = path.components().skip(1).collect();
            rewrite::Verdict::keep_unless_empty(rest)
        })
    })
}

impl Engine {
    /// Unpacks a tar archive into a directory of a container, which need not run. The directory must exist.
    pub async fn upload(
        &self,
        id: &ContainerId,
        directory: &str,
        archive: ByteStream,
    ) -> Result<()> {
        let options = UploadToContainerOptionsBuilder::default()
            .path(directory)
            .build();
        let doing = format!("copy files into {directory} of the container");
        let upload =
            self.docker()
                .upload_to_container(id.as_str(), Some(options), body_try_stream(archive));
        self.call(&doing, SLOW, upload).await
    }

    /// Puts files into a directory of a container, which need not run: relative path to content.
    pub async fn put_files(
        &self,
        id: &ContainerId,
        directory: &str,
        files: &BTreeMap<String, Vec<u8>>,
    ) -> Result<()> {
        self.upload(id, directory, bytes_stream(tar_files(files)?))
            .await
    }

    /// The archive of a file or directory of a container, which need not run. Its paths start with the last
    /// component of `path`; see [`reroot`].
    pub async fn download(&self, id: &ContainerId, path: &str) -> Result<ByteStream> {
        let options = DownloadFromContainerOptionsBuilder::default()
            .path(path)
            .build();
        let doing = format!("copy {path} out of the container");
        let mut chunks = Box::pin(
            self.docker()
                .download_from_container(id.as_str(), Some(options)),
        );
        // A wrong path is told by the first chunk: the caller gets it as an error, not in the middle of a stream.
        let first = within(&doing, SLOW, async {
            chunks
                .next()
                .await
                .transpose()
                .map_err(|error| Error::of(&doing, error))
        })
        .await?;
        let rest = stream::try_unfold(chunks, |mut chunks| async move {
            match tokio::time::timeout(IDLE_LIMIT, chunks.next()).await {
                Ok(Some(Ok(chunk))) => Ok(Some((chunk, chunks))),
                Ok(Some(Err(error))) => Err(io::Error::other(error)),
                Ok(None) => Ok(None),
                Err(_) => Err(io::ErrorKind::TimedOut.into()),
            }
        });
        Ok(byte_stream(stream::iter(first.map(Ok)).chain(rest)))
    }

    /// The content of a directory of an image, with paths relative to it: fit to be a build context or the files of
    /// a step. No container of the image is run.
    pub async fn image_tar(&self, image: &str, directory: &str) -> Result<ByteStream> {
        let body = ContainerCreateBody {
            image: Some(image.to_owned()),
            // Never run; the engine only wants that there is something.
            entrypoint: Some(vec!["/".to_owned()]),
            ..ContainerCreateBody::default()
        };
        let id = self.create_container(None, image, body).await?;
        let container = Disposable::new(self, id.clone());
        let archive = match self.download(&id, directory).await {
            Ok(archive) => archive,
            Err(error) => {
                container.dispose().await;
                return Err(error);
            }
        };
        let archive = match directory.trim_matches('/') {
            "" => archive,
            _ => reroot(archive),
        };
        // The container goes with the stream: at its end, or when it is dropped.
        let mut container = Some(container);
        let last = stream::once(async move {
            if let Some(container) = container.take() {
                container.dispose().await;
            }
            Ok(Bytes::new())
        });
        Ok(byte_stream(
            archive
                .chain(last)
                .try_filter(|chunk| std::future::ready(!chunk.is_empty())),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn paths(stream: ByteStream) -> Vec<String> {
        let bytes = collect(stream, 1 << 20).await.expect("the archive is read");
        let mut archive = tar::Archive::new(bytes.as_ref());
        let entries = archive.entries().expect("an archive");
        entries
            .map(|entry| {
                entry
                    .expect("an entry")
                    .path()
                    .expect("a path")
                    .display()
                    .to_string()
            })
            .collect()
    }

    #[tokio::test]
    async fn rerooting_drops_the_first_component() {
        let files = BTreeMap::from([
            ("app/a.txt".to_owned(), b"a".to_vec()),
            (format!("app/{}/b.txt", "long".repeat(60)), b"b".to_vec()),
        ]);
        let tar = tar_files(&files).expect("an archive");
        let paths = paths(reroot(bytes_stream(tar))).await;
        assert_eq!(
            paths,
            ["a.txt".to_owned(), format!("{}/b.txt", "long".repeat(60))]
        );
    }

    #[tokio::test]
    async fn a_directory_becomes_an_archive() {
        let dir = tempfile::tempdir().expect("a directory");
        std::fs::create_dir(dir.path().join("sub")).expect("a directory");
        std::fs::write(dir.path().join("sub/file"), "x").expect("a file");
        let paths = paths(tar_directory(dir.path())).await;
        assert!(paths.contains(&"sub/file".to_owned()), "{paths:?}");
    }

    #[tokio::test]
    async fn a_broken_archive_is_an_error_not_an_empty_one() {
        let result = collect(reroot(bytes_stream(vec![7_u8; 2000])), 1 << 20).await;
        assert!(matches!(result, Err(Error::Archive { .. })), "{result:?}");
    }
}
