//! What is attached to a manifest: the referrers API, and the tag that stands in for it where there is none.
//!
//! <https://github.com/opencontainers/distribution-spec/blob/main/spec.md#listing-referrers>

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::auth::Scope;
use crate::{
    Descriptor, Digest, Error, Identifier, Manifest, Registry, RepositoryName, Tag, media_type,
};

/// How often the list is written again when another writer keeps replacing it.
const MAX_WRITES: u32 = 8;

/// What is attached, and who keeps the list.
pub(crate) struct Attached {
    pub(crate) referrers: Vec<Descriptor>,
    pub(crate) kept_by: Keeper,
}

/// Who keeps the list of what is attached to a manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Keeper {
    /// The registry itself.
    Registry,
    /// Whoever attaches something, in an index under the tag `sha256-<hex>`.
    Clients,
}

/// The index under the fallback tag.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Index {
    schema_version: u32,
    media_type: String,
    manifests: Vec<Descriptor>,
}

impl Registry {
    /// What is attached to a manifest by `subject`, of one type or of all.
    ///
    /// # Errors
    /// See [`Error`].
    pub async fn referrers(
        &self,
        name: &RepositoryName,
        digest: &Digest,
        artifact_type: Option<&str>,
    ) -> Result<Vec<Descriptor>, Error> {
        let mut referrers = self
            .inner
            .retry
            .run(|| self.attached_once(name, digest))
            .await?
            .referrers;
        if let Some(wanted) = artifact_type {
            referrers.retain(|referrer| referrer.artifact_type.as_deref() == Some(wanted));
        }
        Ok(referrers)
    }

    pub(crate) async fn attached_once(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Attached, Error> {
        let place = self.place("listing what is attached to", Some(name), Some(digest));
        let pages = self
            .pages(
                &format!("v2/{name}/referrers/{digest}"),
                &Scope::pull(name),
                &place,
            )
            .await?;
        let Some(pages) = pages else {
            let referrers = self.listed_by_clients(name, digest).await?;
            return Ok(Attached {
                referrers,
                kept_by: Keeper::Clients,
            });
        };
        let mut referrers = Vec::new();
        for page in pages {
            let page: Index = serde_json::from_slice(&page).map_err(|error| {
                Error::protocol(
                    &place,
                    format!("the list of referrers cannot be read: {error}"),
                )
            })?;
            referrers.extend(page.manifests);
        }
        Ok(Attached {
            referrers,
            kept_by: Keeper::Registry,
        })
    }

    async fn listed_by_clients(
        &self,
        name: &RepositoryName,
        digest: &Digest,
    ) -> Result<Vec<Descriptor>, Error> {
        match self
            .manifest_once(name, &Identifier::Tag(Tag::beside(digest, "")))
            .await
        {
            Ok(index) => Ok(index.manifests().to_vec()),
            Err(Error::NotFound { .. }) => Ok(Vec::new()),
            Err(error) => Err(error),
        }
    }

    /// Sees to it that `referrers` are listed as attached to `subject`.
    ///
    /// Where clients keep the list, two of them may replace each other's: so it is read again after writing, until
    /// everything is in it.
    pub(crate) async fn list_referrers(
        &self,
        name: &RepositoryName,
        subject: &Digest,
        referrers: &[Descriptor],
    ) -> Result<(), Error> {
        let _alone = self.inner.referrer_writes.lock().await;
        for write in 0..MAX_WRITES {
            let attached = self
                .inner
                .retry
                .run(|| self.attached_once(name, subject))
                .await?;
            if attached.kept_by == Keeper::Registry {
                return Ok(());
            }
            let Some(list) = with_missing(attached.referrers, referrers) else {
                return Ok(());
            };
            let index = index_of(list)?;
            self.put_tag(name, &Tag::beside(subject, ""), &index)
                .await?;
            tokio::time::sleep(Duration::from_millis(2 << write)).await;
        }
        let place = self.place("listing what is attached to", Some(name), Some(subject));
        let reason =
            "others keep replacing the list of what is attached; try again when they are done"
                .to_owned();
        Err(Error::Conflict {
            place: Box::new(place),
            reason,
        })
    }
}

/// The list with what it lacks; nothing when it lacks nothing.
fn with_missing(mut list: Vec<Descriptor>, wanted: &[Descriptor]) -> Option<Vec<Descriptor>> {
    let before = list.len();
    for referrer in wanted {
        if !list.iter().any(|listed| listed.digest == referrer.digest) {
            list.push(referrer.clone());
        }
    }
    (list.len() > before).then_some(list)
}

fn index_of(manifests: Vec<Descriptor>) -> Result<Manifest, Error> {
    let index = Index {
        schema_version: 2,
        media_type: media_type::OCI_INDEX.to_owned(),
        manifests,
    };
    let bytes = serde_json::to_vec(&index).expect("descriptors have only text keys");
    Manifest::new(bytes, media_type::OCI_INDEX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_is_written_only_when_something_is_missing() {
        let [a, b] = [b"a", b"b"].map(|bytes| Descriptor::of(media_type::OCI_MANIFEST, bytes));
        assert_eq!(
            with_missing(vec![a.clone()], std::slice::from_ref(&a)),
            None
        );
        assert_eq!(
            with_missing(vec![a.clone()], &[b.clone(), a.clone(), b.clone()]),
            Some(vec![a, b])
        );
        assert_eq!(with_missing(Vec::new(), &[]), None);
    }
}
