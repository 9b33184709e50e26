//! Finding and reading what a registry holds.

use registry::{Deletion, Digest, ErrorClass, Identifier, Manifest, Platform, media_type};
use testkit::registry::TestRegistry;

use crate::content::{client, client_of, name, push_image, push_index, put, skopeo_inspect, tag};
use crate::proxy::{Proxy, Reply};

#[tokio::test]
async fn a_tag_and_a_digest_resolve_to_the_same_bytes() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("team/app"));
    let image = push_image(&registry, &app, "one").await;
    registry.put_tag(&app, &tag("1.0.0"), &image).await.unwrap();

    let by_tag = registry.resolve(&app, tag("1.0.0")).await.unwrap().unwrap();
    assert_eq!(
        (by_tag.digest.clone(), by_tag.size),
        (image.digest.clone(), image.bytes.len() as u64)
    );
    assert_eq!(by_tag.media_type, media_type::OCI_MANIFEST);
    assert_eq!(
        registry.resolve(&app, image.digest.clone()).await.unwrap(),
        Some(by_tag)
    );
    assert_eq!(registry.manifest(&app, tag("1.0.0")).await.unwrap(), image);
    if let Some(seen) = skopeo_inspect(&format!("{}/team/app:1.0.0", server.address())) {
        assert_eq!(seen["Digest"], image.digest.as_str());
        assert_eq!(seen["Labels"]["seed"], "one");
    }
}

#[tokio::test]
async fn what_is_absent_is_none_or_not_found() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("team/app"));
    let absent = Digest::sha256_of(b"absent");
    assert_eq!(registry.resolve(&app, tag("1.0.0")).await.unwrap(), None);
    assert_eq!(registry.resolve(&app, absent.clone()).await.unwrap(), None);
    assert!(!registry.blob_exists(&app, &absent).await.unwrap());
    assert!(registry.tags(&app).await.unwrap().is_empty());
    let error = registry.manifest(&app, tag("1.0.0")).await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert!(
        error
            .to_string()
            .contains(&format!("{}/team/app:1.0.0", server.address())),
        "{error}"
    );
}

#[tokio::test]
async fn the_configuration_of_an_index_is_that_of_the_platform() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("app"));
    let index = push_index(&registry, &app, "multi").await;
    let arm = Platform {
        os: "linux".to_owned(),
        architecture: "arm64".to_owned(),
        variant: None,
    };
    let config = registry
        .image_config(&app, index.digest.clone(), Some(&arm))
        .await
        .unwrap();
    assert_eq!(config.label("seed"), Some("multi-arm64"));
    let strange = Platform {
        os: "plan9".to_owned(),
        architecture: "mips".to_owned(),
        variant: None,
    };
    let first = registry
        .image_config(&app, index.digest, Some(&strange))
        .await
        .unwrap();
    assert_eq!(first.label("seed"), Some("multi-arm64"));
    assert_eq!(
        first.label("org.opencontainers.image.version"),
        Some("1.4.0")
    );
}

#[tokio::test]
async fn all_pages_of_tags_are_read() {
    let server = TestRegistry::start().await.unwrap();
    let (direct, app) = (client(&server), name("app"));
    let image = push_image(&direct, &app, "one").await;
    for tags in 0..5 {
        direct
            .put_tag(&app, &tag(&format!("1.0.{tags}")), &image)
            .await
            .unwrap();
    }
    // Debian's registry gives all at once: three pages are made of them here.
    let page = |tags: &str, next: &str| {
        let link = (!next.is_empty()).then(|| ("link", format!("<{next}>; rel=\"next\"")));
        Reply::Status(
            200,
            link.into_iter().collect(),
            format!(r#"{{"name":"app","tags":[{tags}]}}"#),
        )
    };
    let proxy = Proxy::start(&server.address(), move |seen| match seen.target.as_str() {
        "/v2/app/tags/list?n=1000" => {
            page(r#""1.0.0","1.0.1""#, "/v2/app/tags/list?last=1.0.1&n=1000")
        }
        "/v2/app/tags/list?last=1.0.1&n=1000" => page(r#""1.0.2""#, "list?last=1.0.2"),
        "/v2/app/tags/list?last=1.0.2" => page(r#""1.0.3","1.0.4""#, ""),
        _ => Reply::Forward,
    })
    .await;
    let pages = client_of(&proxy.address()).tags(&app).await.unwrap();
    let mut all_at_once = direct.tags(&app).await.unwrap();
    all_at_once.sort();
    assert_eq!(pages, all_at_once);
    assert_eq!(pages.len(), 5);
}

#[tokio::test]
async fn a_next_page_elsewhere_is_not_asked_for() {
    let server = TestRegistry::start().await.unwrap();
    let link = vec![(
        "link",
        "<http://elsewhere.invalid/v2/app/tags/list>; rel=next".to_owned(),
    )];
    let proxy = Proxy::start(&server.address(), move |_| {
        Reply::Status(200, link.clone(), r#"{"tags":null}"#.to_owned())
    })
    .await;
    let error = client_of(&proxy.address())
        .tags(&name("app"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Protocol);
}

#[tokio::test]
async fn a_registry_that_says_nothing_on_head_is_asked_again() {
    let server = TestRegistry::start().await.unwrap();
    let app = name("app");
    let image = push_image(&client(&server), &app, "one").await;
    let proxy = Proxy::start(&server.address(), |seen| match seen.method.as_str() {
        "HEAD" => Reply::Status(405, Vec::new(), String::new()),
        _ => Reply::Forward,
    })
    .await;
    let found = client_of(&proxy.address())
        .resolve(&app, image.digest.clone())
        .await
        .unwrap()
        .unwrap();
    assert_eq!(found.digest, image.digest);
}

#[tokio::test]
async fn a_manifest_that_lacks_a_blob_is_not_stored() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("app"));
    let image = push_image(&registry, &app, "one").await;
    let broken = String::from_utf8(image.bytes.to_vec()).unwrap().replace(
        image.layers()[0].digest.as_str(),
        Digest::sha256_of(b"absent").as_str(),
    );
    let error = put(&registry, &app, broken, media_type::OCI_MANIFEST)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound, "{error}");
}

#[tokio::test]
async fn deleting_a_tag_never_takes_the_image_along() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("app"));
    let image = push_image(&registry, &app, "one").await;
    registry.put_tag(&app, &tag("1"), &image).await.unwrap();
    assert_eq!(
        registry.delete_tag(&app, &tag("2")).await.unwrap(),
        Deletion::Absent
    );
    let deletion = registry.delete_tag(&app, &tag("1")).await.unwrap();
    let left = registry.resolve(&app, tag("1")).await.unwrap();
    assert_eq!(
        left.is_none(),
        deletion == Deletion::Deleted,
        "{deletion:?}"
    );
    assert!(
        registry
            .resolve(&app, image.digest)
            .await
            .unwrap()
            .is_some()
    );
}

#[tokio::test]
async fn an_artifact_is_pushed_and_pulled_whole() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("app"));
    let image = push_image(&registry, &app, "one").await;
    let read: Manifest = registry
        .manifest(&app, Identifier::Digest(image.digest))
        .await
        .unwrap();
    let layer = &read.layers()[0];
    let bytes = registry.pull_blob(&app, layer, 1_000_000).await.unwrap();
    assert_eq!(Digest::sha256_of(&bytes), layer.digest);
    let error = registry.pull_blob(&app, layer, 10).await.unwrap_err();
    assert!(error.to_string().contains("at most 10 are read"), "{error}");
}
