//! A large blob passes through little memory. In a process of its own, whose memory nothing else uses.
#![cfg(target_os = "linux")]
#![expect(clippy::unwrap_used, reason = "a test that cannot go on may panic")]

use bytes::Bytes;
use futures::{Stream, StreamExt};
use registry::{
    CopyOptions, Descriptor, Digest, Error, Manifest, Registry, RegistryConfig, copy, media_type,
};
use sha2::Digest as _;
use testkit::registry::TestRegistry;

const MEBIBYTE: usize = 1024 * 1024;
const SIZE: usize = 200 * MEBIBYTE;
const ALLOWED_GROWTH: usize = 48 * MEBIBYTE;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_hundred_mebibytes_pass_through_little_memory() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let [source, target] =
        [&from, &to].map(|server| Registry::new(&RegistryConfig::new(server.address())).unwrap());
    let name = "app".parse().unwrap();
    let layer = Descriptor::new(media_type::OCI_LAYER, digest().await, SIZE as u64);
    let before = peak_memory();

    source
        .push_blob_stream(&name, &layer.digest, layer.size, content())
        .await
        .unwrap();
    source
        .push_blob(&name, Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let config = Descriptor::of(media_type::OCI_CONFIG, b"{}");
    let manifest = serde_json::json!({"schemaVersion": 2, "mediaType": media_type::OCI_MANIFEST, "config": config, "layers": [layer]});
    let manifest = Manifest::new(manifest.to_string(), media_type::OCI_MANIFEST).unwrap();
    source.put_manifest(&name, &manifest).await.unwrap();
    let report = copy(
        &source,
        &name,
        &manifest.digest,
        &target,
        &name,
        CopyOptions::default(),
    )
    .await
    .unwrap();

    assert_eq!(report.bytes, SIZE as u64 + 2);
    assert!(
        target
            .blob_exists(&name, &manifest.layers()[0].digest)
            .await
            .unwrap()
    );
    let growth = peak_memory() - before;
    assert!(growth < ALLOWED_GROWTH, "{} MiB", growth / MEBIBYTE);
}

/// The large blob in chunks, none of which is like another.
fn content() -> impl Stream<Item = Result<Bytes, Error>> + Send + 'static {
    futures::stream::iter(0..SIZE / MEBIBYTE).map(|number| {
        let mut chunk = vec![7; MEBIBYTE];
        chunk[..8].copy_from_slice(&(number as u64).to_le_bytes());
        Ok(chunk.into())
    })
}

async fn digest() -> Digest {
    let mut hasher = sha2::Sha256::new();
    let mut chunks = std::pin::pin!(content());
    while let Some(chunk) = chunks.next().await {
        hasher.update(chunk.unwrap());
    }
    format!("sha256:{}", hex::encode(hasher.finalize()))
        .parse()
        .unwrap()
}

/// The most memory that this process ever held, in bytes.
fn peak_memory() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))
        .unwrap();
    line.trim()
        .trim_end_matches(" kB")
        .parse::<usize>()
        .unwrap()
        * 1024
}
