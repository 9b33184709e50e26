//! Taking tables, and telling about them.

use edge::table::{Route, Table};
use http::Request;

use crate::{
    harness::{TestEdge, send, until},
    replica::Replica,
};

#[tokio::test]
async fn without_a_table_the_edge_says_so() {
    let edge = TestEdge::start().await;
    let response = edge.get("/").await;
    assert_eq!(
        (
            response.status().as_u16(),
            &response.headers()["x-slipway-edge"]
        ),
        (503, &"no-table".parse().unwrap())
    );
    assert!(
        response.body().contains("nothing is deployed here yet"),
        "{}",
        response.body()
    );
    assert_eq!(
        (
            edge.edge.status().generation,
            edge.edge.status().table_error
        ),
        (None, None)
    );
}

#[tokio::test]
async fn a_bad_table_leaves_the_one_in_force() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    let twice = Table::new(2, vec![replica.backend(1), replica.backend(1)]);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let mut busy = Table::new(2, vec![replica.backend(1)]);
    busy.listen = vec![taken.local_addr().unwrap().port()];
    for (text, reason) in [
        ("{\"generation\": 2, \"routes\": [".to_owned(), "EOF"),
        (
            "{\"generation\": 2, \"shadow\": 1}".to_owned(),
            "unknown field `shadow`",
        ),
        (
            serde_json::to_string(&twice).unwrap(),
            "two backends named v1",
        ),
        (serde_json::to_string(&busy).unwrap(), "cannot listen on"),
    ] {
        edge.put_text(&text).await;
        let status = edge.edge.status();
        assert_eq!(status.generation, Some(1));
        let error = status.table_error.unwrap();
        assert!(error.contains(reason), "{error}");
        assert_eq!(edge.get("/").await.into_body(), "v1");
    }
    edge.put_and_settle(3, vec![replica.backend(1)]).await;
    assert_eq!(edge.edge.status().table_error, None);
}

#[tokio::test]
async fn a_new_edge_takes_the_table_that_it_finds() {
    let replica = Replica::start("v1").await;
    let first = TestEdge::serving(vec![replica.backend(1)]).await;
    let table = std::fs::read(first.state.path().join("table.json")).unwrap();
    let again = TestEdge::start_with(|options| {
        std::fs::write(options.state.join("table.json"), table).unwrap();
    })
    .await;
    assert_eq!(again.edge.status().generation, Some(1));
    assert_eq!(again.get("/").await.into_body(), "v1");
}

#[tokio::test]
async fn a_second_edge_on_the_same_state_is_refused() {
    let first = TestEdge::start().await;
    let mut options = None;
    let _other = TestEdge::start_with(|given| options = Some(given.clone())).await;
    let mut options = options.unwrap();
    options.state = first.state.path().to_owned();
    let error = edge::server::Edge::start(options)
        .await
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("one edge only"), "{error}");
}

#[tokio::test]
async fn hosts_have_routes_of_their_own() {
    let (shop, orders) = (Replica::start("shop").await, Replica::start("orders").await);
    let edge = TestEdge::start().await;
    let route = |host: Option<&str>, replica: &Replica| Route {
        host: host.map(str::to_owned),
        backends: vec![replica.backend(1)],
        ..Route::default()
    };
    let mut table = Table::new(1, vec![]);
    table.version_header = true;
    table.routes = vec![route(None, &shop), route(Some("Orders.Example"), &orders)];
    edge.put(&table).await;
    edge.until("it settles", |status| status.is_settled(1))
        .await;
    let ask =
        |host: &'static str| send(Request::get(edge.url("/")).header("host", host), "".into());
    let answer = ask("orders.example:8080").await;
    assert_eq!(
        (
            answer.body().as_str(),
            &answer.headers()["x-slipway-version"]
        ),
        ("orders", &"orders".parse().unwrap())
    );
    assert_eq!(ask("elsewhere").await.into_body(), "shop");
    table.routes.remove(0);
    table.generation = 2;
    edge.put(&table).await;
    let nowhere = ask("elsewhere").await;
    assert_eq!(
        (
            nowhere.status().as_u16(),
            &nowhere.headers()["x-slipway-edge"]
        ),
        (404, &"no-route".parse().unwrap())
    );
}

#[tokio::test]
async fn ports_come_and_go_with_the_table() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    let before = edge.address();
    let free = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap();
    let mut table = Table::new(2, vec![replica.backend(1)]);
    table.listen = vec![free.port()];
    edge.put(&table).await;
    assert_eq!(edge.edge.status().listening, [free]);
    assert_eq!(edge.get("/").await.into_body(), "v1");
    let closed = || std::net::TcpStream::connect(before).is_err().then_some(());
    until("the old port is closed", closed).await;
}

#[tokio::test]
async fn a_stopping_edge_finishes_what_is_under_way() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::serving(vec![replica.backend(1)]).await;
    let address = edge.address();
    let stop = async {
        edge.until("a request is under way", |status| {
            status.backends[0].in_flight == 1
        })
        .await;
        edge.edge.stop().await;
    };
    let (response, ()) = tokio::join!(edge.get("/slow/500"), stop);
    assert_eq!(response.into_body(), "v1");
    assert!(std::net::TcpStream::connect(address).is_err());
}

#[tokio::test]
async fn what_outlasts_the_drain_timeout_is_cut() {
    let replica = Replica::start("v1").await;
    let edge = TestEdge::start().await;
    let mut table = Table::new(1, vec![replica.backend(1)]);
    table.drain_timeout_ms = 100;
    edge.put(&table).await;
    edge.until("it settles", |status| status.is_settled(1))
        .await;
    let client = reply_of_raw(edge.address());
    let stop = async {
        edge.until("a request is under way", |status| {
            status.backends[0].in_flight == 1
        })
        .await;
        edge.edge.stop().await;
    };
    let (reply, ()) = tokio::time::timeout(std::time::Duration::from_secs(10), async {
        tokio::join!(client, stop)
    })
    .await
    .expect("the edge stops");
    assert_eq!(reply, b"");
}

async fn reply_of_raw(address: std::net::SocketAddr) -> Vec<u8> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await.unwrap();
    stream
        .write_all(b"GET /slow/60000 HTTP/1.1\r\nhost: x\r\n\r\n")
        .await
        .unwrap();
    let mut reply = Vec::new();
    let _ = stream.read_to_end(&mut reply).await;
    reply
}
