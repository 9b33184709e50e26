//! One blob from registry to registry.

use super::Route;
use crate::blobs::Upload;
use crate::{Descriptor, Error};

/// How a blob came to be in the target.
pub(super) enum Moved {
    /// It was there.
    AlreadyThere,
    /// It was mounted from another repository.
    Mounted,
    /// So many bytes were sent.
    Sent(u64),
}

/// Sees to it that the target holds a blob. Its bytes pass through: only what is on its way is in memory.
pub(super) async fn transfer(route: Route<'_>, blob: &Descriptor) -> Result<Moved, Error> {
    let Route {
        target,
        target_name,
        ..
    } = route;
    if target.blob_exists(target_name, &blob.digest).await? {
        return Ok(Moved::AlreadyThere);
    }
    target.inner.retry.run(|| move_once(route, blob)).await
}

async fn move_once(route: Route<'_>, blob: &Descriptor) -> Result<Moved, Error> {
    let Route {
        source,
        source_name,
        target,
        target_name,
    } = route;
    let (url, chunks) = if source.is_same(target) {
        match target
            .begin_upload(target_name, &blob.digest, Some(source_name))
            .await?
        {
            Upload::Mounted => return Ok(Moved::Mounted),
            // Not mounted, so it is sent like any other.
            Upload::At(url) => (url, source.pull_blob_stream(source_name, blob).await?),
        }
    } else {
        let begin = target.begin_upload(target_name, &blob.digest, None);
        match tokio::try_join!(begin, source.pull_blob_stream(source_name, blob))? {
            (Upload::Mounted, _) => return Ok(Moved::Mounted),
            (Upload::At(url), chunks) => (url, chunks),
        }
    };
    target
        .finish_upload(target_name, url, &blob.digest, blob.size, chunks)
        .await?;
    Ok(Moved::Sent(blob.size))
}
