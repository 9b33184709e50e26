//! The tag of a release, which never moves.

use crate::{Digest, Error, Identifier, Registry, RepositoryName, Tag};

/// What became of a release tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TagOutcome {
    /// It was written.
    Created,
    /// It names the digest already. A write that was tried again because its answer got lost ends here too.
    AlreadyThere,
}

/// Tags `digest`, which the repository holds, as a release.
///
/// Registries can't write a tag only if it is absent. Calls through clones of one [`Registry`] exclude each other;
/// between processes the tag is read again after writing, so that of two writers with different digests at least the
/// one whose tag was replaced before it looked is told. Whoever needs more decides who releases before coming here.
///
/// # Errors
/// [`Error::TagMoved`] when the tag names something else, [`Error::NotFound`] when the digest isn't there, and see
/// [`Error`].
pub async fn tag_release(
    target: &Registry,
    name: &RepositoryName,
    tag: &Tag,
    digest: &Digest,
) -> Result<TagOutcome, Error> {
    let _alone = target.inner.tag_writes.lock().await;
    let reference = Identifier::Tag(tag.clone());
    target
        .inner
        .retry
        .run_settled(|| tag_once(target, name, &reference, digest))
        .await
}

async fn tag_once(
    target: &Registry,
    name: &RepositoryName,
    tag: &Identifier,
    digest: &Digest,
) -> Result<TagOutcome, Error> {
    if names_already(target, name, tag, digest).await? {
        return Ok(TagOutcome::AlreadyThere);
    }
    let manifest = target
        .manifest_once(name, &Identifier::Digest(digest.clone()))
        .await?;
    target.put_once(name, tag, &manifest).await?;
    if names_already(target, name, tag, digest).await? {
        return Ok(TagOutcome::Created);
    }
    let place = Box::new(target.place("tagging the release", Some(name), Some(tag)));
    let reason =
        "the tag was deleted while it was written; find out by whom, then promote again".to_owned();
    Err(Error::Conflict { place, reason })
}

/// Whether the tag names `digest` already. An error when it names something else.
async fn names_already(
    target: &Registry,
    name: &RepositoryName,
    tag: &Identifier,
    digest: &Digest,
) -> Result<bool, Error> {
    match target.resolve_once(name, tag).await? {
        None => Ok(false),
        Some(existing) if existing.digest == *digest => Ok(true),
        Some(existing) => Err(Error::TagMoved {
            place: Box::new(target.place("tagging the release", Some(name), Some(tag))),
            existing: existing.digest,
            wanted: digest.clone(),
        }),
    }
}
