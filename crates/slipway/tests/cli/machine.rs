//! `doctor`.

use serde_json::Value;

use crate::fake_gateway::FakeGateway;
use crate::program::Program;

fn check<'a>(examination: &'a Value, name: &str) -> &'a Value {
    let checks = examination["checks"].as_array().unwrap();
    checks
        .iter()
        .find(|check| check["name"] == name)
        .unwrap_or_else(|| panic!("no {name} in {examination}"))
}

#[tokio::test]
async fn doctor_tells_how_each_part_is_and_how_to_mend_it() {
    let gateway = FakeGateway::with(Vec::new()).await;
    let program = Program::of(&gateway);
    let ended = program.run(&["doctor", "--output", "json"]).await;
    let examination: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.code, 1, "a registry of the gateway is down");
    assert_eq!(examination["ok"], false);
    assert_eq!(check(&examination, "git")["state"], "ok");
    assert_eq!(check(&examination, "gateway")["state"], "ok");
    let registry = check(&examination, "registry production");
    assert_eq!(
        (&registry["state"], &registry["mend"]),
        (&"fail".into(), &"start it".into())
    );
    let human = program.run(&["doctor"]).await.out;
    assert!(
        human.contains("fail  registry production  no answer from 127.0.0.1:5001"),
        "{human}"
    );
    assert!(human.contains("→ start it"), "{human}");
}

#[tokio::test]
async fn doctor_says_that_there_is_no_gateway_and_how_to_start_it() {
    let program = Program::alone()
        .with("SLIPWAY_SERVER", "http://127.0.0.1:1")
        .with("SLIPWAY_NATS_URL", "nats://127.0.0.1:1");
    let ended = program.run(&["doctor", "--output", "json"]).await;
    let examination: Value = serde_json::from_str(&ended.out).unwrap();
    assert_eq!(ended.code, 1);
    assert!(
        check(&examination, "gateway")["mend"]
            .as_str()
            .unwrap()
            .contains("slipway up")
    );
    assert!(
        check(&examination, "nats")["detail"]
            .as_str()
            .unwrap()
            .contains("nothing answers at 127.0.0.1:1")
    );
}

#[tokio::test]
async fn doctor_says_once_what_to_do_without_an_engine() {
    let program = Program::alone().with("DOCKER_HOST", "unix:///nowhere/docker.sock");
    let examination: Value =
        serde_json::from_str(&program.run(&["doctor", "--output", "json"]).await.out).unwrap();
    let docker = check(&examination, "docker");
    let detail = docker["detail"].as_str().unwrap();
    assert!(
        detail.starts_with("no Docker engine answers at unix:///nowhere/docker.sock: "),
        "{detail}"
    );
    assert!(!detail.contains("apt-get"), "{detail}");
    assert!(docker["mend"].as_str().unwrap().contains("apt-get"));
}
