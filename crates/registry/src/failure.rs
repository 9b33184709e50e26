//! From what went wrong on the wire to an [`Error`] that a person can act on.

use std::error::Error as StdError;
use std::io;
use std::time::{Duration, SystemTime};

use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Response, StatusCode};
use serde::Deserialize;

use crate::{Error, Place};

/// How much of an error's body is read.
const BODY_LIMIT: usize = 64 * 1024;

/// A request that got no answer, or whose answer broke off.
pub(crate) fn unanswered(place: &Place, error: &reqwest::Error) -> Error {
    let unavailable = |reason: String, advice| Error::Unavailable {
        place: Box::new(place.clone()),
        reason,
        advice,
        retry_after: None,
    };
    if let Some(tls) = cause::<rustls::Error>(error) {
        return Error::protocol(place, tls_reason(tls));
    }
    let refused =
        cause::<io::Error>(error).is_some_and(|io| io.kind() == io::ErrorKind::ConnectionRefused);
    if refused {
        return unavailable(
            "connection refused".to_owned(),
            "check that it runs, and its address and port",
        );
    }
    if error.is_connect() {
        return unavailable(innermost(error), "check its address, the network and DNS");
    }
    if error.is_redirect() {
        return Error::protocol(
            place,
            format!(
                "redirected without end or to an unsafe place: {}",
                innermost(error)
            ),
        );
    }
    if error.is_builder() {
        return Error::protocol(
            place,
            format!("the request could not be made: {}", innermost(error)),
        );
    }
    unavailable(
        format!("the connection broke off: {}", innermost(error)),
        "check its log and the network",
    )
}

/// A registry that didn't do in time what it was asked.
pub(crate) fn timed_out(place: &Place, what: &str, after: Duration) -> Error {
    Error::Unavailable {
        place: Box::new(place.clone()),
        reason: format!("{what} within {} s", after.as_secs_f32()),
        advice: "check its load and the network",
        retry_after: None,
    }
}

/// An answer with a status that isn't the one hoped for.
pub(crate) async fn unwelcome(place: &Place, response: Response) -> Error {
    let status = response.status();
    let retry_after = retry_after(response.headers(), SystemTime::now());
    let body = read_some(response).await;
    from_status(place, status, retry_after, &body)
}

fn from_status(
    place: &Place,
    status: StatusCode,
    retry_after: Option<Duration>,
    body: &[u8],
) -> Error {
    let place = Box::new(place.clone());
    let (codes, words) = registry_words(status, body);
    let has = |code: &str| codes.iter().any(|c| c == code);
    match status.as_u16() {
        401 | 403 => Error::Refused {
            place,
            reason: words,
        },
        400 | 404 if has("BLOB_UNKNOWN") || has("MANIFEST_BLOB_UNKNOWN") => Error::NotFound {
            place,
            reason: words,
        },
        404 => Error::NotFound {
            place,
            reason: words,
        },
        400 if has("DIGEST_INVALID") || has("SIZE_INVALID") => Error::corrupt(&place, words),
        409 | 412 => Error::Conflict {
            place,
            reason: words,
        },
        429 => Error::Unavailable {
            place,
            reason: words,
            advice: "it limits requests: try later",
            retry_after,
        },
        408 | 500 | 502..=504 | 507..=599 => Error::Unavailable {
            place,
            reason: words,
            advice: "check its log and its storage",
            retry_after,
        },
        _ => Error::protocol(
            &place,
            format!("the registry answered unexpectedly: {words}"),
        ),
    }
}

/// The codes and the text of the body that the distribution specification gives to errors, or of any other body.
fn registry_words(status: StatusCode, body: &[u8]) -> (Vec<String>, String) {
    #[derive(Deserialize)]
    struct Body {
        errors: Vec<Fault>,
    }
    #[derive(Deserialize)]
    struct Fault {
        #[serde(default)]
        code: String,
        #[serde(default)]
        message: String,
    }
    let Ok(Body { errors }) = serde_json::from_slice::<Body>(body) else {
        return (Vec::new(), status.to_string());
    };
    let text: Vec<String> = errors
        .iter()
        .map(|fault| format!("{} {}", fault.code, fault.message))
        .collect();
    let words = format!("{status}: {}", text.join(", "));
    (errors.into_iter().map(|fault| fault.code).collect(), words)
}

async fn read_some(mut response: Response) -> Vec<u8> {
    let mut body = Vec::new();
    while body.len() < BODY_LIMIT {
        match response.chunk().await {
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            // The status says enough when its explanation can't be read.
            Ok(None) | Err(_) => break,
        }
    }
    body
}

/// `Retry-After`: seconds, or a date.
fn retry_after(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let date = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(
        SystemTime::from(date)
            .duration_since(now)
            .unwrap_or_default(),
    )
}

fn tls_reason(error: &rustls::Error) -> String {
    match error {
        rustls::Error::InvalidMessage(_) => {
            "it doesn't speak TLS; if it is plain HTTP on purpose, give its endpoint \
            as http://…"
                .to_owned()
        }
        rustls::Error::InvalidCertificate(fault) => format!(
            "its TLS certificate is not trusted ({fault:?}); add its certificate authority to this system's trusted \
             ones, and check the host name"
        ),
        other => format!("TLS failed: {other}"),
    }
}

/// The first cause of type `T`, also inside an [`io::Error`].
fn cause<'a, T: StdError + 'static>(error: &'a (dyn StdError + 'static)) -> Option<&'a T> {
    let mut current = Some(error);
    while let Some(error) = current {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let inner = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = inner.and_then(|inner| cause::<T>(inner)) {
            return Some(found);
        }
        current = error.source();
    }
    None
}

/// The last cause, which says most.
fn innermost(error: &dyn StdError) -> String {
    let mut current = error;
    while let Some(source) = current.source() {
        current = source;
    }
    current.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorClass;

    fn place() -> Place {
        Place {
            doing: "reading the manifest of",
            registry: "r.example".to_owned(),
            repository: Some("app".to_owned()),
            reference: Some("1.0.0".to_owned()),
        }
    }

    #[test]
    fn each_status_has_its_class() {
        for (status, class) in [
            (401, ErrorClass::Refused),
            (403, ErrorClass::Refused),
            (404, ErrorClass::NotFound),
            (405, ErrorClass::Protocol),
            (409, ErrorClass::Conflict),
            (429, ErrorClass::Unavailable),
            (500, ErrorClass::Unavailable),
            (501, ErrorClass::Protocol),
            (503, ErrorClass::Unavailable),
        ] {
            let status = StatusCode::from_u16(status).unwrap();
            assert_eq!(
                from_status(&place(), status, None, b"<html>").class(),
                class,
                "{status}"
            );
        }
    }

    #[test]
    fn the_registry_is_quoted() {
        let body = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest unknown","detail":{"Tag":"1"}}]}"#;
        let error = from_status(&place(), StatusCode::NOT_FOUND, None, body);
        assert_eq!(
            error.to_string(),
            "reading the manifest of r.example/app:1.0.0: not found (404 Not Found: MANIFEST_UNKNOWN manifest \
             unknown); check the name, and that it was pushed to this registry"
        );
    }

    #[test]
    fn a_digest_that_the_registry_doubts_is_corruption() {
        let body =
            br#"{"errors":[{"code":"DIGEST_INVALID","message":"provided digest did not match"}]}"#;
        assert_eq!(
            from_status(&place(), StatusCode::BAD_REQUEST, None, body).class(),
            ErrorClass::Corrupt
        );
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(1_445_412_480 - 90);
        let parse = |text: &'static str| {
            let mut headers = HeaderMap::new();
            headers.insert(RETRY_AFTER, text.parse().unwrap());
            retry_after(&headers, now)
        };
        assert_eq!(parse("7"), Some(Duration::from_secs(7)));
        assert_eq!(
            parse("Wed, 21 Oct 2015 07:28:00 GMT"),
            Some(Duration::from_secs(90))
        );
        assert_eq!(parse("Fri, 21 Oct 2005 07:28:00 GMT"), Some(Duration::ZERO));
        assert_eq!(parse("soon"), None);
    }
}
