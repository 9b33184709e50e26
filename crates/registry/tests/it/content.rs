//! Images made by hand, and pushed by the client under test.

use std::process::Command;

use bytes::Bytes;
use registry::{
    Descriptor, Digest, Error, Manifest, Platform, Registry, RegistryConfig, RepositoryName,
    RetryPolicy, Tag, media_type,
};
use serde_json::json;
use testkit::registry::TestRegistry;

/// A client of a test registry.
pub(crate) fn client(server: &TestRegistry) -> Registry {
    client_of(&server.address())
}

/// A client of whatever answers at `address`. It gives up soon.
pub(crate) fn client_of(address: &str) -> Registry {
    Registry::new(&config(address)).unwrap()
}

pub(crate) fn config(address: &str) -> RegistryConfig {
    let budget = std::time::Duration::from_secs(10);
    RegistryConfig::new(address).with_retry(RetryPolicy {
        budget,
        ..RetryPolicy::default()
    })
}

pub(crate) fn name(text: &str) -> RepositoryName {
    text.parse().unwrap()
}

pub(crate) fn tag(text: &str) -> Tag {
    text.parse().unwrap()
}

/// Bytes that don't compress, the same for the same seed.
pub(crate) fn noise(seed: &str, size: usize) -> Bytes {
    let mut bytes = Vec::with_capacity(size + 64);
    let mut block = Digest::sha256_of(seed.as_bytes());
    while bytes.len() < size {
        bytes.extend_from_slice(block.hex().as_bytes());
        block = Digest::sha256_of(block.as_str().as_bytes());
    }
    bytes.truncate(size);
    bytes.into()
}

/// Pushes an image of two layers, without a tag. Images of different seeds share nothing.
pub(crate) async fn push_image(registry: &Registry, to: &RepositoryName, seed: &str) -> Manifest {
    push_image_with(
        registry,
        to,
        seed,
        &[noise(seed, 100_000), noise(&format!("{seed}-small"), 10)],
    )
    .await
}

pub(crate) async fn push_image_with(
    registry: &Registry,
    to: &RepositoryName,
    seed: &str,
    contents: &[Bytes],
) -> Manifest {
    let mut layers = Vec::new();
    for content in contents {
        registry.push_blob(to, content.clone()).await.unwrap();
        layers.push(Descriptor::of(media_type::OCI_LAYER, content));
    }
    let diff_ids: Vec<&Digest> = layers.iter().map(|layer| &layer.digest).collect();
    let config = json!({
        "created": "2026-01-01T00:00:00Z",
        "architecture": "amd64",
        "os": "linux",
        "config": {
            "Labels": {"org.opencontainers.image.version": "1.4.0", "seed": seed},
            "Entrypoint": ["/app"],
            "ExposedPorts": {"8080/tcp": {}},
        },
        "rootfs": {"type": "layers", "diff_ids": diff_ids},
    });
    let config = Bytes::from(config.to_string());
    registry.push_blob(to, config.clone()).await.unwrap();
    // Neither compact nor in the usual order: whoever writes it anew changes the digest.
    let manifest = serde_json::to_string_pretty(&json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "layers": layers,
        "config": Descriptor::of(media_type::OCI_CONFIG, &config),
    }));
    put(registry, to, manifest.unwrap(), media_type::OCI_MANIFEST)
        .await
        .unwrap()
}

/// Pushes an index of two images, for amd64 and arm64, and an attestation as BuildKit makes them.
pub(crate) async fn push_index(registry: &Registry, to: &RepositoryName, seed: &str) -> Manifest {
    let mut children = Vec::new();
    for (os, architecture) in [
        ("linux", "arm64"),
        ("linux", "amd64"),
        ("unknown", "unknown"),
    ] {
        let image = push_image(registry, to, &format!("{seed}-{architecture}")).await;
        let mut child = image.descriptor();
        child.platform = Some(Platform {
            os: os.to_owned(),
            architecture: architecture.to_owned(),
            variant: None,
        });
        children.push(child);
    }
    let index =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": children});
    put(registry, to, index.to_string(), media_type::OCI_INDEX)
        .await
        .unwrap()
}

/// Attaches an artifact to a manifest by `subject`.
pub(crate) async fn attach(
    registry: &Registry,
    to: &RepositoryName,
    subject: &Manifest,
    kind: &str,
) -> Manifest {
    let content = Bytes::from(format!("{kind} of {}", subject.digest));
    registry.push_blob(to, content.clone()).await.unwrap();
    registry
        .push_blob(to, Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let artifact = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "artifactType": kind,
        "config": Descriptor::of(media_type::OCI_EMPTY, b"{}"),
        "layers": [Descriptor::of(kind, &content)],
        "subject": subject.descriptor(),
    });
    put(registry, to, artifact.to_string(), media_type::OCI_MANIFEST)
        .await
        .unwrap()
}

pub(crate) async fn put(
    registry: &Registry,
    to: &RepositoryName,
    bytes: String,
    media_type: &str,
) -> Result<Manifest, Error> {
    let manifest = Manifest::new(bytes, media_type)?;
    registry.put_manifest(to, &manifest).await?;
    Ok(manifest)
}

/// What skopeo, which others wrote, says about an image; nothing where it isn't installed.
pub(crate) fn skopeo_inspect(reference: &str) -> Option<serde_json::Value> {
    let arguments = [
        "--override-arch=amd64",
        "inspect",
        "--no-tags",
        "--tls-verify=false",
    ];
    let output = match Command::new("skopeo")
        .args(arguments)
        .arg(format!("docker://{reference}"))
        .output()
    {
        Ok(output) => output,
        Err(error) => {
            eprintln!("not compared with skopeo: {error}");
            return None;
        }
    };
    assert!(
        output.status.success(),
        "skopeo: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}
