//! The gateway's plain HTTP: webhooks and a sign of life. Webhooks need a signature instead of a token.

use std::convert::Infallible;
use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{get, post};
use bus::Bus;
use domain::platform::Webhooks;
use domain::spec::SecretReference;
use http::header::CONTENT_TYPE;
use http::{HeaderMap, StatusCode};
use jiff::Timestamp;
use serde_json::json;
use tower::{Service, ServiceExt as _};

use crate::Error;
use crate::commit_event::CommitEvent;
use crate::error::chain;
use crate::intake::Intake;
use crate::projection::Projection;
use crate::webhook::{
    self, CommitPushed, MAX_BODY_BYTES, ProposalClosed, WebhookOutcome, WebhookSecret,
    WebhookSecrets,
};

/// What webhooks need.
pub(crate) struct Doors {
    pub(crate) bus: Bus,
    pub(crate) intake: Intake,
    pub(crate) projection: Projection,
    pub(crate) secrets: WebhookSecrets,
}

/// The routes of plain HTTP.
pub(crate) fn routes(doors: Doors) -> axum::Router {
    let receive = || post(receive).layer(DefaultBodyLimit::max(MAX_BODY_BYTES));
    axum::Router::new()
        .route("/healthz", get(healthz))
        .route("/webhooks", receive())
        .route("/webhooks/github", receive())
        .route("/webhooks/gitlab", receive())
        .route("/webhooks/gitea", receive())
        .with_state(Arc::new(doors))
}

/// Gives calls to gRPC and says to everybody else what there is.
pub(crate) async fn elsewhere<S>(grpc: S, request: Request) -> Response
where
    S: Service<Request, Response = http::Response<tonic::body::Body>, Error = Infallible>,
{
    let content = request
        .headers()
        .get(CONTENT_TYPE)
        .and_then(|value| value.to_str().ok());
    if !content.is_some_and(|content| content.starts_with("application/grpc")) {
        let text = "this is Slipway's gateway: it answers gRPC and gRPC-Web, POST /webhooks and GET /healthz";
        return says(StatusCode::NOT_FOUND, text);
    }
    match grpc.oneshot(request).await {
        Ok(answer) => answer.into_response(),
        Err(never) => match never {},
    }
}

/// The secrets of webhooks, read from where the platform file says that they are; a forge that it does not name may
/// have one in the environment.
///
/// # Errors
/// When one can't be read or is empty.
pub(crate) fn secrets(webhooks: &Webhooks) -> Result<WebhookSecrets, Error> {
    let read = |forge: &str, webhook: &Option<domain::platform::Webhook>| match webhook {
        None => {
            let variable = format!("SLIPWAY_{}_WEBHOOK_SECRET", forge.to_uppercase());
            let secret = std::env::var(variable).ok();
            Ok(secret
                .and_then(|secret| WebhookSecret::new(&secret))
                .into_iter()
                .collect())
        }
        Some(webhook) => secret(&webhook.secret)
            .map(|secret| vec![secret])
            .map_err(|why| {
                Error::Startup(format!(
                    "the secret of {forge}'s webhooks can't be used: {why}"
                ))
            }),
    };
    Ok(WebhookSecrets {
        github: read("GitHub", &webhooks.github)?,
        gitlab: read("GitLab", &webhooks.gitlab)?,
        gitea: read("Gitea", &webhooks.gitea)?,
    })
}

fn secret(reference: &SecretReference) -> Result<WebhookSecret, String> {
    let text = match reference {
        SecretReference::Env(name) => std::env::var(name).map_err(|_| {
            format!("the environment variable {name} is not set; set it where the gateway runs")
        })?,
        SecretReference::File(path) => std::fs::read_to_string(path)
            .map_err(|error| format!("the gateway can't read {path}: {error}"))?,
        SecretReference::Kubernetes { .. } => {
            return Err(format!(
                "{reference} is read by Kubernetes targets only; use env: or file: here"
            ));
        }
    };
    WebhookSecret::new(&text).ok_or_else(|| format!("{reference} is empty"))
}

async fn healthz(State(doors): State<Arc<Doors>>) -> Response {
    let (caught_up, connected) = (doors.projection.is_caught_up(), doors.bus.is_connected());
    match (caught_up, connected) {
        (true, true) => (StatusCode::OK, "ok\n").into_response(),
        (_, false) => (StatusCode::SERVICE_UNAVAILABLE, "NATS does not answer\n").into_response(),
        (false, true) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "still reading what happened before\n",
        )
            .into_response(),
    }
}

async fn receive(
    State(doors): State<Arc<Doors>>,
    headers: HeaderMap,
    body: Result<Bytes, BytesRejection>,
) -> Response {
    let body = match body {
        Ok(body) => body,
        Err(rejection) => return says(rejection.status(), &rejection.body_text()),
    };
    match webhook::receive(&headers, &body, &doors.secrets, Timestamp::now()) {
        Err(error) => {
            tracing::warn!("refused a webhook: {error}");
            says(error.status(), &error.to_string())
        }
        Ok(WebhookOutcome::Pong(forge)) => {
            says(StatusCode::OK, &format!("pong: {forge} reaches Slipway"))
        }
        Ok(WebhookOutcome::Ignored(reason)) => {
            says(StatusCode::OK, &format!("nothing to do: {reason}"))
        }
        Ok(WebhookOutcome::Commit(pushed)) => take_in(&doors, *pushed).await,
        Ok(WebhookOutcome::ProposalClosed(closed)) => close(&doors, &closed).await,
    }
}

async fn take_in(doors: &Doors, pushed: CommitPushed) -> Response {
    let (repository, delivery) = (pushed.full_name.clone(), pushed.delivery_id.clone());
    let event = CommitEvent::from(pushed).to_json();
    match doors
        .bus
        .inbox()
        .publish(&repository, &delivery, event.into())
        .await
    {
        Ok(first) => {
            tracing::info!(
                webhook.delivery = delivery,
                repository.name = repository,
                first,
                "took a commit in"
            );
            (
                StatusCode::ACCEPTED,
                Json(json!({ "delivery": delivery, "repeated": !first })),
            )
                .into_response()
        }
        Err(error) => unavailable(&Error::Bus(error)),
    }
}

async fn close(doors: &Doors, closed: &ProposalClosed) -> Response {
    let number = closed.number.to_string();
    let reason = format!(
        "proposal {number} was {}",
        if closed.merged { "merged" } else { "closed" }
    );
    let repository = source::RepositoryUrl::parse(&closed.repository)
        .map_or(closed.repository.clone(), |url| url.to_string());
    match doors
        .intake
        .cancel_proposal(&repository, &number, None, u64::MAX, &reason)
        .await
    {
        Ok(()) => says(StatusCode::OK, &reason),
        Err(error) => unavailable(&error),
    }
}

fn unavailable(error: &Error) -> Response {
    let error = error as &dyn std::error::Error;
    tracing::warn!(error, "a webhook could not be taken in");
    says(
        StatusCode::SERVICE_UNAVAILABLE,
        &format!("{}; send it again later", chain(error)),
    )
}

fn says(status: StatusCode, text: &str) -> Response {
    (status, Json(json!({ "message": text }))).into_response()
}
