//! Logging in, and whom the credentials are shown to.

use registry::{CopyOptions, Credentials, ErrorClass, Registry, copy};
use testkit::registry::TestRegistry;

use crate::content::{client, client_of, config, name, push_image, tag};
use crate::proxy::{Proxy, Reply, Seen};

fn as_ci(address: &str, password: &str) -> Registry {
    Registry::new(
        &config(address).with_credentials(Credentials::new(TestRegistry::USERNAME, password)),
    )
    .unwrap()
}

#[tokio::test]
async fn a_registry_with_passwords_takes_the_right_one_only() {
    let server = TestRegistry::start_with_login().await.unwrap();
    let address = server.address();
    as_ci(&address, TestRegistry::PASSWORD)
        .ping()
        .await
        .unwrap();
    push_image(
        &as_ci(&address, TestRegistry::PASSWORD),
        &name("app"),
        "one",
    )
    .await;
    for registry in [client(&server), as_ci(&address, "wrong")] {
        let error = registry.ping().await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Refused, "{error}");
        assert!(
            error.to_string().contains("check the credentials"),
            "{error}"
        );
        assert!(!error.to_string().contains("wrong"), "{error}");
        let error = registry
            .push_blob(&name("app"), bytes::Bytes::from_static(b"x"))
            .await
            .unwrap_err();
        assert_eq!(error.class(), ErrorClass::Refused, "{error}");
    }
}

#[tokio::test]
async fn a_copy_logs_in_on_both_sides() {
    let from = TestRegistry::start_with_login().await.unwrap();
    let to = TestRegistry::start_with_login().await.unwrap();
    let source = as_ci(&from.address(), TestRegistry::PASSWORD);
    let target = as_ci(&to.address(), TestRegistry::PASSWORD);
    let image = push_image(&source, &name("app"), "one").await;
    let app = name("app");
    let options = CopyOptions::default();
    let report = copy(&source, &app, &image.digest, &target, &app, options)
        .await
        .unwrap();
    assert_eq!(report.blobs, 3);
}

/// A registry with a token server: a token is the scopes that it is good for, joined by `|`.
async fn with_tokens(server: &TestRegistry, life_seconds: u64) -> Proxy {
    let own_address = std::sync::Arc::new(std::sync::OnceLock::new());
    let known = own_address.clone();
    let proxy = Proxy::start(&server.address(), move |seen| {
        match seen.target.strip_prefix("/token?") {
            Some(query) => give_token(seen, query, life_seconds),
            None if is_welcome(seen) => Reply::Forward,
            None => {
                let address: &String = known.get().unwrap();
                let challenge =
                    format!("Bearer realm=\"http://{address}/token\",service=\"test registry\"");
                Reply::Status(401, vec![("www-authenticate", challenge)], String::new())
            }
        }
    })
    .await;
    own_address.set(proxy.address()).unwrap();
    proxy
}

fn give_token(seen: &Seen, query: &str, life_seconds: u64) -> Reply {
    // "ci:correct horse"
    if seen.authorization() != Some("Basic Y2k6Y29ycmVjdCBob3JzZQ==")
        || !query.contains("service=test+registry")
    {
        return Reply::Status(
            401,
            Vec::new(),
            r#"{"errors":[{"code":"UNAUTHORIZED","message":"who"}]}"#.to_owned(),
        );
    }
    let scopes = query
        .split('&')
        .filter_map(|pair| pair.strip_prefix("scope="));
    let decoded: Vec<String> = scopes
        .map(|scope| {
            scope
                .replace("%3A", ":")
                .replace("%2C", ",")
                .replace("%2F", "/")
        })
        .collect();
    let token = format!("|{}|", decoded.join("|"));
    Reply::Status(
        200,
        Vec::new(),
        format!(r#"{{"token":"{token}","expires_in":{life_seconds}}}"#),
    )
}

fn is_welcome(seen: &Seen) -> bool {
    let Some(token) = seen
        .authorization()
        .and_then(|value| value.strip_prefix("Bearer "))
    else {
        return false;
    };
    let path = seen
        .target
        .split('?')
        .next()
        .unwrap_or_default()
        .trim_start_matches("/v2/");
    let end = ["/manifests/", "/blobs/", "/tags/", "/referrers/"]
        .iter()
        .find_map(|part| path.find(part));
    match end {
        None => true,
        Some(end) if seen.writes() => {
            token.contains(&format!("|repository:{}:pull,push|", &path[..end]))
        }
        Some(end) => token.contains(&format!("|repository:{}:pull", &path[..end])),
    }
}

#[tokio::test]
async fn tokens_are_fetched_for_what_is_done_and_used_again() {
    let server = TestRegistry::start().await.unwrap();
    let proxy = with_tokens(&server, 300).await;
    let registry = as_ci(&proxy.address(), TestRegistry::PASSWORD);
    registry.ping().await.unwrap();
    let image = push_image(&registry, &name("dev/app"), "one").await;
    let to = name("prod/app");
    let report = copy(
        &registry,
        &name("dev/app"),
        &image.digest,
        &registry,
        &to,
        CopyOptions::default(),
    )
    .await
    .unwrap();
    assert_eq!(report.mounted, 3);
    let tokens: Vec<String> = proxy
        .seen()
        .into_iter()
        .map(|seen| seen.target)
        .filter(|target| target.starts_with("/token"))
        .collect();
    // For the ping, and per repository for reading, for writing, and for mounting into the second.
    assert_eq!(tokens.len(), 6, "{tokens:#?}");
}

#[tokio::test]
async fn a_token_that_ended_is_replaced() {
    let server = TestRegistry::start().await.unwrap();
    let proxy = with_tokens(&server, 0).await;
    let registry = as_ci(&proxy.address(), TestRegistry::PASSWORD);
    push_image(&registry, &name("app"), "one").await;
}

#[tokio::test]
async fn without_or_with_wrong_credentials_the_token_server_refuses() {
    let server = TestRegistry::start().await.unwrap();
    let proxy = with_tokens(&server, 300).await;
    for registry in [
        client_of(&proxy.address()),
        as_ci(&proxy.address(), "wrong"),
    ] {
        let error = registry.manifest(&name("app"), tag("1")).await.unwrap_err();
        assert_eq!(error.class(), ErrorClass::Refused);
        assert!(
            error.to_string().starts_with("fetching a token for"),
            "{error}"
        );
    }
}

#[tokio::test]
async fn where_blobs_are_kept_elsewhere_the_credentials_stay_here() {
    let server = TestRegistry::start().await.unwrap();
    let image = push_image(&client(&server), &name("app"), "one").await;
    // Another host as far as names tell.
    let storage = Proxy::start(&server.address(), |_| Reply::Forward).await;
    let elsewhere = storage.address().replace("127.0.0.1", "localhost");
    let proxy = Proxy::start(&server.address(), move |seen| {
        if seen.authorization().is_none() {
            return Reply::Status(
                401,
                vec![("www-authenticate", "Basic realm=test".to_owned())],
                String::new(),
            );
        }
        if seen.gets_blob() {
            let location = format!("http://{elsewhere}{}", seen.target);
            return Reply::Status(307, vec![("location", location)], String::new());
        }
        Reply::Forward
    })
    .await;
    let registry = as_ci(&proxy.address(), TestRegistry::PASSWORD);
    registry
        .pull_blob(&name("app"), &image.layers()[0], u64::MAX)
        .await
        .unwrap();
    assert!(
        proxy
            .seen()
            .iter()
            .any(|seen| seen.authorization().is_some())
    );
    assert_eq!(storage.seen().len(), 1);
    assert_eq!(storage.seen()[0].authorization(), None);
}

#[tokio::test]
async fn a_place_elsewhere_that_asks_for_a_login_gets_none() {
    let server = TestRegistry::start().await.unwrap();
    let image = push_image(&client(&server), &name("app"), "one").await;
    let thief = Proxy::start(&server.address(), |_| {
        Reply::Status(
            401,
            vec![("www-authenticate", "Basic realm=mine".to_owned())],
            String::new(),
        )
    })
    .await;
    let elsewhere = thief.address();
    let proxy = Proxy::start(&server.address(), move |seen| {
        Reply::Status(
            307,
            vec![("location", format!("http://{elsewhere}{}", seen.target))],
            String::new(),
        )
    })
    .await;
    let registry = as_ci(&proxy.address(), TestRegistry::PASSWORD);
    let error = registry
        .pull_blob(&name("app"), &image.layers()[0], u64::MAX)
        .await
        .unwrap_err();
    assert_eq!(error.class(), ErrorClass::Refused);
    assert!(
        thief
            .seen()
            .iter()
            .chain(&proxy.seen())
            .all(|seen| seen.authorization().is_none())
    );
}
