//! The edge's own answers, when no backend's can be given.

use bytes::Bytes;
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use http_body_util::Full;

use crate::{body::Reply, router::Nobody};

/// Marks answers of the edge itself; the value is the reason in one word.
const EDGE: HeaderName = HeaderName::from_static("x-slipway-edge");

/// Why a request does not get a backend's response.
#[derive(Debug)]
pub(crate) enum Refusal {
    Nobody {
        host: String,
        why: Nobody,
    },
    BadRequest(&'static str),
    Failed {
        backend: String,
        version: String,
        error: String,
    },
    Late {
        backend: String,
        version: String,
        after_ms: u64,
    },
}

impl Refusal {
    pub(crate) fn into_response(self) -> Response<Reply> {
        let (status, reason, text) = self.describe();
        let mut response = Response::new(Reply::Text(Full::new(Bytes::from(format!(
            "slipway edge: {text}\n"
        )))));
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(EDGE, HeaderValue::from_static(reason));
        headers.insert(
            header::CONTENT_TYPE,
            HeaderValue::from_static("text/plain; charset=utf-8"),
        );
        if status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    fn describe(self) -> (StatusCode, &'static str, String) {
        match self {
            Self::Nobody {
                why: Nobody::NoTable,
                ..
            } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "no-table",
                "nothing is deployed here yet (no table has been given to this edge)".into(),
            ),
            Self::Nobody {
                host,
                why: Nobody::NoRoute,
            } => (
                StatusCode::NOT_FOUND,
                "no-route",
                format!("there is no service for the host `{host}` here"),
            ),
            Self::Nobody {
                host,
                why: Nobody::NoneReady(backends),
            } => {
                let mut text = format!("no backend is ready for `{host}`");
                if backends.is_empty() {
                    text.push_str("; none has a share of the traffic");
                }
                for backend in backends {
                    text.push_str("\n  ");
                    text.push_str(&backend);
                }
                (StatusCode::SERVICE_UNAVAILABLE, "no-ready-backend", text)
            }
            Self::BadRequest(what) => (StatusCode::BAD_REQUEST, "bad-request", what.into()),
            Self::Failed {
                backend,
                version,
                error,
            } => (
                StatusCode::BAD_GATEWAY,
                "backend-failed",
                format!("backend {backend} ({version}) did not answer: {error}"),
            ),
            Self::Late {
                backend,
                version,
                after_ms,
            } => (
                StatusCode::GATEWAY_TIMEOUT,
                "backend-late",
                format!(
                    "backend {backend} ({version}) did not begin to answer within {after_ms} ms"
                ),
            ),
        }
    }
}
