//! Backends that vanish, break off or are not there.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::SeqCst},
};

use edge::table::{Backend, Readiness};
use http::Method;
use testkit::load::Load;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinSet,
};

use crate::{
    harness::{TestEdge, until},
    replica::Replica,
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backend_killed_under_load_fails_no_idempotent_request() {
    let (stays, dies) = (Replica::start("stays").await, Replica::start("dies").await);
    let edge = TestEdge::serving(vec![stays.backend(1), dies.backend(1)]).await;
    let load = Load::start(edge.url("/slow/2"), 16, None);
    let mut dies = dies;
    for round in 0..3u64 {
        until("both serve", || {
            (dies.served() > 50 && stays.served() > 50 * round).then_some(())
        })
        .await;
        let address = dies.address;
        dies.kill().await;
        edge.until("it is set aside", |status| !status.backends[1].ready)
            .await;
        dies = Replica::start_at("dies", address).await;
        edge.until("it is back", |status| status.is_settled(1))
            .await;
    }
    let report = load.stop().await;
    report.assert_no_failures();
    let counted = edge
        .edge
        .status()
        .versions
        .into_iter()
        .find(|v| v.version == "dies")
        .unwrap();
    assert_eq!(
        counted.errors, counted.retried,
        "each failure was made good: {counted:?}"
    );
    assert!(
        counted.errors > 0,
        "the test never hit the backend while it was down"
    );
}

#[tokio::test]
async fn a_request_that_was_not_sent_goes_elsewhere_even_when_it_is_not_idempotent() {
    let (stays, goes) = (Replica::start("stays").await, Replica::start("goes").await);
    let edge = TestEdge::serving(vec![stays.backend(1), goes.backend(1)]).await;
    goes.kill().await;
    for _ in 0..4 {
        let response = edge.request(Method::POST, "/echo", "an order").await;
        assert_eq!(
            (response.status().as_u16(), response.body().as_str()),
            (200, "an order")
        );
    }
    assert!(!edge.backend("goes").unwrap().ready);
}

#[tokio::test]
async fn the_only_backend_being_gone_is_told_with_its_name() {
    let replica = Replica::start("orders-1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    replica.kill().await;
    let first = edge.get("/").await;
    assert_eq!(
        (first.status().as_u16(), &first.headers()["x-slipway-edge"]),
        (502, &"backend-failed".parse().unwrap())
    );
    assert!(
        first
            .body()
            .contains("backend orders-1 (orders-1) did not answer"),
        "{}",
        first.body()
    );
    assert!(first.body().contains("refused"), "{}", first.body());
    let then = edge.get("/").await;
    assert_eq!(
        (then.status().as_u16(), &then.headers()["x-slipway-edge"]),
        (503, &"no-ready-backend".parse().unwrap())
    );
    assert!(
        then.body().contains("no backend is ready") && then.body().contains("orders-1"),
        "{}",
        then.body()
    );
}

/// Answers the first request of each connection, and closes it on the second, as a server does whose idle connection
/// runs out just as it is used.
async fn closes_when_used_again(requests: Arc<AtomicU64>) -> (Backend, JoinSet<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let mut server = JoinSet::new();
    server.spawn(async move {
        let mut connections = JoinSet::new();
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let requests = requests.clone();
            connections.spawn(async move {
                let mut buffer = [0; 4096];
                for turn in 0..2 {
                    if !matches!(stream.read(&mut buffer).await, Ok(1..)) {
                        return;
                    }
                    requests.fetch_add(1, SeqCst);
                    if turn == 0 {
                        stream
                            .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
                            .await
                            .unwrap();
                    }
                }
            });
        }
    });
    let (name, version, ready) = ("closer".into(), "1.0.0".into(), Readiness::Tcp(true));
    (
        Backend {
            name,
            address,
            weight: 1,
            version,
            ready,
        },
        server,
    )
}

#[tokio::test]
async fn a_connection_closed_as_it_is_used_again_costs_no_idempotent_request() {
    let requests = Arc::new(AtomicU64::new(0));
    let (backend, _server) = closes_when_used_again(requests.clone()).await;
    let edge = TestEdge::serving(vec![backend]).await;
    for _ in 0..6 {
        assert_eq!(edge.get("/").await.into_body(), "ok");
    }
    let with_body = edge.request(Method::PUT, "/", "small").await;
    assert_eq!(with_body.status(), 200);
    assert!(requests.load(SeqCst) > 7, "no connection was used again");
    assert!(
        edge.backend("closer").unwrap().ready,
        "the backend is not to blame"
    );
}

#[tokio::test]
async fn a_request_that_may_have_been_acted_on_is_not_sent_again() {
    let requests = Arc::new(AtomicU64::new(0));
    let (backend, _server) = closes_when_used_again(requests.clone()).await;
    let edge = TestEdge::serving(vec![backend]).await;
    assert_eq!(edge.get("/").await.status(), 200);
    let refused = edge.request(Method::POST, "/", "an order").await;
    assert_eq!(refused.status(), 502, "{}", refused.body());
    assert!(
        refused.body().contains("closer (1.0.0)"),
        "{}",
        refused.body()
    );
    assert_eq!(requests.load(SeqCst), 2);
}

#[tokio::test]
async fn a_backend_that_never_begins_to_answer_is_given_up() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::start().await;
    let mut table = edge::table::Table::new(1, vec![replica.backend(1)]);
    table.response_timeout_ms = 200;
    edge.put(&table).await;
    edge.until("it settles", |status| status.is_settled(1))
        .await;
    let response = edge.get("/slow/60000").await;
    assert_eq!(response.status(), 504);
    assert!(
        response.body().contains("within 200 ms"),
        "{}",
        response.body()
    );
    edge.until("nothing is under way", |status| {
        status.backends[0].in_flight == 0
    })
    .await;
}
