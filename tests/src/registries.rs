//! What registries hold, asked without any of the code under test.

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

use crate::http_client::send;

const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
    application/vnd.docker.distribution.manifest.v2+json, application/vnd.docker.distribution.manifest.list.v2+json";

/// The tags of an image; none when the registry doesn't know it.
///
/// # Errors
/// When the registry does not answer.
pub async fn tags(registry: &str, image: &str) -> Result<Vec<String>> {
    let answer = send(
        "GET",
        &format!("http://{registry}/v2/{image}/tags/list"),
        &[],
        b"",
    )
    .await?;
    if answer.status == 404 {
        return Ok(Vec::new());
    }
    let json: Value = serde_json::from_str(&answer.body)?;
    let tags = json["tags"].as_array().into_iter().flatten();
    Ok(tags.filter_map(Value::as_str).map(str::to_owned).collect())
}

/// The digest that a tag points at.
///
/// # Errors
/// When there is no such tag.
pub async fn digest(registry: &str, image: &str, tag: &str) -> Result<String> {
    let url = format!("http://{registry}/v2/{image}/manifests/{tag}");
    let answer = send("HEAD", &url, &[("accept", ACCEPT)], b"").await?;
    ensure!(answer.status == 200, "{url} answers {}", answer.status);
    let digest = answer.header("docker-content-digest");
    Ok(digest.context("an answer without a digest")?.to_owned())
}

/// Deletes an image from a registry by its digest.
///
/// # Errors
/// When the registry does not do it.
pub async fn delete(registry: &str, image: &str, digest: &str) -> Result<()> {
    let url = format!("http://{registry}/v2/{image}/manifests/{digest}");
    let answer = send("DELETE", &url, &[], b"").await?;
    ensure!(answer.status == 202, "{url} answers {}", answer.status);
    Ok(())
}
