//! Weights, switches and drains.

use std::time::{Duration, Instant};

use http::Method;
use testkit::load::Load;

use crate::{
    harness::{TestEdge, until},
    replica::Replica,
};

#[tokio::test]
async fn shares_are_exact() {
    let (old, new, idle) = (
        Replica::start("v1").await,
        Replica::start("v2").await,
        Replica::start("v3").await,
    );
    let edge = TestEdge::serving(vec![old.backend(90), new.backend(10), idle.backend(0)]).await;
    for _ in 0..200 {
        assert_eq!(edge.get("/").await.status(), 200);
    }
    assert_eq!((old.served(), new.served(), idle.served()), (180, 20, 0));
    let versions = edge.edge.status().versions;
    let counted: Vec<_> = versions
        .iter()
        .map(|v| (v.version.as_str(), v.requests, v.responses.success))
        .collect();
    assert_eq!(counted, [("v1", 180, 180), ("v2", 20, 20), ("v3", 0, 0)]);
    assert_eq!(versions[0].latency.count(), 180);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn switching_and_retiring_under_load_fails_no_request() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::serving(vec![old.backend(100)]).await;
    // Not idempotent, so that nothing is saved by sending it again.
    let load = Load {
        method: Method::POST,
        body: "x".into(),
        ..Load::new(edge.url("/slow/3"), 32, None)
    }
    .run();
    let mut generation = 1;
    for (before, after) in [(90, 10), (50, 50), (0, 100), (100, 0), (0, 100)] {
        generation += 1;
        edge.put_and_settle(generation, vec![old.backend(before), new.backend(after)])
            .await;
        let seen = (old.served(), new.served());
        until("the shares take effect", || {
            let moved = (before == 0 || old.served() > seen.0 + 100)
                && (after == 0 || new.served() > seen.1 + 10);
            moved.then_some(())
        })
        .await;
    }
    edge.put_and_settle(99, vec![new.backend(100)]).await;
    edge.until("v1 is drained", |status| status.is_drained("v1"))
        .await;
    old.stop().await;
    let seen = new.served();
    until("v2 serves alone", || {
        (new.served() > seen + 100).then_some(())
    })
    .await;
    let report = load.stop().await;
    report.assert_no_failures();
    assert_eq!(report.by_body.keys().collect::<Vec<_>>(), ["v1", "v2"]);
}

#[tokio::test]
async fn a_removed_backend_finishes_what_it_has_and_gets_nothing_new() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::serving(vec![old.backend(1)]).await;
    let slow = edge.get("/slow/700");
    let switch = async {
        edge.until("a request is under way", |status| {
            status.backends[0].in_flight == 1
        })
        .await;
        edge.put_and_settle(2, vec![new.backend(1)]).await;
        let draining = edge.backend("v1").expect("v1 is listed while it drains");
        assert!(
            draining.draining && draining.in_flight == 1 && draining.weight == 0,
            "{draining:?}"
        );
        assert_eq!(edge.get("/").await.into_body(), "v2");
    };
    let (response, ()) = tokio::join!(slow, switch);
    assert_eq!(response.into_body(), "v1");
    edge.until("v1 is drained", |status| status.is_drained("v1"))
        .await;
    until("idle connections to v1 are closed", || {
        (old.connections() == 0).then_some(())
    })
    .await;
    assert_eq!(old.served(), 1);
}

#[tokio::test]
async fn idle_connections_to_a_removed_backend_close_while_another_request_lasts() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::serving(vec![old.backend(1)]).await;
    let slow = edge.get("/slow/4000");
    let switch = async {
        edge.until("a request is under way", |status| {
            status.backends[0].in_flight == 1
        })
        .await;
        edge.get("/").await;
        edge.put_and_settle(2, vec![new.backend(1)]).await;
        until("only the busy connection is left", || {
            (old.connections() == 1).then_some(())
        })
        .await;
        assert!(edge.backend("v1").is_some(), "v1 is still at work");
    };
    tokio::join!(slow, switch);
}

#[tokio::test]
async fn a_new_backend_gets_requests_once_it_is_ready() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    new.set_ready(false);
    let edge = TestEdge::serving(vec![old.backend(1)]).await;
    edge.put(&edge::table::Table::new(
        2,
        vec![old.backend(1), new.backend(1)],
    ))
    .await;
    let status = edge
        .until("v2 is checked", |status| {
            status.backends[1].consecutive_failures > 0
        })
        .await;
    let error = status.backends[1].last_probe_error.clone().unwrap();
    assert!(error.contains("/healthz answered 503"), "{error}");
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.into_body(), "v1");
    }
    new.set_ready(true);
    edge.until("v2 is ready", |status| status.is_settled(2))
        .await;
    let both = [
        edge.get("/").await.into_body(),
        edge.get("/").await.into_body(),
    ];
    assert!(both.contains(&"v2".to_owned()), "{both:?}");
}

#[tokio::test]
async fn a_request_waits_a_moment_for_a_backend_to_become_ready() {
    let replica = Replica::start("v1").await;
    replica.set_ready(false);
    let edge = TestEdge::start().await;
    edge.put(&edge::table::Table::new(1, vec![replica.backend(1)]))
        .await;
    let begin = Instant::now();
    let refused = edge.get("/").await;
    assert_eq!(refused.status(), 503);
    assert!(
        begin.elapsed() >= Duration::from_millis(900),
        "it did not wait"
    );
    let ready = async {
        tokio::time::sleep(Duration::from_millis(200)).await;
        replica.set_ready(true);
    };
    let (response, ()) = tokio::join!(edge.get("/"), ready);
    assert_eq!(response.status(), 200);
}
