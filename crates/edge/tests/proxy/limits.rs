//! Clients that ask for too much, or too slowly.

use std::time::Duration;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::{harness::TestEdge, replica::Replica};

/// Sends this and returns what came back until the edge closed the connection.
async fn until_closed(edge: &TestEdge, sent: &[u8]) -> String {
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    stream.write_all(sent).await.unwrap();
    let mut reply = Vec::new();
    let closed = timeout(Duration::from_secs(10), stream.read_to_end(&mut reply)).await;
    // A reset ends a connection as well.
    let _ = closed.expect("the edge closes the connection");
    String::from_utf8(reply).unwrap()
}

#[tokio::test]
async fn connections_that_do_not_finish_a_head_are_closed() {
    let edge =
        TestEdge::start_with(|options| options.head_timeout = Duration::from_millis(200)).await;
    for sent in ["", "P", "PRI * HT", "GET / HTTP/1.1\r\nhost: x\r\nx-slow"] {
        let reply = until_closed(&edge, sent.as_bytes()).await;
        assert!(!reply.contains("200 OK"), "{sent:?} got {reply}");
    }
    edge.until("they are gone", |status| status.connections == 0)
        .await;
}

#[tokio::test]
async fn a_request_may_take_longer_than_its_head() {
    let replica = Replica::start("v1").await;
    let edge =
        TestEdge::start_with(|options| options.head_timeout = Duration::from_millis(200)).await;
    edge.put_and_settle(1, vec![replica.backend(1)]).await;
    assert_eq!(edge.get("/slow/700").await.into_body(), "v1");
}

#[tokio::test]
async fn heads_that_are_too_large_are_refused() {
    let edge = TestEdge::start().await;
    let long = "a".repeat(70_000);
    let reply = until_closed(
        &edge,
        format!("GET /{long} HTTP/1.1\r\nhost: x\r\n\r\n").as_bytes(),
    )
    .await;
    assert!(
        reply.is_empty() || reply.starts_with("HTTP/1.1 4"),
        "{reply}"
    );
    let many: String = (0..200).map(|n| format!("x-{n}: 1\r\n")).collect();
    let reply = until_closed(
        &edge,
        format!("GET / HTTP/1.1\r\nhost: x\r\n{many}\r\n").as_bytes(),
    )
    .await;
    assert!(reply.starts_with("HTTP/1.1 431"), "{reply}");
}

#[tokio::test]
async fn connect_is_not_served() {
    let edge = TestEdge::start().await;
    let reply = until_closed(
        &edge,
        b"CONNECT x:1 HTTP/1.1\r\nhost: x:1\r\nconnection: close\r\n\r\n",
    )
    .await;
    assert!(
        reply.starts_with("HTTP/1.1 400") && reply.contains("CONNECT is not served"),
        "{reply}"
    );
}
