//! What is attached to images comes along.

use registry::{
    CopyOptions, Descriptor, Digest, ErrorClass, Manifest, Registry, RepositoryName, copy,
    media_type,
};
use serde_json::json;
use testkit::registry::TestRegistry;

use crate::content::{attach, client, client_of, name, push_image, push_index, put, tag};
use crate::proxy::{Proxy, Reply};

const SBOM: &str = "application/vnd.cyclonedx+json";
const SIGNATURE: &str = "application/vnd.dev.sigstore.bundle.v0.3+json";

fn digests(referrers: &[Descriptor]) -> Vec<Digest> {
    let mut digests: Vec<Digest> = referrers
        .iter()
        .map(|referrer| referrer.digest.clone())
        .collect();
    digests.sort();
    digests
}

#[tokio::test]
async fn referrers_are_kept_under_the_fallback_tag() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("app"));
    let image = push_image(&registry, &app, "one").await;
    assert!(
        registry
            .referrers(&app, &image.digest, None)
            .await
            .unwrap()
            .is_empty()
    );
    let sbom = attach(&registry, &app, &image, SBOM).await;
    let signature = attach(&registry, &app, &image, SIGNATURE).await;

    let all = registry.referrers(&app, &image.digest, None).await.unwrap();
    assert_eq!(
        digests(&all),
        digests(&[sbom.descriptor(), signature.descriptor()])
    );
    let sboms = registry
        .referrers(&app, &image.digest, Some(SBOM))
        .await
        .unwrap();
    assert_eq!(sboms, [sbom.descriptor()]);
    assert_eq!(sboms[0].artifact_type.as_deref(), Some(SBOM));
}

#[tokio::test]
async fn attaching_from_many_sides_at_a_time_loses_nothing() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("app"));
    let image = push_image(&registry, &app, "one").await;
    let kinds: Vec<String> = (0..6)
        .map(|kind| format!("application/vnd.test.{kind}"))
        .collect();
    futures::future::join_all(
        kinds
            .iter()
            .map(|kind| attach(&registry, &app, &image, kind)),
    )
    .await;
    assert_eq!(
        registry
            .referrers(&app, &image.digest, None)
            .await
            .unwrap()
            .len(),
        6
    );
}

#[tokio::test]
async fn a_copy_brings_what_is_attached_to_what_is_attached() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let index = push_index(&source, &app, "multi").await;
    let child = source
        .manifest(&app, index.manifests()[0].digest.clone())
        .await
        .unwrap();
    let sbom = attach(&source, &app, &index, SBOM).await;
    let signature_of_sbom = attach(&source, &app, &sbom, SIGNATURE).await;
    let sbom_of_child = attach(&source, &app, &child, SBOM).await;

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

    assert_eq!((report.referrers, report.manifests), (3, 7));
    for (subject, referrer) in [
        (&index, &sbom),
        (&sbom, &signature_of_sbom),
        (&child, &sbom_of_child),
    ] {
        let listed = target.referrers(&app, &subject.digest, None).await.unwrap();
        assert_eq!(listed, [referrer.descriptor()]);
        assert_eq!(
            target
                .manifest(&app, referrer.digest.clone())
                .await
                .unwrap()
                .bytes,
            referrer.bytes
        );
    }
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
    assert_eq!((again.manifests, again.blobs, again.referrers), (0, 0, 3));
}

#[tokio::test]
async fn without_being_asked_for_what_is_attached_stays() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let image = push_image(&source, &app, "one").await;
    attach(&source, &app, &image, SBOM).await;
    let options = CopyOptions {
        include_referrers: false,
        ..CopyOptions::default()
    };
    assert_eq!(
        copy(&source, &app, &image.digest, &target, &app, options)
            .await
            .unwrap()
            .referrers,
        0
    );
    assert!(
        target
            .referrers(&app, &image.digest, None)
            .await
            .unwrap()
            .is_empty()
    );
}

#[tokio::test]
async fn what_the_target_had_attached_stays_attached() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let image = push_image(&source, &app, "one").await;
    copy(
        &source,
        &app,
        &image.digest,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap();
    let approval = attach(&target, &app, &image, "application/vnd.test.approval").await;
    let sbom = attach(&source, &app, &image, SBOM).await;
    copy(
        &source,
        &app,
        &image.digest,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap();
    let listed = target.referrers(&app, &image.digest, None).await.unwrap();
    assert_eq!(
        digests(&listed),
        digests(&[approval.descriptor(), sbom.descriptor()])
    );
}

#[tokio::test]
async fn a_registry_with_the_referrers_api_keeps_the_list_itself() {
    let server = TestRegistry::start().await.unwrap();
    let app = name("app");
    let image = push_image(&client(&server), &app, "one").await;
    let listed = Descriptor {
        artifact_type: Some(SBOM.to_owned()),
        ..Descriptor::of(media_type::OCI_MANIFEST, b"x")
    };
    let page =
        json!({"schemaVersion": 2, "mediaType": media_type::OCI_INDEX, "manifests": [listed]})
            .to_string();
    let proxy = Proxy::start(&server.address(), move |seen| {
        if seen.target.contains("/referrers/") {
            return Reply::Status(
                200,
                vec![("content-type", media_type::OCI_INDEX.to_owned())],
                page.clone(),
            );
        }
        match seen.method.as_str() {
            "PUT" if seen.target.contains("/manifests/") => Reply::WithHeaders(vec![(
                "oci-subject",
                Digest::sha256_of(b"subject").to_string(),
            )]),
            _ => Reply::Forward,
        }
    })
    .await;
    let registry = client_of(&proxy.address());
    attach(&registry, &app, &image, SBOM).await;
    assert_eq!(
        registry
            .referrers(&app, &image.digest, Some(SBOM))
            .await
            .unwrap(),
        [listed]
    );
    let fallback = tag(&image.digest.as_str().replace(':', "-"));
    assert_eq!(client(&server).resolve(&app, fallback).await.unwrap(), None);
}

/// Signs as cosign does: by a tag beside the image's digest.
async fn sign(
    registry: &Registry,
    app: &RepositoryName,
    image: &Manifest,
    signers: &[&str],
) -> Manifest {
    let payload = bytes::Bytes::from(format!("payload for {}", image.digest));
    registry.push_blob(app, payload.clone()).await.unwrap();
    registry
        .push_blob(app, bytes::Bytes::from_static(b"{}"))
        .await
        .unwrap();
    let layers = signers.iter().map(|signer| {
        let mut layer =
            Descriptor::of("application/vnd.dev.cosign.simplesigning.v1+json", &payload);
        layer.annotations.insert(
            "dev.cosignproject.cosign/signature".to_owned(),
            (*signer).to_owned(),
        );
        layer
    });
    let manifest = json!({
        "schemaVersion": 2,
        "mediaType": media_type::OCI_MANIFEST,
        "config": Descriptor::of(media_type::OCI_CONFIG, b"{}"),
        "layers": layers.collect::<Vec<_>>(),
    });
    let manifest = put(
        registry,
        app,
        manifest.to_string(),
        media_type::OCI_MANIFEST,
    )
    .await
    .unwrap();
    registry
        .put_tag(app, &signature_tag(image), &manifest)
        .await
        .unwrap();
    manifest
}

fn signature_tag(image: &Manifest) -> registry::Tag {
    tag(&format!("{}.sig", image.digest.as_str().replace(':', "-")))
}

#[tokio::test]
async fn cosign_signatures_come_along_and_none_is_lost() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let image = push_image(&source, &app, "one").await;
    let copying = || {
        copy(
            &source,
            &app,
            &image.digest,
            &target,
            &app,
            CopyOptions::default(),
        )
    };
    let in_target = || async {
        target
            .resolve(&app, signature_tag(&image))
            .await
            .unwrap()
            .unwrap()
            .digest
    };

    let by_a = sign(&source, &app, &image, &["a"]).await;
    assert_eq!(copying().await.unwrap().referrers, 1);
    assert_eq!(in_target().await, by_a.digest);

    let by_both = sign(&target, &app, &image, &["a", "b"]).await;
    copying().await.unwrap();
    assert_eq!(in_target().await, by_both.digest);

    sign(&source, &app, &image, &["c"]).await;
    let error = copying().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Conflict, "{error}");
    assert_eq!(in_target().await, by_both.digest);
}
