//! Webhooks as forges send them: headers, bodies, signatures.

#![allow(clippy::unwrap_used, reason = "a test fails where it is unwrapped")]

mod signatures;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use gateway::{
    commit_event::{CommitEvent, CommitKind},
    webhook::{
        self, CommitPushed, Forge, PushKind, WebhookError, WebhookOutcome, WebhookSecret,
        WebhookSecrets,
    },
};
use hmac::{Hmac, KeyInit, Mac};
use http::{HeaderMap, HeaderName, HeaderValue};
use jiff::Timestamp;
use proptest::prelude::*;
use serde_json::{Value, json};
use sha2::Sha256;

const SECRET: &str = "a webhook secret";
const OLD: &str = "1111111111111111111111111111111111111111";
const NEW: &str = "2222222222222222222222222222222222222222";
const TAG_OBJECT: &str = "3333333333333333333333333333333333333333";
const ZERO: &str = "0000000000000000000000000000000000000000";

fn secrets() -> WebhookSecrets {
    let secret = || vec![WebhookSecret::new(SECRET).unwrap()];
    WebhookSecrets {
        github: secret(),
        gitlab: secret(),
        gitea: secret(),
    }
}

fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
    let pairs = pairs.iter().map(|(name, value)| {
        (
            HeaderName::from_bytes(name.as_bytes()).unwrap(),
            HeaderValue::from_str(value).unwrap(),
        )
    });
    pairs.collect()
}

fn hmac(key: &[u8], body: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(body);
    mac.finalize().into_bytes().to_vec()
}

fn github(event: &str, body: &[u8]) -> HeaderMap {
    let signature = format!("sha256={}", hex::encode(hmac(SECRET.as_bytes(), body)));
    headers(&[
        ("X-GitHub-Event", event),
        ("X-GitHub-Delivery", "72d3162e"),
        ("X-Hub-Signature-256", &signature),
    ])
}

/// Gitea sends the headers of Gogs and GitHub as well.
fn gitea(event: &str, body: &[u8]) -> HeaderMap {
    let signature = hex::encode(hmac(SECRET.as_bytes(), body));
    headers(&[
        ("X-GitHub-Delivery", "f6266f16"),
        ("X-GitHub-Event", event),
        ("X-Gogs-Delivery", "f6266f16"),
        ("X-Gogs-Event", event),
        ("X-Gitea-Delivery", "f6266f16"),
        ("X-Gitea-Event", event),
        ("X-Gitea-Signature", &signature),
        ("X-Hub-Signature", "sha1=0000"),
        ("X-Hub-Signature-256", "sha256=0000"),
    ])
}

fn gitlab(event: &str) -> HeaderMap {
    headers(&[
        ("X-Gitlab-Event", event),
        ("X-Gitlab-Token", SECRET),
        ("X-Gitlab-Event-UUID", "13792a34"),
    ])
}

fn receive(headers: &HeaderMap, body: &[u8]) -> Result<WebhookOutcome, WebhookError> {
    webhook::receive(headers, body, &secrets(), now())
}

fn pushed(headers: &HeaderMap, body: &[u8]) -> CommitPushed {
    match receive(headers, body).unwrap() {
        WebhookOutcome::Commit(pushed) => *pushed,
        other => panic!("expected a commit, got {other:?}"),
    }
}

fn ignored(headers: &HeaderMap, body: &[u8]) -> String {
    match receive(headers, body).unwrap() {
        WebhookOutcome::Ignored(reason) => reason,
        other => panic!("expected nothing to do, got {other:?}"),
    }
}

fn bytes(value: &Value) -> Vec<u8> {
    serde_json::to_vec(value).unwrap()
}

/// GitHub's form, which is Gitea's too.
fn hub_push(reference: &str, before: &str, after: &str) -> Value {
    let deleted = after == ZERO;
    let head = (!deleted).then(
        || json!({"id": NEW, "message": "fix: It", "added": [], "removed": [], "modified": ["a"]}),
    );
    json!({
        "ref": reference, "before": before, "after": after, "created": before == ZERO, "deleted": deleted, "forced": false,
        "base_ref": null, "compare": "https://git.example.com/team/orders/compare/1...2", "commits": [],
        "head_commit": head,
        "repository": {
            "id": 7, "name": "orders", "full_name": "team/orders", "private": true, "owner": {"login": "team"},
            "clone_url": "https://git.example.com/team/orders.git", "ssh_url": "git@git.example.com:team/orders.git",
            "default_branch": "main", "description": null
        },
        "pusher": {"name": "ada", "email": "ada@example.com"},
        "sender": {"login": "ada", "id": 1, "type": "User"}
    })
}

fn hub_pull_request(action: &str) -> Value {
    json!({
        "action": action, "number": 12,
        "pull_request": {
            "id": 99, "number": 12, "state": "open", "title": "Change it", "merged": action == "closed",
            "head": {"label": "ada:topic", "ref": "topic", "sha": NEW, "repo": null},
            "base": {"label": "team:main", "ref": "main", "sha": OLD}
        },
        "repository": hub_push("refs/heads/main", OLD, NEW)["repository"].clone(),
        "sender": {"login": "ada"}
    })
}

fn gitlab_push(kind: &str, reference: &str, after: &str, checkout: Option<&str>) -> Value {
    json!({
        "object_kind": kind, "event_name": kind, "before": OLD, "after": after, "ref": reference, "checkout_sha": checkout,
        "user_id": 4, "user_name": "Ada Author", "user_username": "ada", "user_email": "", "project_id": 15,
        "project": gitlab_project(), "commits": [], "total_commits_count": 0
    })
}

fn gitlab_project() -> Value {
    json!({
        "id": 15, "name": "Orders", "web_url": "https://gitlab.example.com/team/sub/orders", "avatar_url": null,
        "git_ssh_url": "git@gitlab.example.com:team/sub/orders.git",
        "git_http_url": "https://gitlab.example.com/team/sub/orders.git",
        "path_with_namespace": "team/sub/orders", "default_branch": "main"
    })
}

fn merge_request(action: &str, oldrev: Option<&str>) -> Vec<u8> {
    let mut event = json!({
        "object_kind": "merge_request", "event_type": "merge_request",
        "user": {"id": 1, "name": "Ada Author", "username": "ada"}, "project": gitlab_project(),
        "object_attributes": {
            "id": 990, "iid": 16, "target_branch": "main", "source_branch": "topic", "action": action,
            "last_commit": {"id": NEW, "message": "fix: It"}, "state": "opened", "merge_status": "unchecked"
        }
    });
    if let Some(oldrev) = oldrev {
        event["object_attributes"]["oldrev"] = json!(oldrev);
    }
    bytes(&event)
}

#[test]
fn a_push_to_github_is_a_commit() {
    let body = bytes(&hub_push("refs/heads/main", OLD, NEW));
    let expected = CommitPushed {
        delivery_id: "github:72d3162e".to_owned(),
        forge: Forge::GitHub,
        repository: "https://git.example.com/team/orders.git".to_owned(),
        full_name: "team/orders".to_owned(),
        reference: "refs/heads/main".to_owned(),
        commit: NEW.to_owned(),
        before: Some(OLD.to_owned()),
        kind: PushKind::Push,
        default_branch: Some("main".to_owned()),
        sender: Some("ada".to_owned()),
    };
    assert_eq!(pushed(&github("push", &body), &body), expected);

    let event = CommitEvent::from(expected);
    assert_eq!(CommitEvent::from_json(&event.to_json()).unwrap(), event);
    assert_eq!(
        (event.kind(), event.wanted().unwrap().as_str()),
        (CommitKind::Push, NEW)
    );
}

#[test]
fn new_branches_and_tags_have_no_before_and_annotated_tags_name_their_commit() {
    let body = bytes(&hub_push("refs/heads/new", ZERO, NEW));
    assert_eq!(pushed(&github("push", &body), &body).before, None);

    let body = bytes(&hub_push("refs/tags/v1.0.0", ZERO, TAG_OBJECT));
    let tag = pushed(&github("push", &body), &body);
    assert_eq!(
        (tag.kind, tag.commit.as_str(), tag.reference.as_str()),
        (PushKind::Tag, NEW, "refs/tags/v1.0.0")
    );

    let body = bytes(&gitlab_push(
        "tag_push",
        "refs/tags/v1.0.0",
        TAG_OBJECT,
        Some(NEW),
    ));
    let tag = pushed(&gitlab("Tag Push Hook"), &body);
    assert_eq!((tag.kind, tag.commit.as_str()), (PushKind::Tag, NEW));
}

#[test]
fn gitea_is_told_from_github_although_it_sends_both_headers() {
    let body = bytes(&hub_push("refs/heads/develop", OLD, NEW));
    let push = pushed(&gitea("push", &body), &body);
    assert_eq!(
        (push.forge, push.delivery_id.as_str()),
        (Forge::Gitea, "gitea:f6266f16")
    );

    // Without its own signature header, the one in GitHub's form counts.
    let mut headers = github("push", &body);
    headers.insert("x-forgejo-event", HeaderValue::from_static("push"));
    assert_eq!(pushed(&headers, &body).forge, Forge::Gitea);
}

#[test]
fn a_push_to_gitlab_is_a_commit() {
    let body = bytes(&gitlab_push("push", "refs/heads/main", NEW, Some(NEW)));
    let push = pushed(&gitlab("Push Hook"), &body);
    assert_eq!(
        (push.full_name.as_str(), push.commit.as_str()),
        ("team/sub/orders", NEW)
    );
    assert_eq!(
        push.repository,
        "https://gitlab.example.com/team/sub/orders.git"
    );
    assert_eq!(
        (push.sender.as_deref(), push.kind),
        (Some("ada"), PushKind::Push)
    );
}

#[test]
fn proposals_run_when_they_have_new_commits_only() {
    let proposal = |number, head: &str| PushKind::Proposal {
        number,
        target_branch: "main".to_owned(),
        head: head.to_owned(),
    };
    for action in ["opened", "reopened", "synchronize", "synchronized"] {
        let body = bytes(&hub_pull_request(action));
        for headers in [github("pull_request", &body), gitea("pull_request", &body)] {
            let push = pushed(&headers, &body);
            assert_eq!(
                (push.reference.as_str(), push.commit.as_str()),
                ("refs/pull/12/head", NEW)
            );
            assert_eq!(push.kind, proposal(12, "topic"));
        }
    }
    for (action, oldrev) in [("open", None), ("reopen", None), ("update", Some(OLD))] {
        let push = pushed(
            &gitlab("Merge Request Hook"),
            &merge_request(action, oldrev),
        );
        assert_eq!(
            (push.reference.as_str(), &push.kind),
            ("refs/merge-requests/16/head", &proposal(16, "topic"))
        );
        let event = CommitEvent::from(push);
        assert_eq!(
            (event.number, event.target_branch.as_deref()),
            (Some(16), Some("main"))
        );
    }
    let body = bytes(&hub_pull_request("labeled"));
    assert!(ignored(&github("pull_request", &body), &body).contains("labeled"));
    assert!(
        ignored(
            &gitlab("Merge Request Hook"),
            &merge_request("update", None)
        )
        .contains("no new commits")
    );
    assert!(
        ignored(
            &gitlab("Merge Request Hook"),
            &merge_request("approved", None)
        )
        .contains("approved")
    );
}

#[test]
fn closed_proposals_are_told() {
    let body = bytes(&hub_pull_request("closed"));
    let WebhookOutcome::ProposalClosed(closed) =
        receive(&github("pull_request", &body), &body).unwrap()
    else {
        panic!("not closed")
    };
    assert_eq!((closed.number, closed.merged), (12, true));
    for (action, merged) in [("close", false), ("merge", true)] {
        let WebhookOutcome::ProposalClosed(closed) =
            receive(&gitlab("Merge Request Hook"), &merge_request(action, None)).unwrap()
        else {
            panic!("not closed")
        };
        assert_eq!((closed.number, closed.merged), (16, merged));
    }
}

#[test]
fn deletions_and_other_events_are_ignored_with_a_reason() {
    for reference in ["refs/heads/old", "refs/tags/v0"] {
        let body = bytes(&hub_push(reference, OLD, ZERO));
        assert_eq!(
            ignored(&github("push", &body), &body),
            format!("{reference} was deleted")
        );
        assert_eq!(
            ignored(&gitea("push", &body), &body),
            format!("{reference} was deleted")
        );
        let body = bytes(&gitlab_push("push", reference, ZERO, None));
        assert_eq!(
            ignored(&gitlab("Push Hook"), &body),
            format!("{reference} was deleted")
        );
    }
    let body = bytes(&hub_push("refs/notes/x", OLD, NEW));
    assert!(ignored(&github("push", &body), &body).contains("neither a branch nor a tag"));
    assert!(ignored(&github("star", b"{}"), b"{}").contains("star"));
    assert!(ignored(&gitlab("Pipeline Hook"), b"{}").contains("Pipeline Hook"));
    assert_eq!(
        receive(&github("ping", b"{}"), b"{}").unwrap(),
        WebhookOutcome::Pong(Forge::GitHub)
    );
}

#[test]
fn a_repeated_delivery_has_the_same_id() {
    let body = bytes(&gitlab_push("push", "refs/heads/main", NEW, Some(NEW)));
    let id = |headers: &HeaderMap, body: &[u8]| pushed(headers, body).delivery_id;
    let mut with_all = gitlab("Push Hook");
    assert_eq!(id(&with_all, &body), "gitlab:13792a34");
    with_all.insert("webhook-id", HeaderValue::from_static("from-webhook-id"));
    assert_eq!(id(&with_all, &body), "gitlab:from-webhook-id");
    with_all.insert("idempotency-key", HeaderValue::from_static("from-key"));
    assert_eq!(id(&with_all, &body), "gitlab:from-key");

    let mut without = gitlab("Push Hook");
    without.remove("x-gitlab-event-uuid");
    let other = bytes(&gitlab_push("push", "refs/heads/other", NEW, Some(NEW)));
    assert_eq!(id(&without, &body), id(&without, &body));
    assert_ne!(id(&without, &body), id(&without, &other));
    without.insert(
        "idempotency-key",
        HeaderValue::from_str(&"x".repeat(5000)).unwrap(),
    );
    assert!(id(&without, &body).len() < 100, "an id is bounded");
}

#[test]
fn bodies_that_make_no_sense_are_refused_with_the_field() {
    let mut wrong_commit = hub_push("refs/heads/main", OLD, NEW);
    wrong_commit["after"] = json!("HEAD");
    let mut wrong_url = hub_push("refs/heads/main", OLD, NEW);
    wrong_url["repository"]["clone_url"] = json!("ext::sh -c 'touch /tmp/x'");
    let mut local = hub_push("refs/heads/main", OLD, NEW);
    local["repository"]["clone_url"] = json!("file:///etc");
    let mut no_repository = hub_push("refs/heads/main", OLD, NEW);
    no_repository.as_object_mut().unwrap().remove("repository");
    for (body, expected) in [
        (b"{\"ref\": ".to_vec(), "EOF"),
        (b"\xff\xfe".to_vec(), "not a JSON object"),
        (b"{\"\xff".to_vec(), "line 1"),
        (b"[]".to_vec(), "not a JSON object"),
        (bytes(&no_repository), "missing field `repository`"),
        (bytes(&wrong_commit), "`after` is not a commit id"),
        (bytes(&wrong_url), "`repository.clone_url`"),
        (bytes(&local), "a path on this machine"),
        (bytes(&hub_push("main", OLD, NEW)), "\"refs/\""),
        (bytes(&hub_push("refs/heads/--x y", OLD, NEW)), "`ref`"),
    ] {
        let error = receive(&github("push", &body), &body).unwrap_err();
        assert!(matches!(error, WebhookError::Malformed { .. }), "{error}");
        assert!(error.to_string().contains(expected), "{expected}: {error}");
        assert_eq!(error.status(), 400);
    }
}

proptest! {
    #[test]
    fn arbitrary_bodies_and_headers_never_panic(
        body in proptest::collection::vec(any::<u8>(), 0..400),
        event in "[ -~]{0,20}",
        signature in "[ -~]{0,80}",
        form in any::<bool>(),
    ) {
        let mut all = vec![github("push", &body), gitea("pull_request", &body), gitlab("Push Hook")];
        all.push(headers(&[("x-github-event", &event), ("x-hub-signature-256", &signature)]));
        all.push(headers(&[("x-gitlab-event", &event), ("webhook-signature", &signature), ("webhook-id", &event),
            ("webhook-timestamp", &signature)]));
        for mut headers in all {
            if form {
                headers.insert("content-type", HeaderValue::from_static("application/x-www-form-urlencoded"));
            }
            prop_assert!(!matches!(receive(&headers, &body), Ok(WebhookOutcome::Commit(_))));
        }
    }

    #[test]
    fn bodies_with_any_text_in_any_field_never_panic(text in ".{0,60}", field in 0_usize..6) {
        let mut event = hub_push("refs/heads/main", OLD, NEW);
        let pointer = ["/ref", "/before", "/after", "/head_commit/id", "/repository/clone_url", "/sender/login"][field];
        *event.pointer_mut(pointer).unwrap() = json!(text);
        let body = bytes(&event);
        if let Ok(WebhookOutcome::Commit(push)) = receive(&github("push", &body), &body) {
            let event = CommitEvent::from(*push);
            prop_assert_eq!(&CommitEvent::from_json(&event.to_json()).unwrap(), &event);
        }
    }
}
