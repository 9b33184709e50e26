//! The server as a child process.

use std::time::Duration;

use bus::server::{NatsServer, NatsServerConfig, ServerError};
use bus::{Bus, BusConfig, Durability, EventSubject};

#[tokio::test(flavor = "multi_thread")]
async fn a_child_server_syncs_every_message_and_keeps_its_data_over_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let run = EventSubject::Run("r".into());
    for expected in 0..2 {
        let server = NatsServer::start(NatsServerConfig::new(directory.path()))
            .await
            .unwrap();
        let mut config = BusConfig::new(server.url(), "test");
        config.monitoring_url = server.monitoring_url();
        let bus = Bus::connect(&config).await.unwrap();
        assert_eq!(bus.durability(), Durability::Always);
        assert_eq!(bus.events().last_sequence().await.unwrap(), expected);
        bus.events()
            .append(&run, expected, &expected.to_string(), "e".into())
            .await
            .unwrap();
        bus.close(Duration::from_secs(5)).await;
        server.stop().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_directory_in_use_is_refused_and_free_again_after_the_server_was_killed() {
    let directory = tempfile::tempdir().unwrap();
    let server = NatsServer::start(NatsServerConfig::new(directory.path()))
        .await
        .unwrap();
    let second = NatsServer::start(NatsServerConfig::new(directory.path())).await;
    assert!(
        matches!(second, Err(ServerError::InUse { owner, .. }) if owner == std::process::id()),
        "{second:?}"
    );
    drop(server);
    let deadline = tokio::time::Instant::now() + Duration::from_secs(20);
    let server = loop {
        match NatsServer::start(NatsServerConfig::new(directory.path())).await {
            Ok(server) => break server,
            Err(error) => assert!(tokio::time::Instant::now() < deadline, "{error}"),
        }
    };
    server.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_left_behind_by_a_killed_owner_makes_way() {
    let directory = tempfile::tempdir().unwrap();
    let owned = NatsServer::start(NatsServerConfig::new(directory.path()))
        .await
        .unwrap();
    owned.stop().await.unwrap();
    // The shell starts the server as its owner would, notes itself as the owner, and is gone.
    let script = "nats-server --config nats.conf >/dev/null 2>&1 & echo \"$! $$\" > owner";
    let script = script.replace(
        "nats.conf",
        directory
            .path()
            .canonicalize()
            .unwrap()
            .join("nats.conf")
            .to_str()
            .unwrap(),
    );
    let status = tokio::process::Command::new("sh")
        .args(["-c", &script])
        .current_dir(directory.path())
        .status();
    assert!(status.await.unwrap().success());
    let orphan = std::fs::read_to_string(directory.path().join("owner")).unwrap();
    let orphan = orphan.split(' ').next().unwrap().to_owned();
    let server = NatsServer::start(NatsServerConfig::new(directory.path()))
        .await
        .unwrap();
    let alive = std::fs::read_to_string(format!("/proc/{orphan}/cmdline"))
        .is_ok_and(|line| line.contains("nats.conf"));
    assert!(!alive, "the orphan still runs");
    server.stop().await.unwrap();
}

#[tokio::test]
async fn a_missing_or_old_program_is_an_error_that_says_what_to_install() {
    let directory = tempfile::tempdir().unwrap();
    let start = |binary: std::path::PathBuf| {
        NatsServer::start(NatsServerConfig {
            binary,
            ..NatsServerConfig::new(directory.path().join("data"))
        })
    };
    let missing = start("/nowhere/nats-server".into()).await.unwrap_err();
    assert!(
        missing
            .to_string()
            .contains("install nats-server 2.10 or later"),
        "{missing}"
    );
    let old = directory.path().join("nats-server");
    std::fs::write(&old, "#!/bin/sh\necho nats-server: v2.9.10\n").unwrap();
    std::fs::set_permissions(&old, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let old = start(old).await.unwrap_err();
    assert!(
        matches!(old, ServerError::TooOld { .. }) && old.to_string().contains("v2.9.10"),
        "{old}"
    );
}

#[tokio::test]
async fn without_a_server_connecting_ends_in_time_and_shows_no_secret() {
    let mut config = BusConfig::new("nats://user:secret@127.0.0.1:1", "test");
    config.connect_timeout = Duration::from_millis(300);
    let error = Bus::connect(&config).await.unwrap_err();
    assert!(
        error.is_retryable() && !error.to_string().contains("secret"),
        "{error}"
    );
}
