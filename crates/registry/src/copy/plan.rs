//! What has to be copied: the tree of manifests below one, and of everything attached to each of them.

use std::collections::{BTreeMap, HashSet};

use futures::stream::{self, StreamExt, TryStreamExt};

use super::CopyOptions;
use super::attachments;
use crate::{Descriptor, Digest, Error, Manifest, Registry, RepositoryName, Tag};

/// The most manifests that one copy takes along: far more than any image has, far less than would fill the memory.
const MAX_MANIFESTS: usize = 1000;

/// What has to be copied. Without the contents of blobs, but with those of manifests.
#[derive(Default)]
pub(super) struct Plan {
    manifests: BTreeMap<Digest, Manifest>,
    /// What is attached to which manifest by `subject`.
    pub(super) referrers: BTreeMap<Digest, Vec<Descriptor>>,
    /// What is attached by a tag.
    tags: Vec<(Tag, Digest)>,
}

/// A manifest and what is attached to it.
struct Found {
    manifest: Manifest,
    referrers: Vec<Descriptor>,
    tags: Vec<(Tag, Digest)>,
}

/// Reads all manifests that a copy of `root` has to write.
pub(super) async fn plan(
    source: &Registry,
    name: &RepositoryName,
    root: &Digest,
    options: CopyOptions,
) -> Result<Plan, Error> {
    let mut plan = Plan::default();
    let mut seen = HashSet::from([root.clone()]);
    let mut wave = vec![root.clone()];
    while !wave.is_empty() {
        let reading = stream::iter(std::mem::take(&mut wave))
            .map(|digest| read(source, name, digest, options.include_referrers))
            .buffer_unordered(options.concurrency.max(1));
        let found: Vec<Found> = reading.try_collect().await?;
        for found in found {
            wave.extend(found.next().filter(|digest| seen.insert(digest.clone())));
            plan.add(found);
        }
        if seen.len() > MAX_MANIFESTS {
            let place = source.place("copying", Some(name), Some(root));
            return Err(Error::protocol(
                &place,
                format!("it has more than {MAX_MANIFESTS} manifests and attachments"),
            ));
        }
    }
    Ok(plan)
}

async fn read(
    source: &Registry,
    name: &RepositoryName,
    digest: Digest,
    with_attached: bool,
) -> Result<Found, Error> {
    if !with_attached {
        let manifest = source.manifest(name, digest).await?;
        return Ok(Found {
            manifest,
            referrers: Vec::new(),
            tags: Vec::new(),
        });
    }
    let (manifest, referrers, tags) = tokio::try_join!(
        source.manifest(name, digest.clone()),
        source.referrers(name, &digest, None),
        attachments::find_tags(source, name, &digest),
    )?;
    Ok(Found {
        manifest,
        referrers,
        tags,
    })
}

impl Found {
    /// The manifests that come along with this one.
    fn next(&self) -> impl Iterator<Item = Digest> {
        let children = self.manifest.child_manifests().map(|child| &child.digest);
        let referrers = self.referrers.iter().map(|referrer| &referrer.digest);
        let tagged = self.tags.iter().map(|(_, digest)| digest);
        children.chain(referrers).chain(tagged).cloned()
    }
}

impl Plan {
    fn add(&mut self, found: Found) {
        let digest = found.manifest.digest.clone();
        if !found.referrers.is_empty() {
            self.referrers.insert(digest.clone(), found.referrers);
        }
        self.tags.extend(found.tags);
        self.manifests.insert(digest, found.manifest);
    }

    /// Every blob once, the largest first, so that it isn't the last one that everything waits for.
    pub(super) fn blobs(&self) -> Vec<Descriptor> {
        let all = self.manifests.values().flat_map(Manifest::blobs);
        let once: BTreeMap<&Digest, &Descriptor> = all.map(|blob| (&blob.digest, blob)).collect();
        let mut blobs: Vec<Descriptor> = once.into_values().cloned().collect();
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        blobs
    }

    /// The manifests in levels: all that one needs, and what it is attached to, is in earlier levels.
    pub(super) fn levels(&self) -> Vec<Vec<&Manifest>> {
        let mut waiting: Vec<&Manifest> = self.manifests.values().collect();
        let mut done: HashSet<&Digest> = HashSet::new();
        let mut levels = Vec::new();
        while !waiting.is_empty() {
            let is_done = |needed: &Descriptor| done.contains(&needed.digest);
            let is_ready = |manifest: &&Manifest| {
                let subject = manifest
                    .subject()
                    .filter(|subject| self.manifests.contains_key(&subject.digest));
                manifest.child_manifests().all(is_done) && subject.is_none_or(is_done)
            };
            let (mut ready, mut rest): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_ready);
            if ready.is_empty() {
                // Digests rule out cycles; the registry may judge what isn't one.
                std::mem::swap(&mut ready, &mut rest);
            }
            done.extend(ready.iter().map(|manifest| &manifest.digest));
            levels.push(ready);
            waiting = rest;
        }
        levels
    }

    /// What is attached by a tag, with the tag.
    pub(super) fn tagged(&self) -> impl Iterator<Item = (&Tag, &Manifest)> {
        self.tags
            .iter()
            .filter_map(|(tag, digest)| Some((tag, self.manifests.get(digest)?)))
    }

    pub(super) fn attached_count(&self) -> usize {
        self.referrers.values().map(Vec::len).sum::<usize>() + self.tags.len()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type;
    use serde_json::{Value, json};

    fn manifest(media_type: &str, body: &Value) -> Manifest {
        Manifest::new(body.to_string(), media_type).unwrap()
    }

    fn image(layer: &str, subject: Option<&Manifest>) -> Manifest {
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let layers = [Descriptor::of(media_type::OCI_LAYER, layer.as_bytes())];
        let subject = subject.map(Manifest::descriptor);
        manifest(
            media_type::OCI_MANIFEST,
            &json!({"config": config, "layers": layers, "subject": subject}),
        )
    }

    fn plan_of(manifests: &[&Manifest]) -> Plan {
        let manifests = manifests
            .iter()
            .map(|manifest| (manifest.digest.clone(), (*manifest).clone()))
            .collect();
        Plan {
            manifests,
            ..Plan::default()
        }
    }

    #[test]
    fn what_is_needed_and_what_is_attached_to_come_first() {
        let (arm, amd) = (image("arm", None), image("amd64", None));
        let children = [arm.descriptor(), amd.descriptor()];
        let index = manifest(media_type::OCI_INDEX, &json!({"manifests": children}));
        let sbom = image("sbom", Some(&index));
        let signature = image("signature", Some(&sbom));
        let plan = plan_of(&[&signature, &index, &arm, &sbom, &amd]);
        let levels = plan.levels();
        assert_eq!(
            levels.iter().map(Vec::len).collect::<Vec<_>>(),
            [2, 1, 1, 1]
        );
        assert_eq!(levels[1], [&index]);
        assert_eq!(levels[3], [&signature]);
    }

    #[test]
    fn a_subject_elsewhere_is_not_waited_for() {
        let sbom = image("sbom", Some(&image("elsewhere", None)));
        assert_eq!(plan_of(&[&sbom]).levels().len(), 1);
    }

    #[test]
    fn shared_blobs_are_moved_once_and_the_largest_first() {
        let plan = plan_of(&[&image("a", None), &image("a", None), &image("large", None)]);
        let sizes: Vec<u64> = plan.blobs().iter().map(|blob| blob.size).collect();
        assert_eq!(sizes, [5, 2, 1]);
    }
}
