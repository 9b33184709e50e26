use anyhow::Result;
use engine::{Credentials, Error, ErrorClass, Secret};
use testkit::registry::TestRegistry;

use crate::setup::Bench;

fn login(password: &str) -> Credentials {
    Credentials {
        username: TestRegistry::USERNAME.to_owned(),
        password: Secret::new(password),
    }
}

#[tokio::test]
async fn a_pushed_image_has_the_digest_that_the_registry_has() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let registry = TestRegistry::start_with_login().await?;
    let reference = format!("{}/team/{}:1.0", registry.address(), bench.run);
    bench
        .engine
        .tag(testkit::docker::BUSYBOX, &reference)
        .await?;

    let refused = bench
        .engine
        .push(&reference, None, None)
        .await
        .expect_err("a login is needed");
    assert!(matches!(refused, Error::PushRefused { .. }), "{refused:?}");
    let good = login(TestRegistry::PASSWORD);
    let digest = bench.engine.push(&reference, Some(&good), None).await?;
    let info = bench.engine.inspect_image(&reference).await?;
    let by_digest = format!("{}/team/{}@{digest}", registry.address(), bench.run);
    assert!(info.repo_digests.contains(&by_digest), "{info:?}");

    bench.engine.remove_image(&reference).await?;
    let refused = bench
        .engine
        .ensure_image(&reference, None)
        .await
        .expect_err("a login is needed");
    assert!(
        matches!(refused, Error::ImageNotFound { .. }),
        "{refused:?}"
    );
    bench.engine.ensure_image(&by_digest, Some(&good)).await?;
    bench.engine.pull(&reference, Some(&good)).await?;
    assert_eq!(bench.engine.inspect_image(&reference).await?.id, info.id);
    assert_eq!(
        bench.engine.push(&reference, Some(&good), None).await?,
        digest
    );
    bench.engine.remove_image(&reference).await?;
    bench.engine.remove_image(&by_digest).await?;
    Ok(())
}

#[tokio::test]
async fn an_absent_image_is_told_from_an_absent_registry() -> Result<()> {
    testkit::needs_docker!();
    let bench = Bench::new().await?;
    let mut registry = TestRegistry::start().await?;
    let reference = format!("{}/nothing/here:1", registry.address());
    let error = bench
        .engine
        .ensure_image(&reference, None)
        .await
        .expect_err("absent");
    assert!(
        matches!(&error, Error::ImageNotFound { image, .. } if *image == reference),
        "{error:?}"
    );
    assert_eq!(error.class(), ErrorClass::User);

    registry.stop().await?;
    let error = bench
        .engine
        .ensure_image(&reference, None)
        .await
        .expect_err("away");
    assert!(matches!(error, Error::PullFailed { .. }), "{error:?}");
    assert_eq!(
        error.class(),
        ErrorClass::Infrastructure { retryable: true }
    );

    bench
        .engine
        .tag(testkit::docker::BUSYBOX, &reference)
        .await?;
    let error = bench
        .engine
        .push(&reference, None, None)
        .await
        .expect_err("away");
    assert!(matches!(error, Error::PushFailed { .. }), "{error:?}");
    bench.engine.remove_image(&reference).await?;
    let error = bench
        .engine
        .push(&reference, None, None)
        .await
        .expect_err("not on the engine");
    assert!(matches!(error, Error::ImageNotFound { .. }), "{error:?}");
    Ok(())
}
