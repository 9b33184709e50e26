//! What an image says about itself.

use std::collections::BTreeMap;

use serde::Deserialize;

use crate::{Descriptor, Error, Identifier, Platform, Registry, RepositoryName};

/// The largest image configuration that is read.
const CONFIG_LIMIT: u64 = 16 * 1024 * 1024;

/// The configuration of an image, as far as a release cares.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ImageConfig {
    /// When it was built (RFC 3339).
    pub created: Option<String>,
    /// The processor, as Go names it.
    #[serde(default)]
    pub architecture: String,
    /// The operating system, as Go names it.
    #[serde(default)]
    pub os: String,
    /// How a container of it is started. An artifact that isn't an image has nothing of this.
    #[serde(default)]
    pub config: Option<ContainerConfig>,
}

/// How a container of an image is started.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct ContainerConfig {
    /// The labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// The environment, `KEY=value`.
    pub env: Option<Vec<String>>,
    /// The program and its first arguments.
    pub entrypoint: Option<Vec<String>>,
    /// The rest of the arguments.
    pub cmd: Option<Vec<String>>,
    /// The ports that it says it listens on: `8080/tcp`.
    pub exposed_ports: Option<BTreeMap<String, serde_json::Value>>,
    /// The user it runs as.
    pub user: Option<String>,
    /// The directory it starts in.
    pub working_dir: Option<String>,
}

impl ImageConfig {
    /// The value of a label.
    #[must_use]
    pub fn label(&self, key: &str) -> Option<&str> {
        self.config
            .as_ref()?
            .labels
            .as_ref()?
            .get(key)
            .map(String::as_str)
    }
}

impl Registry {
    /// The configuration of an image; of an index, that of its image for `platform` (by default this machine's), or of
    /// its first image when it has none for that.
    ///
    /// # Errors
    /// [`Error::NotFound`], [`Error::Corrupt`], [`Error::Protocol`] when it isn't an image, and see [`Error`].
    pub async fn image_config(
        &self,
        name: &RepositoryName,
        reference: impl Into<Identifier>,
        platform: Option<&Platform>,
    ) -> Result<ImageConfig, Error> {
        let wanted = platform.cloned().unwrap_or_else(Platform::current);
        let mut manifest = self.manifest(name, reference).await?;
        let place = self.place(
            "reading the configuration of",
            Some(name),
            Some(&manifest.digest.clone()),
        );
        if manifest.is_index() {
            // BuildKit files attestations under the platform "unknown".
            let is_image = |child: &&Descriptor| {
                child
                    .platform
                    .as_ref()
                    .is_none_or(|platform| platform.os != "unknown")
            };
            let images: Vec<&Descriptor> = manifest.child_manifests().filter(is_image).collect();
            let fits = |child: &&&Descriptor| {
                child
                    .platform
                    .as_ref()
                    .is_some_and(|offered| wanted.accepts(offered))
            };
            let Some(image) = images.iter().find(fits).or(images.first()) else {
                return Err(Error::protocol(&place, "the index lists no image"));
            };
            manifest = self.manifest(name, image.digest.clone()).await?;
        }
        let Some(config) = manifest.config() else {
            return Err(Error::protocol(
                &place,
                "it has no configuration, so it is not an image",
            ));
        };
        let bytes = self.pull_blob(name, config, CONFIG_LIMIT).await?;
        serde_json::from_slice(&bytes).map_err(|error| {
            Error::protocol(&place, format!("the configuration cannot be read: {error}"))
        })
    }
}
