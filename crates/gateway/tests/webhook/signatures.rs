//! Who may send: signatures, tokens, and secrets that are replaced.

use super::*;

#[test]
fn a_form_is_signed_as_it_is_sent() {
    let json = String::from_utf8(bytes(&hub_push("refs/heads/main", OLD, NEW))).unwrap();
    let body = form_urlencoded::Serializer::new(String::new())
        .append_pair("payload", &json)
        .finish()
        .into_bytes();
    for mut headers in [github("push", &body), gitea("push", &body)] {
        headers.insert(
            "content-type",
            HeaderValue::from_static("application/x-www-form-urlencoded; charset=utf-8"),
        );
        assert_eq!(pushed(&headers, &body).commit, NEW);
    }
    let body = b"other=1";
    let mut headers = github("push", body);
    headers.insert(
        "content-type",
        HeaderValue::from_static("application/x-www-form-urlencoded"),
    );
    assert!(
        receive(&headers, body)
            .unwrap_err()
            .to_string()
            .contains("payload")
    );
}

#[test]
fn a_wrong_signature_is_refused_before_the_body_is_read() {
    let body = bytes(&hub_push("refs/heads/main", OLD, NEW));
    let mut changed = body.clone();
    changed.push(b' ');
    let signed = |name: &'static str, value: &str, mut headers: HeaderMap| {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
        headers
    };
    let without_prefix = hex::encode(hmac(SECRET.as_bytes(), &body));
    let other_secret = format!("sha256={}", hex::encode(hmac(b"other", &body)));
    for (headers, body) in [
        (github("push", &body), changed.as_slice()),
        (
            signed(
                "x-hub-signature-256",
                &without_prefix,
                github("push", &body),
            ),
            &body,
        ),
        (
            signed("x-hub-signature-256", &other_secret, github("push", &body)),
            &body,
        ),
        (
            signed("x-hub-signature-256", "sha256=", github("push", &body)),
            &body,
        ),
        (
            signed("x-hub-signature-256", "sha256=zz", github("push", &body)),
            &body,
        ),
        (gitea("push", &body), &changed),
        (
            signed("x-gitlab-token", "a webhook secre", gitlab("Push Hook")),
            b"not JSON at all",
        ),
    ] {
        let error = receive(&headers, body).unwrap_err();
        assert!(
            matches!(error, WebhookError::BadSignature { .. }),
            "{error}"
        );
        assert_eq!(error.status(), 401);
        assert!(!error.to_string().contains(SECRET));
    }
}

#[test]
fn what_is_not_signed_or_not_configured_says_what_to_do() {
    let body = b"{}";
    for (name, mut headers) in [
        ("x-hub-signature-256", github("push", body)),
        ("x-gitlab-token", gitlab("Push Hook")),
        ("x-gitea-signature", gitea("push", body)),
    ] {
        headers.insert(name, HeaderValue::from_static(""));
        if name == "x-gitea-signature" {
            headers.remove("x-hub-signature-256");
        }
        let error = receive(&headers, body).unwrap_err();
        assert!(matches!(error, WebhookError::NotSigned { .. }), "{error}");

        let error =
            webhook::receive(&headers, body, &WebhookSecrets::default(), now()).unwrap_err();
        assert!(matches!(error, WebhookError::NoSecret { .. }), "{error}");
        assert!(error.to_string().contains("_WEBHOOK_SECRET"), "{error}");
    }
    assert!(
        WebhookSecret::new("  ").is_none(),
        "an empty secret is no secret"
    );
    let error = receive(&headers(&[("X-Event", "push")]), body).unwrap_err();
    assert!(matches!(error, WebhookError::UnknownForge), "{error}");
    let large = vec![b' '; webhook::MAX_BODY_BYTES + 1];
    assert_eq!(
        receive(&gitlab("Push Hook"), &large).unwrap_err().status(),
        413
    );
}

#[test]
fn secrets_can_be_replaced_one_after_the_other() {
    let body = bytes(&hub_push("refs/heads/main", OLD, NEW));
    let both = ["the next secret", SECRET].map(|secret| WebhookSecret::new(secret).unwrap());
    let secrets = WebhookSecrets {
        github: both.to_vec(),
        ..WebhookSecrets::default()
    };
    webhook::receive(&github("push", &body), &body, &secrets, now()).unwrap();
    assert!(!format!("{secrets:?}").contains("secret\""));
}

#[test]
fn the_published_examples_of_both_signatures_verify() {
    // docs.github.com, "Validating webhook deliveries".
    let secret = WebhookSecret::new("It's a Secret to Everybody").unwrap();
    let secrets = WebhookSecrets {
        github: vec![secret],
        ..WebhookSecrets::default()
    };
    let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
    let signed = headers(&[
        ("X-GitHub-Event", "ping"),
        ("X-Hub-Signature-256", signature),
    ]);
    webhook::receive(&signed, b"Hello, World!", &secrets, now()).unwrap();

    // The test vector of the Standard Webhooks libraries.
    let secret = WebhookSecret::new("whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw").unwrap();
    let secrets = WebhookSecrets {
        gitlab: vec![secret],
        ..WebhookSecrets::default()
    };
    let signed = headers(&[
        ("X-Gitlab-Event", "Other Hook"),
        ("webhook-id", "msg_p5jXN8AQM9LWM0D4loKWxJek"),
        ("webhook-timestamp", "1614265330"),
        (
            "webhook-signature",
            "v1,AAAA v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE= v2,x",
        ),
    ]);
    let body = br#"{"test": 2432232314}"#;
    let at = |seconds| {
        webhook::receive(
            &signed,
            body,
            &secrets,
            Timestamp::from_second(seconds).unwrap(),
        )
    };
    assert!(matches!(
        at(1_614_265_330 + 300),
        Ok(WebhookOutcome::Ignored(_))
    ));
    for late in [1_614_265_330 + 301, 1_614_265_330 - 301] {
        assert!(matches!(at(late), Err(WebhookError::Stale { .. })));
    }
}

#[test]
fn a_signing_token_signs_id_time_and_body_and_is_not_replaced_by_the_token() {
    let key = STANDARD.encode("0123456789abcdef01234567");
    let secret = WebhookSecret::new(&format!("whsec_{key}")).unwrap();
    let secrets = WebhookSecrets {
        gitlab: vec![secret, WebhookSecret::new(SECRET).unwrap()],
        ..WebhookSecrets::default()
    };
    let body = bytes(&gitlab_push("push", "refs/heads/main", NEW, Some(NEW)));
    let time = now().as_second().to_string();
    let signed = |id: &str| {
        let content = [b"id-1.", time.as_bytes(), b".", &body].concat();
        let signature = format!(
            "v1,{}",
            STANDARD.encode(hmac(b"0123456789abcdef01234567", &content))
        );
        let mut headers = gitlab("Push Hook");
        for (name, value) in [
            ("webhook-id", id),
            ("webhook-timestamp", &time),
            ("webhook-signature", &signature),
        ] {
            headers.insert(
                HeaderName::from_bytes(name.as_bytes()).unwrap(),
                HeaderValue::from_str(value).unwrap(),
            );
        }
        headers
    };
    let Ok(WebhookOutcome::Commit(push)) =
        webhook::receive(&signed("id-1"), &body, &secrets, now())
    else {
        panic!("refused")
    };
    assert_eq!(push.delivery_id, "gitlab:id-1");
    let error = webhook::receive(&signed("id-2"), &body, &secrets, now()).unwrap_err();
    assert!(
        matches!(error, WebhookError::BadSignature { .. }),
        "the id is signed: {error}"
    );
}
