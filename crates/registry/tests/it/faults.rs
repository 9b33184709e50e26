//! Registries that lie, break off, refuse, or go away.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use registry::{
    CopyOptions, Error, ErrorClass, Manifest, Registry, RegistryConfig, RetryPolicy, Timeouts, copy,
};
use testkit::registry::TestRegistry;

use crate::content::{client, client_of, name, push_image, push_index, tag};
use crate::proxy::{Proxy, Reply, Seen};

/// Copies an image out of a source that treats each request as `rule` says; what came of it, and the target.
async fn copy_out_of(
    rule: impl Fn(&Seen) -> Reply + Send + Sync + 'static,
) -> (
    Result<registry::CopyReport, Error>,
    Manifest,
    Registry,
    (TestRegistry, TestRegistry, Proxy),
) {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let image = push_image(&client(&from), &name("app"), "one").await;
    let proxy = Proxy::start(&from.address(), rule).await;
    let target = Registry::new(&impatient(&to.address())).unwrap();
    let source = Registry::new(&impatient(&proxy.address())).unwrap();
    let options = CopyOptions::default();
    let outcome = copy(
        &source,
        &name("app"),
        &image.digest,
        &target,
        &name("app"),
        options,
    )
    .await;
    (outcome, image, target, (from, to, proxy))
}

fn impatient(address: &str) -> RegistryConfig {
    let timeouts = Timeouts {
        stall: Duration::from_millis(300),
        answer: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let retry = RetryPolicy {
        budget: Duration::from_secs(4),
        ..RetryPolicy::default()
    };
    RegistryConfig {
        timeouts,
        retry,
        ..RegistryConfig::new(address)
    }
}

async fn assert_nothing_arrived(image: &Manifest, target: &Registry) {
    assert!(
        !target
            .blob_exists(&name("app"), &image.layers()[0].digest)
            .await
            .unwrap()
    );
    assert_eq!(
        target
            .resolve(&name("app"), image.digest.clone())
            .await
            .unwrap(),
        None
    );
}

fn is_large_blob(seen: &Seen) -> bool {
    seen.gets_blob() && seen.target.contains(large_layer().as_str())
}

fn large_layer() -> registry::Digest {
    registry::Digest::sha256_of(&crate::content::noise("one", 100_000))
}

#[tokio::test]
async fn a_corrupt_blob_does_not_arrive() {
    let rule = |seen: &Seen| {
        if is_large_blob(seen) {
            Reply::Corrupt
        } else {
            Reply::Forward
        }
    };
    let (outcome, image, target, servers) = copy_out_of(rule).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Corrupt, "{error}");
    assert!(
        error.to_string().contains(&servers.2.address()),
        "it names the source: {error}"
    );
    assert_nothing_arrived(&image, &target).await;
    let reads = servers.2.seen().into_iter().filter(is_large_blob).count();
    assert_eq!(reads, 1, "what is corrupt is not asked for again");
}

#[tokio::test]
async fn a_blob_that_is_too_short_does_not_arrive() {
    let rule = |seen: &Seen| {
        if is_large_blob(seen) {
            Reply::Halve
        } else {
            Reply::Forward
        }
    };
    let (outcome, image, target, _servers) = copy_out_of(rule).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Corrupt, "{error}");
    assert!(
        error.to_string().contains("50000 bytes instead of 100000"),
        "{error}"
    );
    assert_nothing_arrived(&image, &target).await;
}

#[tokio::test]
async fn a_blob_that_always_breaks_off_does_not_arrive() {
    let rule = |seen: &Seen| {
        if is_large_blob(seen) {
            Reply::Truncate
        } else {
            Reply::Forward
        }
    };
    let (outcome, image, target, servers) = copy_out_of(rule).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable, "{error}");
    assert_nothing_arrived(&image, &target).await;
    assert!(servers.2.seen().into_iter().filter(is_large_blob).count() > 1);
}

#[tokio::test]
async fn a_blob_that_breaks_off_once_arrives_the_second_time() {
    let rule = |seen: &Seen| {
        if is_large_blob(seen) && seen.earlier == 0 {
            Reply::Truncate
        } else {
            Reply::Forward
        }
    };
    let (outcome, image, target, _servers) = copy_out_of(rule).await;
    assert_eq!(outcome.unwrap().blobs, 3);
    target
        .pull_blob(&name("app"), &image.layers()[0], u64::MAX)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_source_that_falls_silent_is_given_up() {
    let rule = |seen: &Seen| {
        if seen.gets_blob() {
            Reply::Hang
        } else {
            Reply::Forward
        }
    };
    let (outcome, image, target, _servers) = copy_out_of(rule).await;
    let error = outcome.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable, "{error}");
    assert!(
        error.to_string().contains("did not answer within 2 s"),
        "{error}"
    );
    assert_nothing_arrived(&image, &target).await;
}

#[tokio::test]
async fn a_corrupt_manifest_is_refused() {
    let rule =
        |seen: &Seen| match seen.method == "GET" && seen.target.contains("/manifests/sha256:") {
            true => Reply::Corrupt,
            false => Reply::Forward,
        };
    let (outcome, image, target, _servers) = copy_out_of(rule).await;
    assert_eq!(outcome.unwrap_err().class(), ErrorClass::Corrupt);
    assert_nothing_arrived(&image, &target).await;
}

#[tokio::test]
async fn a_registry_that_lies_about_the_digest_behind_a_tag_is_caught() {
    let server = TestRegistry::start().await.unwrap();
    let (direct, app) = (client(&server), name("app"));
    let [real, other] = [
        push_image(&direct, &app, "real").await,
        push_image(&direct, &app, "other").await,
    ];
    direct.put_tag(&app, &tag("1"), &real).await.unwrap();
    let lie = other.digest.to_string();
    let proxy = Proxy::start(&server.address(), move |_| {
        Reply::WithHeaders(vec![("docker-content-digest", lie.clone())])
    })
    .await;
    let error = client_of(&proxy.address())
        .manifest(&app, tag("1"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Corrupt, "{error}");
}

#[tokio::test]
async fn a_pause_that_the_registry_asks_for_is_kept() {
    let server = TestRegistry::start().await.unwrap();
    let image = push_image(&client(&server), &name("app"), "one").await;
    let proxy = Proxy::start(&server.address(), |seen| match seen.earlier {
        0 => Reply::Status(429, vec![("retry-after", "1".to_owned())], String::new()),
        _ => Reply::Forward,
    })
    .await;
    client_of(&proxy.address())
        .manifest(&name("app"), image.digest)
        .await
        .unwrap();
    let seen = proxy.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen[1].at - seen[0].at >= Duration::from_secs(1));
}

#[tokio::test]
async fn a_pause_longer_than_the_budget_is_not_waited_for() {
    let server = TestRegistry::start().await.unwrap();
    let proxy = Proxy::start(&server.address(), |_| {
        Reply::Status(429, vec![("retry-after", "3600".to_owned())], String::new())
    })
    .await;
    let error = client_of(&proxy.address())
        .manifest(&name("app"), tag("1"))
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable);
    assert!(error.to_string().contains("429"), "{error}");
    assert_eq!(proxy.seen().len(), 1);
}

#[tokio::test]
async fn a_registry_that_fails_every_third_time_still_gets_everything() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let requests = AtomicUsize::new(0);
    let proxy = Proxy::start(&to.address(), move |_| {
        let fails = requests.fetch_add(1, Ordering::Relaxed) % 3 == 2;
        if fails {
            Reply::Status(503, Vec::new(), String::new())
        } else {
            Reply::Forward
        }
    })
    .await;
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
    let again = copy(
        &source,
        &app,
        &index.digest,
        &client(&to),
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap();
    assert_eq!(again.skipped, 13);
}

#[tokio::test]
async fn an_upload_that_fails_is_begun_again() {
    let (from, to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let failures = AtomicUsize::new(0);
    let proxy = Proxy::start(&to.address(), move |seen| {
        let fails = seen.sends_blob() && failures.fetch_add(1, Ordering::Relaxed) < 4;
        if fails {
            Reply::Status(500, Vec::new(), String::new())
        } else {
            Reply::Forward
        }
    })
    .await;
    let (source, target, app) = (client(&from), client_of(&proxy.address()), name("app"));
    let image = push_image(&source, &app, "one").await;
    let report = copy(
        &source,
        &app,
        &image.digest,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap();
    assert_eq!(report.blobs, 3);
    assert_eq!(
        proxy.seen().iter().filter(|seen| seen.sends_blob()).count(),
        7
    );
}

#[tokio::test]
async fn a_registry_that_comes_back_in_time_was_never_missed() {
    let (from, mut to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, target, app) = (client(&from), client(&to), name("app"));
    let image = push_image(&source, &app, "one").await;
    to.stop().await.unwrap();
    let outage = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        to.restart().await.unwrap();
    };
    let (report, ()) = tokio::join!(
        copy(
            &source,
            &app,
            &image.digest,
            &target,
            &app,
            CopyOptions::default()
        ),
        outage
    );
    assert_eq!(report.unwrap().blobs, 3);
}

#[tokio::test]
async fn a_registry_that_stays_away_is_given_up_with_advice() {
    let (from, mut to) = (
        TestRegistry::start().await.unwrap(),
        TestRegistry::start().await.unwrap(),
    );
    let (source, app) = (client(&from), name("team/app"));
    let image = push_image(&source, &app, "one").await;
    to.stop().await.unwrap();
    let target = Registry::new(&impatient(&to.address())).unwrap();
    let error = copy(
        &source,
        &app,
        &image.digest,
        &target,
        &app,
        CopyOptions::default(),
    )
    .await
    .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Unavailable);
    let text = error.to_string();
    for wanted in [
        &to.address(),
        "team/app@sha256:",
        "connection refused",
        "check that it runs",
    ] {
        assert!(text.contains(wanted), "{wanted}: {text}");
    }
}
