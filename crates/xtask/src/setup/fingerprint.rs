//! What a stand-in is made from, as one hash: another recipe makes another image.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use sha2::{Digest as _, Sha256};

use super::images::Image;
use super::stand_in;
use crate::process;

/// The hash of everything that goes into a stand-in.
pub(super) struct Fingerprint(String);

impl Fingerprint {
    /// The fingerprint of an image's recipe; `base` is the id of the image that it starts from.
    pub(super) async fn of(recipes: &Path, image: Image, base: Option<&str>) -> Result<Self> {
        let mut hash = Sha256::new();
        let recipe = recipes.join(image.recipe());
        for path in sorted_files(&recipe)? {
            add_file(&mut hash, &path)?;
        }
        hash.update(base.unwrap_or_default());
        match image {
            Image::Debian => {
                hash.update(stand_in::DEBOOTSTRAP.join(" "));
                for path in stand_in::authorities() {
                    add_file(&mut hash, &path)?;
                }
            }
            Image::Rust => {
                let version = process::ask("rustc", ["-vV"]).await;
                hash.update(
                    version.context("`rustc -vV` failed: install the toolchain with rustup")?,
                );
            }
            _ => {}
        }
        Ok(Self(hex::encode(hash.finalize())))
    }

    pub(super) fn as_str(&self) -> &str {
        &self.0
    }

    /// Enough of it for a tag.
    pub(super) fn short(&self) -> &str {
        &self.0[..12]
    }
}

fn sorted_files(directory: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    let entries =
        fs::read_dir(directory).with_context(|| format!("no recipe in {}", directory.display()))?;
    for entry in entries {
        files.push(entry?.path());
    }
    files.sort();
    Ok(files)
}

fn add_file(hash: &mut Sha256, path: &Path) -> Result<()> {
    let content = fs::read(path).with_context(|| format!("could not read {}", path.display()))?;
    let name = path.file_name().unwrap_or_default().as_encoded_bytes();
    for part in [name, &content] {
        hash.update((part.len() as u64).to_be_bytes());
        hash.update(part);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn another_recipe_or_another_base_makes_another_fingerprint() {
        let recipes = tempfile::tempdir().expect("a temporary directory");
        let redis = recipes.path().join("redis");
        fs::create_dir(&redis).expect("created");
        fs::write(redis.join("Dockerfile"), "FROM a").expect("written");
        let of = async |base| {
            let fingerprint = Fingerprint::of(recipes.path(), Image::Redis, Some(base)).await;
            fingerprint.expect("readable").0
        };
        let first = of("sha256:1").await;
        assert_eq!(of("sha256:1").await, first);
        assert_ne!(of("sha256:2").await, first);
        fs::write(redis.join("Dockerfile"), "FROM b").expect("written");
        assert_ne!(of("sha256:1").await, first);
    }
}
