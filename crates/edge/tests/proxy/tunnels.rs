//! Upgraded connections.

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{harness::TestEdge, replica::Replica};

/// Reads up to the end of the head.
async fn head(stream: &mut TcpStream) -> String {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await.unwrap());
    }
    String::from_utf8(head).unwrap()
}

async fn echoes(stream: &mut TcpStream, text: &[u8]) {
    stream.write_all(text).await.unwrap();
    let mut back = vec![0; text.len()];
    stream.read_exact(&mut back).await.unwrap();
    assert_eq!(back, text);
}

const ASK: &[u8] =
    b"GET /tunnel HTTP/1.1\r\nhost: x\r\nconnection: keep-alive, Upgrade\r\nupgrade: echo\r\n\r\n";

#[tokio::test]
async fn a_tunnel_carries_bytes_and_outlives_its_backends_removal() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::serving(vec![old.backend(1)]).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    stream.write_all(ASK).await.unwrap();
    let head = head(&mut stream).await;
    assert!(
        head.starts_with("HTTP/1.1 101") && head.contains("upgrade: echo"),
        "{head}"
    );
    echoes(&mut stream, b"hello").await;
    edge.put_and_settle(2, vec![new.backend(1)]).await;
    assert!(
        edge.backend("v1")
            .is_some_and(|backend| backend.draining && backend.in_flight == 1)
    );
    echoes(&mut stream, b"still here").await;
    drop(stream);
    edge.until("v1 is drained", |status| status.is_drained("v1"))
        .await;
}

#[tokio::test]
async fn a_backend_that_does_not_upgrade_answers_as_usual() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    let mut stream = TcpStream::connect(edge.address()).await.unwrap();
    let ask = String::from_utf8_lossy(ASK).replace("/tunnel", "/");
    stream.write_all(ask.as_bytes()).await.unwrap();
    let head = head(&mut stream).await;
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
}
