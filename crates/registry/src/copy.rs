//! Copying an image from one registry to another, with everything attached to it, without touching the disk.
//!
//! Blobs go first, then manifests from the leaves to the root, then the lists of what is attached: so whoever finds a
//! manifest in the target finds all that it needs, whenever the copy was broken off. Manifests are written with
//! exactly the bytes that were read, so every digest stays.

mod attachments;
mod plan;
mod transfer;

use futures::stream::{self, StreamExt, TryStreamExt};

use crate::{Descriptor, Digest, Error, Identifier, Manifest, Registry, RepositoryName};
use transfer::Moved;

/// How to copy.
#[derive(Debug, Clone, Copy)]
pub struct CopyOptions {
    /// Whether what is attached comes along: referrers, theirs, and cosign's `sha256-<hex>.sig`, `.att`, `.sbom` tags.
    pub include_referrers: bool,
    /// How many blobs or manifests are moved at a time.
    pub concurrency: usize,
}

/// What a copy did.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct CopyReport {
    /// Manifests and indexes written.
    pub manifests: usize,
    /// Blobs sent.
    pub blobs: usize,
    /// Blobs mounted from another repository of the same registry.
    pub mounted: usize,
    /// Blobs and manifests that the target held already.
    pub skipped: usize,
    /// Bytes of blobs sent.
    pub bytes: u64,
    /// Attached artifacts and signatures in the source that the target now has as well.
    pub referrers: usize,
}

/// One repository to copy from and one to copy to.
#[derive(Clone, Copy)]
struct Route<'a> {
    source: &'a Registry,
    source_name: &'a RepositoryName,
    target: &'a Registry,
    target_name: &'a RepositoryName,
}

/// Copies the manifest or index `digest`, all that it needs and, if asked for, all that is attached to it.
///
/// Writes no tag but those by which attached things are found: a release's tag is written last, by
/// [`crate::tag_release`]. What the target has already isn't sent. Doing it again, or twice at a time, is harmless.
///
/// # Errors
/// [`Error::NotFound`] when something is missing in the source, [`Error::Corrupt`] when bytes don't match their
/// digest, [`Error::Conflict`] when the target has other signatures of the same image, and see [`Error`].
pub async fn copy(
    source: &Registry,
    source_name: &RepositoryName,
    digest: &Digest,
    target: &Registry,
    target_name: &RepositoryName,
    options: CopyOptions,
) -> Result<CopyReport, Error> {
    let route = Route {
        source,
        source_name,
        target,
        target_name,
    };
    let plan = plan::plan(source, source_name, digest, options).await?;
    let mut report = CopyReport {
        referrers: plan.attached_count(),
        ..CopyReport::default()
    };
    route
        .move_blobs(plan.blobs(), options.concurrency, &mut report)
        .await?;
    for level in plan.levels() {
        route
            .write_manifests(level, options.concurrency, &mut report)
            .await?;
    }
    for (subject, referrers) in &plan.referrers {
        target
            .list_referrers(target_name, subject, referrers)
            .await?;
    }
    for (tag, manifest) in plan.tagged() {
        attachments::write_tag(target, target_name, tag, manifest).await?;
    }
    Ok(report)
}

impl Route<'_> {
    async fn move_blobs(
        self,
        blobs: Vec<Descriptor>,
        concurrency: usize,
        report: &mut CopyReport,
    ) -> Result<(), Error> {
        let moving =
            stream::iter(blobs).map(|blob| async move { transfer::transfer(self, &blob).await });
        let mut moved = moving.buffer_unordered(concurrency.max(1));
        while let Some(moved) = moved.try_next().await? {
            match moved {
                Moved::AlreadyThere => report.skipped += 1,
                Moved::Mounted => report.mounted += 1,
                Moved::Sent(bytes) => {
                    report.blobs += 1;
                    report.bytes += bytes;
                }
            }
        }
        Ok(())
    }

    async fn write_manifests(
        self,
        manifests: Vec<&Manifest>,
        concurrency: usize,
        report: &mut CopyReport,
    ) -> Result<(), Error> {
        let owned: Vec<Manifest> = manifests.into_iter().cloned().collect();
        let writing =
            stream::iter(owned).map(|manifest| async move { self.write(&manifest).await });
        let mut written = writing.buffer_unordered(concurrency.max(1));
        while let Some(is_new) = written.try_next().await? {
            if is_new {
                report.manifests += 1;
            } else {
                report.skipped += 1;
            }
        }
        Ok(())
    }

    /// Whether the manifest had to be written.
    async fn write(self, manifest: &Manifest) -> Result<bool, Error> {
        let reference = Identifier::Digest(manifest.digest.clone());
        if self
            .target
            .resolve(self.target_name, reference.clone())
            .await?
            .is_some()
        {
            return Ok(false);
        }
        self.target
            .put(self.target_name, &reference, manifest)
            .await?;
        Ok(true)
    }
}

impl Default for CopyOptions {
    fn default() -> Self {
        Self {
            include_referrers: true,
            concurrency: 6,
        }
    }
}
