//! What is told of a registry that can't be used.

use std::time::Duration;

use registry::{ErrorClass, Registry};
use testkit::registry::TestRegistry;

use crate::content::{client, config};
use crate::proxy::{Proxy, Reply};

#[tokio::test]
async fn a_ping_tells_what_is_wrong() {
    let server = TestRegistry::start().await.unwrap();
    client(&server).ping().await.unwrap();

    let mut gone = TestRegistry::start().await.unwrap();
    gone.stop().await.unwrap();
    let web = Proxy::start(&server.address(), |_| {
        Reply::Status(
            200,
            vec![("content-type", "text/html".to_owned())],
            "<html>".to_owned(),
        )
    })
    .await;
    let nothing = Proxy::start(&server.address(), |_| {
        Reply::Status(404, Vec::new(), String::new())
    })
    .await;
    let broken = Proxy::start(&server.address(), |_| {
        Reply::Status(503, Vec::new(), String::new())
    })
    .await;
    let https = config(&server.address()).with_endpoint(format!("https://{}", server.address()));
    for (config, class, wanted) in [
        (
            config(&gone.address()),
            ErrorClass::Unavailable,
            "connection refused",
        ),
        (
            config(&web.address()),
            ErrorClass::Protocol,
            "a web page answers",
        ),
        (
            config(&nothing.address()),
            ErrorClass::Protocol,
            "no registry answers",
        ),
        (config(&broken.address()), ErrorClass::Unavailable, "503"),
        (https, ErrorClass::Protocol, "give its endpoint as http://"),
        (config("name.invalid:5000"), ErrorClass::Unavailable, "DNS"),
    ] {
        let error = Registry::new(&config).unwrap().ping().await.unwrap_err();
        assert_eq!(error.class(), class, "{error}");
        assert!(error.to_string().contains(wanted), "{wanted}: {error}");
        assert!(error.to_string().contains(&config.address), "{error}");
    }
    assert_eq!(broken.seen().len(), 1, "a ping is not tried again");
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let (key, certificate) = (
        directory.path().join("key.pem"),
        directory.path().join("certificate.pem"),
    );
    let mut request = tokio::process::Command::new("openssl");
    request.args([
        "req",
        "-x509",
        "-newkey",
        "ec",
        "-pkeyopt",
        "ec_paramgen_curve:P-256",
        "-nodes",
        "-days",
        "2",
    ]);
    request.args([
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost",
        "-keyout",
    ]);
    match request
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .output()
        .await
    {
        Ok(output) => assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        ),
        Err(error) => return eprintln!("left out: no openssl to make a certificate with: {error}"),
    }
    let port = std::net::TcpListener::bind(("127.0.0.1", 0))
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let mut server = tokio::process::Command::new("openssl");
    server.args([
        "s_server",
        "-quiet",
        "-www",
        "-accept",
        &port.to_string(),
        "-key",
    ]);
    let _server = server
        .arg(&key)
        .arg("-cert")
        .arg(&certificate)
        .kill_on_drop(true)
        .spawn()
        .unwrap();

    let address = format!("localhost:{port}");
    let registry =
        Registry::new(&config(&address).with_endpoint(format!("https://{address}"))).unwrap();
    let deadline = tokio::time::Instant::now() + Duration::from_secs(10);
    let error = loop {
        match registry.ping().await.unwrap_err() {
            error if error.is_retryable() && tokio::time::Instant::now() < deadline => {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            error => break error,
        }
    };
    assert_eq!(error.class(), ErrorClass::Protocol, "{error}");
    assert!(
        error.to_string().contains("certificate is not trusted"),
        "{error}"
    );
}
