//! What passes through: headers, bodies, trailers, protocols.

use bytes::Bytes;
use http::{Method, Request, Version};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};

use crate::{
    harness::{TestEdge, send},
    replica::Replica,
};

#[tokio::test]
async fn the_backend_learns_who_asked_for_what() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    let request = Request::get(edge.url("/headers"))
        .header("host", "shop.example:8443")
        .header("connection", "x-private, keep-alive")
        .header("x-private", "1")
        .header("x-public", "2");
    let seen = send(request, Bytes::new()).await.into_body();
    for part in [
        r#""host": "shop.example:8443""#,
        r#""x-forwarded-for": "127.0.0.1""#,
        r#""x-forwarded-proto": "http""#,
        r#""x-forwarded-host": "shop.example:8443""#,
        r#""x-public": "2""#,
    ] {
        assert!(seen.contains(part), "{part} is missing in {seen}");
    }
    assert!(
        !seen.contains("x-private") && !seen.contains("transfer-encoding"),
        "{seen}"
    );
}

#[tokio::test]
async fn bodies_of_any_method_and_framing_arrive_whole() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    for size in [0, 1, 64 * 1024, 64 * 1024 + 1, 3_000_000] {
        for method in [Method::PUT, Method::POST] {
            let body = "b".repeat(size);
            let response = edge.request(method.clone(), "/echo", body.clone()).await;
            assert!(
                response.into_body() == body,
                "{method} of {size} bytes came back different"
            );
        }
    }
    let chunked = "POST /echo HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n";
    let reply = raw(edge.address(), chunked).await;
    assert!(
        reply.starts_with("HTTP/1.1 200") && reply.contains("abc"),
        "{reply}"
    );
    let head = send(Request::head(edge.url("/")), Bytes::new()).await;
    assert_eq!(head.headers()["content-length"], "2");
}

#[tokio::test]
async fn http2_with_prior_knowledge_is_served_and_grpc_stays_http2() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    let client: Client<HttpConnector, Full<Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    let plain = client
        .get(edge.url("/headers").parse().unwrap())
        .await
        .unwrap();
    assert_eq!(plain.version(), Version::HTTP_2);
    let seen = plain.into_body().collect().await.unwrap().to_bytes();
    assert!(seen.starts_with(b"HTTP/1.1"), "{seen:?}");
    let call =
        Request::post(edge.url("/trailers")).header("content-type", "application/grpc+proto");
    let answer = client
        .request(call.body(Full::from("x")).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.headers()["x-seen-version"], "HTTP/2.0");
    let body = answer.into_body().collect().await.unwrap();
    assert_eq!(body.trailers().unwrap()["grpc-status"], "0");
}

async fn raw(address: std::net::SocketAddr, request: &str) -> String {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut reply = String::new();
    stream.read_to_string(&mut reply).await.unwrap();
    reply
}
