//! A release tag never moves.

use registry::{Digest, Error, ErrorClass, Registry, TagOutcome, tag_release};
use testkit::registry::TestRegistry;

use crate::content::{client, client_of, name, push_image, skopeo_inspect, tag};
use crate::proxy::{Proxy, Reply};

async fn named(registry: &Registry, version: &str) -> Digest {
    registry
        .resolve(&name("app"), tag(version))
        .await
        .unwrap()
        .unwrap()
        .digest
}

#[tokio::test]
async fn a_release_tag_is_written_once_and_never_moves() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app, version) = (client(&server), name("app"), tag("1.4.0"));
    let [one, two] = [
        push_image(&registry, &app, "one").await,
        push_image(&registry, &app, "two").await,
    ];

    assert_eq!(
        tag_release(&registry, &app, &version, &one.digest)
            .await
            .unwrap(),
        TagOutcome::Created
    );
    assert_eq!(
        tag_release(&registry, &app, &version, &one.digest)
            .await
            .unwrap(),
        TagOutcome::AlreadyThere
    );
    let error = tag_release(&registry, &app, &version, &two.digest)
        .await
        .unwrap_err();
    assert!(
        matches!(&error, Error::TagMoved { existing, wanted, .. } if *existing == one.digest && *wanted == two.digest)
    );
    assert_eq!(error.class(), ErrorClass::Conflict);
    assert!(
        error.to_string().contains("a release tag never moves"),
        "{error}"
    );
    assert_eq!(named(&registry, "1.4.0").await, one.digest);
    if let Some(seen) = skopeo_inspect(&format!("{}/app:1.4.0", server.address())) {
        assert_eq!(seen["Digest"], one.digest.as_str());
    }
}

#[tokio::test]
async fn what_is_not_there_is_not_released() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app) = (client(&server), name("app"));
    let absent = Digest::sha256_of(b"absent");
    let error = tag_release(&registry, &app, &tag("1.4.0"), &absent)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::NotFound);
    assert_eq!(registry.resolve(&app, tag("1.4.0")).await.unwrap(), None);
}

#[tokio::test]
async fn of_two_images_released_as_one_version_at_a_time_one_wins() {
    let server = TestRegistry::start().await.unwrap();
    let (registry, app, version) = (client(&server), name("app"), tag("1.4.0"));
    let mut digests = Vec::new();
    for image in ["one", "two", "three"] {
        digests.push(push_image(&registry, &app, image).await.digest);
    }
    let releasing = digests
        .iter()
        .map(|digest| tag_release(&registry, &app, &version, digest));
    let outcomes = futures::future::join_all(releasing).await;
    let winners: Vec<&Digest> = outcomes
        .iter()
        .zip(&digests)
        .filter(|(outcome, _)| outcome.is_ok())
        .map(|(_, digest)| digest)
        .collect();
    assert_eq!(winners, [&named(&registry, "1.4.0").await]);
    for outcome in outcomes.iter().filter(|outcome| outcome.is_err()) {
        assert!(
            matches!(outcome, Err(Error::TagMoved { .. })),
            "{outcome:?}"
        );
    }
}

#[tokio::test]
async fn the_same_image_released_twice_at_a_time_succeeds_twice() {
    let server = TestRegistry::start().await.unwrap();
    let (app, version) = (name("app"), tag("1.4.0"));
    // Two clients, as of two processes.
    let (one, other) = (client(&server), client(&server));
    let image = push_image(&one, &app, "one").await;
    let (first, second) = tokio::join!(
        tag_release(&one, &app, &version, &image.digest),
        tag_release(&other, &app, &version, &image.digest),
    );
    assert!(first.is_ok() && second.is_ok(), "{first:?} {second:?}");
}

#[tokio::test]
async fn who_is_overtaken_between_looking_and_writing_is_told() {
    let server = TestRegistry::start().await.unwrap();
    let (direct, app) = (client(&server), name("app"));
    let [ours, theirs] = [
        push_image(&direct, &app, "ours").await,
        push_image(&direct, &app, "theirs").await,
    ];
    direct.put_tag(&app, &tag("1.4.0"), &theirs).await.unwrap();
    // The first look still finds nothing, and somebody else's write comes after ours.
    let proxy = Proxy::start(&server.address(), |seen| {
        match (seen.method.as_str(), seen.earlier) {
            ("HEAD", 0) if seen.target.ends_with("/manifests/1.4.0") => {
                Reply::Status(404, Vec::new(), String::new())
            }
            ("PUT", _) => Reply::Status(201, Vec::new(), String::new()),
            _ => Reply::Forward,
        }
    })
    .await;
    let error = tag_release(
        &client_of(&proxy.address()),
        &app,
        &tag("1.4.0"),
        &ours.digest,
    )
    .await
    .unwrap_err();
    assert!(matches!(error, Error::TagMoved { .. }), "{error}");
}
