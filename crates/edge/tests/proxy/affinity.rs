//! Requests that are told apart: testers, and clients that stay with a version.

use edge::table::{Backend, Mark, Match, Pair, Session, Sticky, Table};
use http::{HeaderMap, HeaderValue, Request, Version, header};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use testkit::load::Load;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    harness::{TestEdge, send, until},
    replica::Replica,
};

/// Requests with `x-canary: always`, or such a cookie, go to the backend `v2`.
fn for_testers(table: &mut Table) {
    let pair = |name: &str| Pair {
        name: name.into(),
        value: "always".into(),
    };
    let marks = [Mark::Header(pair("x-canary")), Mark::Cookie(pair("canary"))];
    table.routes[0].matches = marks
        .map(|when| Match {
            when,
            backends: vec!["v2".into()],
        })
        .into();
}

/// A table of sessions that are called as their one backend is.
fn sticky(generation: u64, backends: Vec<Backend>) -> Table {
    let session = |backend: &Backend| Session {
        value: backend.name.clone(),
        backends: vec![backend.name.clone()],
    };
    let sessions = backends.iter().map(session).collect();
    let mut table = Table::new(generation, backends);
    table.routes[0].sticky = Some(Sticky {
        cookie: "slipway".into(),
        max_age_s: None,
        sessions,
    });
    table
}

async fn put(edge: &TestEdge, table: &Table) {
    edge.put(table).await;
    edge.until("the table settles", |status| {
        status.is_settled(table.generation) && status.backends.iter().all(|b| b.ready)
    })
    .await;
}

async fn ask(edge: &TestEdge, name: &str, value: &str) -> String {
    let request = Request::get(edge.url("/")).header(name, value);
    send(request, "".into()).await.into_body()
}

#[tokio::test]
async fn testers_reach_a_version_that_nobody_else_does_and_are_counted_there() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::start().await;
    let mut table = Table::new(1, vec![old.backend(100), new.backend(0)]);
    for_testers(&mut table);
    put(&edge, &table).await;
    assert_eq!(ask(&edge, "X-Canary", "always").await, "v2");
    assert_eq!(ask(&edge, "Cookie", "a=b; canary=always").await, "v2");
    assert_eq!(ask(&edge, "X-Canary", "never").await, "v1");
    assert_eq!(ask(&edge, "Cookie", "canary=alwaysx").await, "v1");
    for _ in 0..10 {
        assert_eq!(edge.get("/").await.into_body(), "v1");
    }
    let status = edge.edge.status();
    let counted: Vec<_> = status
        .versions
        .iter()
        .map(|v| (v.requests, v.responses.success, v.latency.count()))
        .collect();
    assert_eq!(counted, [(12, 12, 12), (2, 2, 2)]);
    assert_eq!(status.routes[0].matches, table.routes[0].matches);

    new.set_ready(false);
    edge.until("v2 is set aside", |status| !status.backends[1].ready)
        .await;
    assert_eq!(ask(&edge, "X-Canary", "always").await, "v1");
    put(&edge, &Table::new(2, vec![old.backend(100)])).await;
    assert_eq!(ask(&edge, "X-Canary", "always").await, "v1");
    assert_eq!(edge.edge.status().routes, []);
}

#[tokio::test]
async fn a_tester_whose_version_dies_gets_an_answer_all_the_same() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::start().await;
    let mut table = sticky(1, vec![old.backend(1), new.backend(0)]);
    for_testers(&mut table);
    put(&edge, &table).await;
    new.kill().await;
    assert_eq!(ask(&edge, "X-Canary", "always").await, "v1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_stay_with_their_version_from_step_to_step_and_leave_it_when_it_is_given_up() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::start().await;
    put(&edge, &sticky(1, vec![old.backend(1), new.backend(1)])).await;
    let load = Load {
        keeps_cookies: true,
        method: http::Method::POST,
        ..Load::new(edge.url("/slow/3"), 32, None)
    }
    .run();
    edge.until("every client is there", |status| status.connections >= 32)
        .await;
    let seen = (old.served(), new.served());
    until("every client has a session", || {
        (old.served() > seen.0 + 100 && new.served() > seen.1 + 100).then_some(())
    })
    .await;
    let mut generation = 1;
    for (before, after) in [(90, 10), (10, 90), (1, 999)] {
        generation += 1;
        let table = sticky(generation, vec![old.backend(before), new.backend(after)]);
        put(&edge, &table).await;
        let seen = (old.served(), new.served());
        until("both versions are asked", || {
            (old.served() > seen.0 + 100 && new.served() > seen.1 + 100).then_some(())
        })
        .await;
    }
    put(&edge, &sticky(9, vec![old.backend(100), new.backend(0)])).await;
    let (seen, given_up) = (old.served(), new.served());
    until("the old version serves alone", || {
        (old.served() > seen + 200).then_some(())
    })
    .await;
    let report = load.stop().await;
    report.assert_no_failures();
    assert!(
        new.served() <= given_up + 32,
        "nothing but what was under way: {given_up}, then {}",
        new.served()
    );
    let stayed = report.journeys.iter().filter(|j| *j == &["v1"]).count();
    let moved = report
        .journeys
        .iter()
        .filter(|j| *j == &["v2", "v1"])
        .count();
    assert_eq!((stayed, moved), (16, 16), "{:?}", report.journeys);
}

#[tokio::test]
async fn a_client_whose_version_is_gone_is_moved_and_told_so() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::start().await;
    put(&edge, &sticky(1, vec![old.backend(0), new.backend(1)])).await;
    let cookie = |response: &http::Response<String>| {
        let cookie = response.headers().get(header::SET_COOKIE);
        cookie.map(|cookie| cookie.to_str().unwrap().to_owned())
    };
    let first = edge.get("/").await;
    let given = "slipway=v2; Path=/; HttpOnly; SameSite=Lax";
    assert_eq!(
        (first.body().as_str(), cookie(&first).as_deref()),
        ("v2", Some(given))
    );
    let again = || Request::get(edge.url("/")).header("cookie", "slipway=v2");
    let second = send(again(), "".into()).await;
    assert_eq!((second.body().as_str(), cookie(&second)), ("v2", None));
    put(&edge, &sticky(2, vec![old.backend(1), new.backend(1)])).await;
    new.kill().await;
    let third = send(again(), "".into()).await;
    let given = "slipway=v1; Path=/; HttpOnly; SameSite=Lax";
    assert_eq!(
        (third.body().as_str(), cookie(&third).as_deref()),
        ("v1", Some(given))
    );
    put(&edge, &Table::new(3, vec![old.backend(1)])).await;
    assert_eq!(cookie(&send(again(), "".into()).await), None);
}

#[tokio::test]
async fn a_tunnel_goes_where_its_cookie_says_and_tells_a_new_client_where_it_is() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::start().await;
    put(&edge, &sticky(1, vec![old.backend(999), new.backend(1)])).await;
    for (cookie, served, is_told) in [("slipway=v2", &new, false), ("a=b", &old, true)] {
        let mut stream = TcpStream::connect(edge.address()).await.unwrap();
        let ask = format!(
            "GET /tunnel HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: echo\r\ncookie: {cookie}\r\n\r\n"
        );
        stream.write_all(ask.as_bytes()).await.unwrap();
        let mut head = Vec::new();
        while !head.ends_with(b"\r\n\r\n") {
            head.push(stream.read_u8().await.unwrap());
        }
        let head = String::from_utf8(head).unwrap();
        assert!(head.starts_with("HTTP/1.1 101"), "{head}");
        assert_eq!(head.contains("set-cookie: slipway=v1;"), is_told, "{head}");
        assert_eq!(served.served(), 1);
        stream.write_all(b"hello").await.unwrap();
        let mut back = [0; 5];
        stream.read_exact(&mut back).await.unwrap();
        assert_eq!(&back, b"hello");
    }
}

#[tokio::test]
async fn http2_brings_its_cookies_on_many_lines_and_the_backend_gets_one() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::start().await;
    let mut table = sticky(1, vec![old.backend(999), new.backend(1)]);
    for_testers(&mut table);
    put(&edge, &table).await;
    let client: Client<HttpConnector, Full<bytes::Bytes>> = Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http();
    for last in ["slipway=v2", "canary=always"] {
        let served = new.served();
        let request = Request::get(edge.url("/headers"))
            .header("cookie", "a=1")
            .header("cookie", last);
        let request = request.body(Full::default()).unwrap();
        let response = client.request(request).await.unwrap();
        assert_eq!(response.version(), Version::HTTP_2);
        assert_eq!(new.served(), served + 1);
        let seen = response.into_body().collect().await.unwrap().to_bytes();
        let seen = String::from_utf8(seen.to_vec()).unwrap();
        assert!(
            seen.contains(&format!("\"cookie\": \"a=1; {last}\"")),
            "{seen}"
        );
    }
}

#[tokio::test]
async fn cookies_that_nobody_gave_are_harmless() {
    let (old, new) = (Replica::start("v1").await, Replica::start("v2").await);
    let edge = TestEdge::start().await;
    let mut table = sticky(1, vec![old.backend(1), new.backend(0)]);
    for_testers(&mut table);
    put(&edge, &table).await;
    let huge = format!("slipway={}", "v2".repeat(20_000));
    let many = "slipway=v2;".repeat(3_000);
    for cookie in [
        "slipway=v2",
        "slipway",
        "slipway==v2",
        "=; ;;slipway=; =v2",
        "slipway=v2\"; canary=\"always",
        "slipway=../../v2%00",
        "canary=always always",
        huge.as_str(),
        many.as_str(),
    ] {
        let request = Request::get(edge.url("/")).header("cookie", cookie);
        let response = send(request, "".into()).await;
        assert_eq!(response.status(), 200);
        assert_eq!(response.body(), "v1", "{}", &cookie[..cookie.len().min(60)]);
        let given = &response.headers()[header::SET_COOKIE];
        assert!(given.as_bytes().starts_with(b"slipway=v1;"), "{given:?}");
    }
    let mut lines = HeaderMap::new();
    for line in 0..50 {
        let value = [b"slipway=\xff", format!("{line}").as_bytes()].concat();
        lines.append(header::COOKIE, HeaderValue::from_bytes(&value).unwrap());
    }
    let load = Load {
        headers: lines,
        ..Load::new(edge.url("/"), 4, None)
    }
    .run();
    until("many were answered", || (old.served() > 100).then_some(())).await;
    load.stop().await.assert_no_failures();
    assert_eq!(new.served(), 0);
}
