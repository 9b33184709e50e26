//! Webhooks, from the bytes of a forge to a run.

use domain::platform::{PlatformSpec, Webhook};
use domain::spec::SecretReference;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde_json::{Value, json};
use sha2::Sha256;
use testkit::git::GitRepository;

use crate::forge::Forge;
use crate::harness::{TestGateway, WEBHOOK_SECRET, eventually, platform, small_service};

fn with_secret(file: &std::path::Path) -> PlatformSpec {
    let mut platform = platform(0);
    let secret = SecretReference::File(file.to_str().unwrap().to_owned());
    platform.webhooks.github = Some(Webhook { secret });
    platform
}

async fn gateway() -> (TestGateway, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let secret = folder.path().join("secret");
    std::fs::write(&secret, WEBHOOK_SECRET).unwrap();
    (
        TestGateway::with_platform(with_secret(&secret)).await,
        folder,
    )
}

fn signature(body: &[u8], secret: &str) -> String {
    let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
    mac.update(body);
    format!("sha256={}", hex::encode(mac.finalize().into_bytes()))
}

async fn send(
    gateway: &TestGateway,
    event: &str,
    delivery: &str,
    body: &Value,
    secret: &str,
) -> (u16, String) {
    let body = serde_json::to_vec(body).unwrap();
    let signature = signature(&body, secret);
    let headers = [
        ("content-type", "application/json"),
        ("x-github-event", event),
        ("x-github-delivery", delivery),
        ("x-hub-signature-256", signature.as_str()),
    ];
    let (status, body) = gateway
        .http("POST", "/webhooks/github", &headers, &body)
        .await;
    (status, String::from_utf8_lossy(&body).into_owned())
}

fn repository(forge: &Forge) -> Value {
    json!({ "full_name": "shop/orders", "clone_url": forge.url(), "default_branch": "main" })
}

fn push(forge: &Forge, of: &GitRepository, reference: &str) -> Value {
    json!({
        "ref": reference,
        "before": "0".repeat(40),
        "after": of.head().unwrap(),
        "deleted": false,
        "repository": repository(forge),
        "sender": { "login": "ada" },
    })
}

fn pull_request(forge: &Forge, of: &GitRepository, action: &str) -> Value {
    json!({
        "action": action,
        "number": 7,
        "pull_request": {
            "number": 7,
            "merged": false,
            "head": { "ref": "feature", "sha": of.head().unwrap(), "repo": repository(forge) },
            "base": { "ref": "main", "sha": of.head().unwrap(), "repo": repository(forge) },
        },
        "repository": repository(forge),
        "sender": { "login": "ada" },
    })
}

#[tokio::test]
async fn a_signed_push_starts_one_run_however_often_it_is_delivered() {
    let (gateway, _folder) = gateway().await;
    let repository = small_service("orders");
    let forge = Forge::of(repository.path()).await;
    let event = push(&forge, &repository, "refs/heads/main");
    for _ in 0..2 {
        let (status, body) = send(&gateway, "push", "delivery-1", &event, WEBHOOK_SECRET).await;
        assert!(
            status == 202 && body.contains("github:delivery-1"),
            "{status} {body}"
        );
    }
    let run = eventually("the push has a run", || async {
        gateway.list_runs().await.pop()
    })
    .await;
    assert_eq!(
        (run.service.as_str(), run.state.as_str(), run.via.as_str()),
        ("orders", "queued", "github")
    );
    assert_eq!(
        (run.actor.as_str(), run.commit),
        ("ada", repository.head().unwrap())
    );
    let (status, body) = send(
        &gateway,
        "push",
        "delivery-2",
        &push(&forge, &repository, "refs/heads/feature"),
        WEBHOOK_SECRET,
    )
    .await;
    assert!(status == 202 || status == 200, "{status} {body}");
    repository.commit("fix: Again").unwrap();
    send(
        &gateway,
        "push",
        "delivery-3",
        &push(&forge, &repository, "refs/heads/main"),
        WEBHOOK_SECRET,
    )
    .await;
    let runs = eventually("the next push has a run", || async {
        let runs = gateway.list_runs().await;
        (runs.len() >= 2).then_some(runs)
    })
    .await;
    assert_eq!(runs.len(), 2, "{runs:?}");
}

#[tokio::test]
async fn a_webhook_with_another_signature_is_refused_and_starts_nothing() {
    let (gateway, _folder) = gateway().await;
    let repository = small_service("orders");
    let forge = Forge::of(repository.path()).await;
    let event = push(&forge, &repository, "refs/heads/main");
    let (status, body) = send(&gateway, "push", "1", &event, "another secret").await;
    assert!(
        status == 401 && body.contains("signature"),
        "{status} {body}"
    );
    let (status, _) = gateway.http("POST", "/webhooks", &[], b"{}").await;
    assert_eq!(status, 400);
    let gitlab = [("x-gitlab-event", "Push Hook"), ("x-gitlab-token", "x")];
    let (status, body) = gateway
        .http("POST", "/webhooks/gitlab", &gitlab, b"{}")
        .await;
    assert_eq!(status, 503, "{}", String::from_utf8_lossy(&body));
    let (status, _) = gateway
        .http("POST", "/webhooks", &[], &vec![b' '; (25 << 20) + 1])
        .await;
    assert_eq!(status, 413);
    let (status, body) = send(
        &gateway,
        "ping",
        "2",
        &json!({ "zen": "…" }),
        WEBHOOK_SECRET,
    )
    .await;
    assert!(status == 200 && body.contains("pong"), "{status} {body}");
    assert!(gateway.list_runs().await.is_empty());
}

#[tokio::test]
async fn a_closed_proposal_needs_no_run() {
    let (gateway, _folder) = gateway().await;
    let repository = small_service("orders");
    let forge = Forge::of(repository.path()).await;
    let (status, body) = send(
        &gateway,
        "pull_request",
        "1",
        &pull_request(&forge, &repository, "opened"),
        WEBHOOK_SECRET,
    )
    .await;
    assert_eq!(status, 202, "{body}");
    let run = eventually("the proposal has a run", || async {
        gateway.list_runs().await.pop()
    })
    .await;
    assert_eq!(
        (run.kind.as_str(), run.state.as_str()),
        ("proposal", "queued"),
        "{}",
        run.reason
    );
    let (status, body) = send(
        &gateway,
        "pull_request",
        "2",
        &pull_request(&forge, &repository, "closed"),
        WEBHOOK_SECRET,
    )
    .await;
    assert_eq!(status, 200, "{body}");
    let run = gateway.get_run(&run.run_id).await;
    assert_eq!(
        (run.state.as_str(), run.reason.as_str()),
        ("cancelled", "cancelled by slipway: proposal 7 was closed")
    );
}
