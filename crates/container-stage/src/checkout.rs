//! The source of a run as a stream of files.

use futures::StreamExt as _;

use domain::run::Change;
use engine::ByteStream;
use source::{Commit, RefName, RepositoryUrl, Source};

/// The commit of a run, fetched if it is not here yet.
///
/// # Errors
/// When the repository or the commit can't be had.
pub async fn commit(source: &Source, change: &Change) -> Result<Commit, source::Error> {
    let url = RepositoryUrl::parse(&change.repository)?;
    let mut commit = source.fetch(&url, &RefName::parse(&change.commit)?).await;
    if commit.is_err() && !change.reference.is_empty() {
        // Some servers give out no commit by its id; it is fetched with its branch or tag, and is here then.
        source
            .fetch(&url, &RefName::parse(&change.reference)?)
            .await?;
        commit = source.fetch(&url, &RefName::parse(&change.commit)?).await;
    }
    commit
}

/// The files of the service's folder as a tar archive.
///
/// # Errors
/// When the commit or the folder can't be read.
pub async fn files(
    source: &Source,
    commit: &Commit,
    folder: &str,
) -> Result<ByteStream, source::Error> {
    let archive = source.archive(commit, folder).await?;
    Ok(engine::byte_stream(
        archive.map(|chunk| chunk.map_err(std::io::Error::other)),
    ))
}
