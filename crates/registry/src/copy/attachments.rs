//! What cosign attaches by tags: `sha256-<hex>.sig`, `.att`, `.sbom`
//! (<https://github.com/sigstore/cosign/blob/main/specs/SIGNATURE_SPEC.md>).

use std::collections::HashSet;

use crate::{Descriptor, Digest, Error, Manifest, Registry, RepositoryName, Tag};

/// The suffixes of cosign's tags: signatures, attestations, bills of material.
const SUFFIXES: [&str; 3] = [".sig", ".att", ".sbom"];

/// What to do with a tag of attached things.
#[derive(Debug, PartialEq, Eq)]
enum Decision {
    /// Nothing is lost by writing it.
    Write,
    /// The target's has all that the source's has.
    Keep,
    /// Each has something that the other lacks.
    Conflict,
}

/// The tags beside `digest` that exist, and what they name.
pub(super) async fn find_tags(
    source: &Registry,
    name: &RepositoryName,
    digest: &Digest,
) -> Result<Vec<(Tag, Digest)>, Error> {
    let asking = SUFFIXES.map(|suffix| async move {
        let tag = Tag::beside(digest, suffix);
        let named = source.resolve(name, tag.clone()).await?;
        Ok::<_, Error>(named.map(|named| (tag, named.digest)))
    });
    let found = futures::future::try_join_all(asking).await?;
    Ok(found.into_iter().flatten().collect())
}

/// Writes a tag of attached things, unless something in the target would be lost by it.
pub(super) async fn write_tag(
    target: &Registry,
    name: &RepositoryName,
    tag: &Tag,
    wanted: &Manifest,
) -> Result<(), Error> {
    let existing = match target.manifest(name, tag.clone()).await {
        Ok(existing) => Some(existing),
        Err(Error::NotFound { .. }) => None,
        Err(error) => return Err(error),
    };
    match decide(existing.as_ref(), wanted) {
        Decision::Keep => Ok(()),
        Decision::Write => target.put_tag(name, tag, wanted).await,
        Decision::Conflict => Err(Error::Conflict {
            place: Box::new(target.place("copying what is attached by the tag", Some(name), Some(tag))),
            reason: "the target has other signatures or attestations there than the source; copy the target's to the \
                     source, or delete that tag in the target"
                .to_owned(),
        }),
    }
}

fn decide(existing: Option<&Manifest>, wanted: &Manifest) -> Decision {
    let Some(existing) = existing else {
        return Decision::Write;
    };
    let (existing, wanted) = (contents(existing), contents(wanted));
    match (wanted.is_subset(&existing), existing.is_subset(&wanted)) {
        (true, _) => Decision::Keep,
        (false, true) => Decision::Write,
        (false, false) => Decision::Conflict,
    }
}

/// What a manifest carries. Two signatures may sign the same bytes, and differ in their annotations only.
fn contents(manifest: &Manifest) -> HashSet<(&Digest, Vec<(&String, &String)>)> {
    let all = manifest.layers().iter().chain(manifest.manifests());
    all.map(
        |Descriptor {
             digest,
             annotations,
             ..
         }| (digest, annotations.iter().collect()),
    )
    .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::media_type;

    fn signed_by(signers: &[&str]) -> Manifest {
        let layers = signers.iter().map(|signer| {
            let mut layer = Descriptor::of(
                "application/vnd.dev.cosign.simplesigning.v1+json",
                b"payload",
            );
            layer.annotations.insert(
                "dev.cosignproject.cosign/signature".to_owned(),
                (*signer).to_owned(),
            );
            layer
        });
        let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
        let body = serde_json::json!({"config": config, "layers": layers.collect::<Vec<_>>()});
        Manifest::new(body.to_string(), media_type::OCI_MANIFEST).unwrap()
    }

    #[test]
    fn no_signature_in_the_target_is_lost() {
        let (a, ab, b) = (signed_by(&["a"]), signed_by(&["a", "b"]), signed_by(&["b"]));
        assert_eq!(decide(None, &a), Decision::Write);
        assert_eq!(decide(Some(&a), &a), Decision::Keep);
        assert_eq!(decide(Some(&a), &ab), Decision::Write);
        assert_eq!(decide(Some(&ab), &a), Decision::Keep);
        assert_eq!(decide(Some(&b), &a), Decision::Conflict);
    }
}
