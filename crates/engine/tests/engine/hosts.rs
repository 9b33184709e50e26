use engine::{Engine, Error};

#[tokio::test]
async fn an_absent_engine_is_told_with_what_to_do() {
    for host in ["unix:///nowhere/docker.sock", "tcp://127.0.0.1:1"] {
        let error = Engine::connect_to(host)
            .await
            .expect_err("nothing is there");
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(
            error.to_string().contains(host) && error.to_string().contains("DOCKER_HOST"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn an_address_of_an_unknown_kind_is_refused() {
    let error = Engine::connect_to("gopher://x")
        .await
        .expect_err("not an engine's address");
    assert!(matches!(error, Error::BadHost { .. }), "{error:?}");
}

#[tokio::test]
async fn the_engine_says_who_it_is() -> anyhow::Result<()> {
    testkit::needs_docker!();
    let engine = Engine::connect().await?;
    engine.ping().await?;
    assert!(!engine.id().is_empty());
    assert!(engine.version().contains('.'), "{engine:?}");
    Ok(())
}
