//! Lists, tokens, health, gRPC-Web.

use proto::gateway::v1::run_service_client::RunServiceClient;
use proto::gateway::v1::{GetRunRequest, GetStatusRequest, ListRunsRequest};
use tonic::Code;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;

use crate::harness::{TOKEN, TestGateway, eventually, of, small_service};

#[tokio::test]
async fn runs_are_listed_in_pages_newest_first_also_after_a_restart() {
    let mut gateway = TestGateway::start().await;
    let (orders, pricing) = (small_service("orders"), small_service("pricing"));
    let mut started = Vec::new();
    for repository in [&orders, &pricing, &orders, &orders, &pricing] {
        started.insert(0, gateway.start_run(repository).await.run_id);
    }
    gateway.end().await;
    gateway.begin().await;
    let mut request = ListRunsRequest {
        page_size: 2,
        ..Default::default()
    };
    let mut listed = Vec::new();
    loop {
        let page = gateway
            .runs()
            .list_runs(request.clone())
            .await
            .unwrap()
            .into_inner();
        assert!(page.runs.len() <= 2);
        listed.extend(page.runs.into_iter().map(|run| run.run_id));
        if page.next_page_token.is_empty() {
            break;
        }
        request.page_token = page.next_page_token;
    }
    assert_eq!(listed, started);
    let list = |service: &str, state: &str| ListRunsRequest {
        service: service.to_owned(),
        state: state.to_owned(),
        ..Default::default()
    };
    for (service, state, count) in [
        ("pricing", "", 2),
        ("orders", "queued", 3),
        ("", "failed", 0),
        ("pricing", "failed", 0),
    ] {
        let page = gateway
            .runs()
            .list_runs(list(service, state))
            .await
            .unwrap()
            .into_inner();
        assert_eq!(page.runs.len(), count, "{service} {state}");
    }
    let unknown = gateway
        .runs()
        .list_runs(list("", "broken"))
        .await
        .unwrap_err();
    assert_eq!(unknown.code(), Code::InvalidArgument);
    assert!(
        unknown.message().contains("waiting_for_approval"),
        "{}",
        unknown.message()
    );
    let unknown = gateway
        .runs()
        .list_runs(list("cart", ""))
        .await
        .unwrap_err();
    assert_eq!(
        (unknown.code(), unknown.message()),
        (
            Code::NotFound,
            "there is no service `cart`; there is orders, pricing"
        )
    );
    let token = ListRunsRequest {
        page_token: "nonsense".to_owned(),
        ..Default::default()
    };
    assert_eq!(
        gateway.runs().list_runs(token).await.unwrap_err().code(),
        Code::InvalidArgument
    );
}

#[tokio::test]
async fn nothing_is_answered_without_a_valid_token_but_health() {
    let gateway = TestGateway::start().await;
    let mut nobody = RunServiceClient::new(gateway.channel());
    assert_eq!(
        nobody
            .list_runs(ListRunsRequest::default())
            .await
            .unwrap_err()
            .code(),
        Code::Unauthenticated
    );
    assert_eq!(
        nobody
            .start_run(of(&small_service("orders")))
            .await
            .unwrap_err()
            .code(),
        Code::Unauthenticated
    );
    let mut stranger = gateway.runs_as("a-token-that-nobody-has");
    assert_eq!(
        stranger
            .list_runs(ListRunsRequest::default())
            .await
            .unwrap_err()
            .code(),
        Code::Unauthenticated
    );
    let mut health = HealthClient::new(gateway.channel());
    eventually("it serves", || {
        let mut health = health.clone();
        async move {
            let answer = health
                .check(HealthCheckRequest {
                    service: String::new(),
                })
                .await
                .ok()?;
            (answer.into_inner().status() == ServingStatus::Serving).then_some(())
        }
    })
    .await;
    assert!(
        health
            .check(HealthCheckRequest {
                service: "nonsense".to_owned()
            })
            .await
            .is_err()
    );
    assert!(gateway.list_runs().await.is_empty());
    assert_eq!(
        gateway.http("GET", "/healthz", &[], b"").await,
        (200, b"ok\n".to_vec())
    );
}

#[tokio::test]
async fn unknown_runs_and_bad_ids_are_told_apart() {
    let gateway = TestGateway::start().await;
    for (id, code) in [
        ("01abc", Code::NotFound),
        ("", Code::InvalidArgument),
        ("A b", Code::InvalidArgument),
    ] {
        let status = gateway
            .runs()
            .get_run(GetRunRequest {
                run_id: id.to_owned(),
            })
            .await
            .unwrap_err();
        assert_eq!(status.code(), code, "{id:?}: {status:?}");
    }
}

#[tokio::test]
async fn browsers_speak_grpc_web_on_the_same_port() {
    let gateway = TestGateway::start().await;
    let authorization = format!("Bearer {TOKEN}");
    let headers = [
        ("content-type", "application/grpc-web+proto"),
        ("authorization", authorization.as_str()),
    ];
    let call = "/slipway.gateway.v1.SystemService/GetStatus";
    let (status, body) = gateway.http("POST", call, &headers, &[0; 5]).await;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(
        status == 200 && text.contains("grpc-status:0") && text.contains("ada"),
        "{status} {text}"
    );
    let (_, body) = gateway.http("POST", call, &headers[..1], &[0; 5]).await;
    assert!(!String::from_utf8_lossy(&body).contains("ada"));
}

#[tokio::test]
async fn who_comes_with_a_browser_learns_what_there_is() {
    let gateway = TestGateway::start().await;
    let (status, body) = gateway.http("GET", "/", &[], b"").await;
    let text = String::from_utf8_lossy(&body).into_owned();
    assert!(
        status == 404 && text.contains("POST /webhooks"),
        "{status} {text}"
    );
}

#[tokio::test]
async fn the_status_names_the_caller_and_what_is_wrong() {
    let mut gateway = TestGateway::start().await;
    let status = gateway
        .system()
        .get_status(GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    assert_eq!(status.actor, "ada");
    let nats = status
        .parts
        .iter()
        .find(|part| part.name == "nats")
        .unwrap();
    assert!(nats.ok, "{nats:?}");
    gateway.nats.kill().await.unwrap();
    let status = gateway
        .system()
        .get_status(GetStatusRequest {})
        .await
        .unwrap()
        .into_inner();
    let nats = status
        .parts
        .iter()
        .find(|part| part.name == "nats")
        .unwrap();
    assert!(
        !nats.ok && nats.detail.contains("is the NATS server running?"),
        "{nats:?}"
    );
}
