//! Manifests and descriptors: what is read of them, never how they are written.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::{Digest, Error, Place};

/// The media types of manifests.
pub mod media_type {
    /// An OCI image manifest, also of artifacts.
    pub const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
    /// An OCI index: one manifest per platform.
    pub const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
    /// The artifact manifest of OCI 1.1's release candidates.
    pub const OCI_ARTIFACT: &str = "application/vnd.oci.artifact.manifest.v1+json";
    /// Docker's image manifest.
    pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
    /// Docker's index.
    pub const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
    /// The configuration of an OCI image.
    pub const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
    /// A compressed layer of an OCI image.
    pub const OCI_LAYER: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
    /// The configuration of an artifact that has none: the bytes `{}`.
    pub const OCI_EMPTY: &str = "application/vnd.oci.empty.v1+json";

    /// All that name a manifest rather than a blob.
    pub const MANIFESTS: [&str; 5] = [
        OCI_MANIFEST,
        OCI_INDEX,
        DOCKER_MANIFEST,
        DOCKER_LIST,
        OCI_ARTIFACT,
    ];
}

/// The largest manifest that registries must accept, and that is read.
pub(crate) const MANIFEST_LIMIT: usize = 4 * 1024 * 1024;

/// What points to content: its digest, type and size.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// The media type of the content.
    pub media_type: String,
    /// The digest of the content.
    pub digest: Digest,
    /// The size of the content in bytes.
    pub size: u64,
    /// What kind of artifact it is, for a manifest that isn't an image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Notes.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// What an image runs on, in an index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    /// Where content is that no registry holds (layers that must not be distributed).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// What an image runs on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Platform {
    /// The operating system, as Go names it: `linux`.
    pub os: String,
    /// The processor, as Go names it: `amd64`.
    pub architecture: String,
    /// The processor's variant: `v8`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub variant: Option<String>,
}

/// A manifest or an index: exactly the bytes that the registry holds, never written anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Manifest {
    /// The bytes.
    pub bytes: Bytes,
    /// The media type.
    pub media_type: String,
    /// The digest of the bytes.
    pub digest: Digest,
    parts: Parts,
}

/// What is read of a manifest.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Parts {
    media_type: Option<String>,
    artifact_type: Option<String>,
    config: Option<Descriptor>,
    layers: Option<Vec<Descriptor>>,
    blobs: Option<Vec<Descriptor>>,
    manifests: Option<Vec<Descriptor>>,
    subject: Option<Descriptor>,
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

impl Descriptor {
    /// A descriptor with nothing but what it must have.
    pub fn new(media_type: impl Into<String>, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.into(),
            digest,
            size,
            artifact_type: None,
            annotations: BTreeMap::new(),
            platform: None,
            urls: Vec::new(),
        }
    }

    /// The descriptor of `bytes`.
    #[must_use]
    pub fn of(media_type: impl Into<String>, bytes: &[u8]) -> Self {
        Self::new(media_type, Digest::sha256_of(bytes), bytes.len() as u64)
    }

    /// Whether the content is a manifest or an index rather than a blob.
    #[must_use]
    pub fn is_manifest(&self) -> bool {
        media_type::MANIFESTS.contains(&self.media_type.as_str())
    }
}

impl Platform {
    /// The platform of this process, in the names that images use.
    #[must_use]
    pub fn current() -> Self {
        let architecture = match std::env::consts::ARCH {
            "x86_64" => "amd64",
            "aarch64" => "arm64",
            "x86" => "386",
            other => other,
        };
        Self {
            os: "linux".to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        }
    }

    /// Whether an image for `offered` runs here, as far as the names tell.
    #[must_use]
    pub fn accepts(&self, offered: &Self) -> bool {
        self.os == offered.os
            && self.architecture == offered.architecture
            && (self.variant.is_none() || self.variant == offered.variant)
    }
}

impl Manifest {
    /// A manifest to be pushed: `bytes`, of `media_type`.
    ///
    /// # Errors
    /// [`Error::Protocol`] when the bytes aren't a manifest.
    pub fn new(bytes: impl Into<Bytes>, media_type: &str) -> Result<Self, Error> {
        let bytes = bytes.into();
        let digest = Digest::sha256_of(&bytes);
        let place = Place {
            doing: "reading the manifest",
            registry: digest.to_string(),
            repository: None,
            reference: None,
        };
        Self::parse(bytes, Some(media_type), digest, &place)
    }

    /// Reads what a registry sent as a manifest. The digest has been verified by the caller.
    pub(crate) fn parse(
        bytes: Bytes,
        content_type: Option<&str>,
        digest: Digest,
        place: &Place,
    ) -> Result<Self, Error> {
        let parts: Parts = serde_json::from_slice(&bytes).map_err(|error| {
            Error::protocol(place, format!("what it holds is not a manifest: {error}"))
        })?;
        let declared = parts
            .media_type
            .clone()
            .or_else(|| content_type.map(|text| bare(text).to_owned()));
        let known = declared.filter(|declared| media_type::MANIFESTS.contains(&declared.as_str()));
        let media_type = match known {
            Some(known) => known,
            None if parts.manifests.is_some() => media_type::OCI_INDEX.to_owned(),
            None if parts.layers.is_some() && parts.config.is_some() => {
                media_type::OCI_MANIFEST.to_owned()
            }
            None => {
                let kind = content_type.unwrap_or("no media type");
                return Err(Error::protocol(
                    place,
                    format!(
                        "it holds a kind of manifest that cannot be copied ({kind}); push the image again in OCI or Docker v2 format"
                    ),
                ));
            }
        };
        Ok(Self {
            bytes,
            media_type,
            digest,
            parts,
        })
    }

    /// What points to this manifest.
    #[must_use]
    pub fn descriptor(&self) -> Descriptor {
        let config_type = self
            .parts
            .config
            .as_ref()
            .map(|config| config.media_type.clone());
        let artifact_type = self.parts.artifact_type.clone().or(config_type);
        Descriptor {
            artifact_type: artifact_type.filter(|_| self.parts.subject.is_some()),
            annotations: match self.parts.subject {
                Some(_) => self.parts.annotations.clone().unwrap_or_default(),
                None => BTreeMap::new(),
            },
            ..Descriptor::new(
                &*self.media_type,
                self.digest.clone(),
                self.bytes.len() as u64,
            )
        }
    }

    /// The manifests of an index; empty for anything else.
    #[must_use]
    pub fn manifests(&self) -> &[Descriptor] {
        self.parts.manifests.as_deref().unwrap_or_default()
    }

    /// Whether it lists manifests rather than layers.
    #[must_use]
    pub fn is_index(&self) -> bool {
        self.parts.manifests.is_some()
    }

    /// The image's configuration.
    #[must_use]
    pub fn config(&self) -> Option<&Descriptor> {
        self.parts.config.as_ref()
    }

    /// The layers of an image, or the content of an artifact, in order.
    #[must_use]
    pub fn layers(&self) -> &[Descriptor] {
        self.parts
            .layers
            .as_deref()
            .or(self.parts.blobs.as_deref())
            .unwrap_or_default()
    }

    /// What this is attached to.
    #[must_use]
    pub fn subject(&self) -> Option<&Descriptor> {
        self.parts.subject.as_ref()
    }

    /// Its notes.
    #[must_use]
    pub fn annotations(&self) -> Option<&BTreeMap<String, String>> {
        self.parts.annotations.as_ref()
    }

    /// Every manifest it needs.
    pub(crate) fn child_manifests(&self) -> impl Iterator<Item = &Descriptor> {
        self.manifests().iter().filter(|child| child.is_manifest())
    }

    /// Every blob that a registry must hold for it. BuildKit's caches list blobs in an index; layers that must not be
    /// distributed are elsewhere.
    pub(crate) fn blobs(&self) -> impl Iterator<Item = &Descriptor> {
        let listed = self.manifests().iter().filter(|child| !child.is_manifest());
        let layers = self.layers().iter().filter(|layer| layer.urls.is_empty());
        self.parts.config.iter().chain(layers).chain(listed)
    }
}

/// A media type without its parameters.
pub(crate) fn bare(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bytes_stay_as_they_are() {
        let odd = br#"{ "schemaVersion":2,  "layers":[],"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"sha256:44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a","size":2}, "extra": 1 }"#;
        let manifest = Manifest::new(&odd[..], media_type::OCI_MANIFEST).unwrap();
        assert_eq!(&manifest.bytes[..], &odd[..]);
        assert_eq!(manifest.digest, Digest::sha256_of(odd));
        assert_eq!(manifest.blobs().count(), 1);
    }

    #[test]
    fn the_declared_type_wins_over_the_header() {
        let index = br#"{"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.list.v2+json","manifests":[]}"#;
        let manifest = Manifest::new(&index[..], "text/plain; charset=utf-8").unwrap();
        assert_eq!(manifest.media_type, media_type::DOCKER_LIST);
        assert!(manifest.is_index());
    }

    #[test]
    fn an_index_may_list_blobs_and_manifests() {
        let digest = Digest::sha256_of(b"x");
        let index = serde_json::json!({"manifests": [
            {"mediaType": media_type::OCI_MANIFEST, "digest": digest, "size": 1},
            {"mediaType": media_type::OCI_LAYER, "digest": digest, "size": 1},
        ]});
        let manifest = Manifest::new(index.to_string(), media_type::OCI_INDEX).unwrap();
        assert_eq!(
            (manifest.child_manifests().count(), manifest.blobs().count()),
            (1, 1)
        );
    }

    #[test]
    fn schema_one_and_nonsense_are_told_apart_from_manifests() {
        let old = Manifest::new(
            r#"{"schemaVersion":1,"fsLayers":[]}"#,
            "application/vnd.docker.distribution.manifest.v1+prettyjws",
        );
        assert!(
            old.unwrap_err()
                .to_string()
                .contains("push the image again in OCI")
        );
        assert!(
            Manifest::new("<html>", "text/html")
                .unwrap_err()
                .to_string()
                .contains("not a manifest")
        );
    }
}
