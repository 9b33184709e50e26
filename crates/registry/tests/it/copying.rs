//! Copies from registry to registry.

use registry::{CopyOptions, CopyReport, Digest, ErrorClass, Identifier, copy};
use testkit::registry::TestRegistry;

use crate::content::{
    client, client_of, name, noise, push_image, push_image_with, push_index, skopeo_inspect,
};
use crate::proxy::{Proxy, Reply};

#[tokio::test]
async fn an_image_arrives_byte_for_byte() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target) = (client(&from), client(&to));
    let (candidate, released) = (name("dev/app"), name("prod/app"));
    let image = push_image(&source, &candidate, "one").await;

    let report = copy(
        &source,
        &candidate,
        &image.digest,
        &target,
        &released,
        CopyOptions::default(),
    )
    .await
    .unwrap();

    let config_bytes = image.config().unwrap().size;
    let bytes = 100_010 + config_bytes;
    assert_eq!(
        report,
        CopyReport {
            manifests: 1,
            blobs: 3,
            bytes,
            ..CopyReport::default()
        }
    );
    assert_eq!(
        target
            .manifest(&released, image.digest.clone())
            .await
            .unwrap()
            .bytes,
        image.bytes
    );
    assert!(
        target.tags(&released).await.unwrap().is_empty(),
        "the release tag is somebody else's to write"
    );
    for layer in image.layers() {
        target.pull_blob(&released, layer, u64::MAX).await.unwrap();
    }
    if let Some(seen) = skopeo_inspect(&format!("{}/prod/app@{}", to.address(), image.digest)) {
        assert_eq!(seen["Labels"]["seed"], "one");
    }
}

#[tokio::test]
async fn an_index_brings_all_its_platforms() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let index = push_index(&source, &app, "multi").await;

    let report = copy(
        &source,
        &app,
        &index.digest,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap();

    assert_eq!((report.manifests, report.blobs), (4, 9));
    assert_eq!(
        target
            .manifest(&app, index.digest.clone())
            .await
            .unwrap()
            .bytes,
        index.bytes
    );
    for child in index.manifests() {
        assert!(
            target
                .resolve(&app, child.digest.clone())
                .await
                .unwrap()
                .is_some()
        );
    }
    if let Some(seen) = skopeo_inspect(&format!("{}/app@{}", to.address(), index.digest)) {
        assert_eq!(seen["Labels"]["seed"], "multi-amd64");
    }
}

#[tokio::test]
async fn what_is_there_already_is_not_sent() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let proxy = Proxy::start(&to.address(), |_| Reply::Forward).await;
    let (source, target, app) = (client(&from), client_of(&proxy.address()), name("app"));
    let index = push_index(&source, &app, "multi").await;
    copy(
        &source,
        &app,
        &index.digest,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap();
    let before = proxy.seen().len();

    let again = copy(
        &source,
        &app,
        &index.digest,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap();

    assert_eq!(
        again,
        CopyReport {
            skipped: 13,
            ..CopyReport::default()
        }
    );
    let writes = proxy
        .seen()
        .split_off(before)
        .into_iter()
        .filter(|seen| seen.writes())
        .count();
    assert_eq!(writes, 0);
}

#[tokio::test]
async fn within_a_registry_blobs_are_mounted() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, dev, prod) = (client(&server), name("dev/app"), name("prod/app"));
    let image = push_image(&registry, &dev, "one").await;

    let report = copy(
        &registry,
        &dev,
        &image.digest,
        &registry,
        &prod,
        CopyOptions::default(),
    )
    .await
    .unwrap();

    assert_eq!(
        report,
        CopyReport {
            manifests: 1,
            mounted: 3,
            ..CopyReport::default()
        }
    );
    registry
        .pull_blob(&prod, &image.layers()[0], u64::MAX)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_blob_that_is_not_mounted_is_sent() {
    let server = TestRegistry::start().await.unwrap();
    let mount = "mount=";
    let proxy = Proxy::start(&server.address(), move |seen| {
        // As a registry that doesn't know mounts: it begins an upload.
        if seen.target.contains(mount) {
            let location = format!("/v2/prod/app/blobs/uploads/unmounted-{}", seen.earlier);
            return Reply::Status(202, vec![("location", location)], String::new());
        }
        if seen.sends_blob() {
            return Reply::Status(201, Vec::new(), String::new());
        }
        // Nobody checks the manifest, whose blobs were sent nowhere.
        if seen.method == "PUT" {
            Reply::Status(201, Vec::new(), String::new())
        } else {
            Reply::Forward
        }
    })
    .await;
    let dev = name("dev/app");
    let image = push_image(&client(&server), &dev, "one").await;
    let registry = client_of(&proxy.address());
    let options = CopyOptions {
        include_referrers: false,
        ..CopyOptions::default()
    };
    let report = copy(
        &registry,
        &dev,
        &image.digest,
        &registry,
        &name("prod/app"),
        options,
    )
    .await
    .unwrap();
    assert_eq!((report.blobs, report.mounted), (3, 0));
    assert_eq!(
        proxy.seen().iter().filter(|seen| seen.sends_blob()).count(),
        3
    );
}

#[tokio::test]
async fn blobs_move_side_by_side_but_not_more_than_allowed() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let proxy = Proxy::start(&to.address(), |seen| match seen.sends_blob() {
        true => Reply::ForwardTogether(3),
        false => Reply::Forward,
    })
    .await;
    let (source, target, app) = (client(&from), client_of(&proxy.address()), name("app"));
    let layers: Vec<_> = (0..8)
        .map(|layer| noise(&format!("layer {layer}"), 50_000))
        .collect();
    let image = push_image_with(&source, &app, "many", &layers).await;
    let options = CopyOptions {
        concurrency: 3,
        ..CopyOptions::default()
    };
    let report = copy(&source, &app, &image.digest, &target, &app, options)
        .await
        .unwrap();
    assert_eq!(report.blobs, 9);
    assert_eq!(proxy.most_uploads_at_a_time(), 3);
}

#[tokio::test]
async fn two_copies_of_the_same_image_at_a_time_both_succeed() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, app) = (client(&from), name("app"));
    let index = push_index(&source, &app, "multi").await;
    // Two clients, as of two processes.
    let (one, other) = (client(&to), client(&to));
    let copying = [&one, &other].map(|target| {
        copy(
            &source,
            &app,
            &index.digest,
            target,
            &app,
            CopyOptions::default(),
        )
    });
    for report in futures::future::join_all(copying).await {
        report.unwrap();
    }
    assert!(one.resolve(&app, index.digest).await.unwrap().is_some());
}

#[tokio::test]
async fn what_the_source_lacks_is_not_found_there() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let absent = Digest::sha256_of(b"absent");
    let error = copy(
        &source,
        &app,
        &absent,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert!(
        error
            .to_string()
            .contains(&format!("{}/app@{absent}", from.address())),
        "{error}"
    );
}

#[tokio::test]
async fn a_copy_can_be_a_task_of_its_own() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let digest = push_image(&source, &app, "one").await.digest;
    let mut tasks = tokio::task::JoinSet::new();
    tasks.spawn(async move {
        copy(
            &source,
            &app,
            &digest,
            &target,
            &app,
            CopyOptions::default(),
        )
        .await?;
        target.resolve(&app, Identifier::Digest(digest)).await
    });
    assert!(tasks.join_next().await.unwrap().unwrap().unwrap().is_some());
}
