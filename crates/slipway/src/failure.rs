//! A refused call in words: what happened, where, and what to do next.

use std::error::Error as _;
use std::fmt::Write as _;

use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Whom we asked, and as whom.
#[derive(Debug, Clone)]
pub struct Asked {
    /// The gateway's URL.
    pub server: String,
    /// Whether there was a token to show.
    pub has_token: bool,
    /// Where the token came from, or where it was looked for.
    pub token_place: String,
}

/// Puts a refusal into words, with the details that came with it.
#[must_use]
pub fn explain(status: &Status, asked: &Asked) -> String {
    if is_unreachable(status) {
        return unreachable(status, asked);
    }
    let message = status.message().trim();
    let server = &asked.server;
    let mut text = match status.code() {
        Code::Unauthenticated => unauthenticated(asked),
        Code::PermissionDenied => format!("not allowed: {message}"),
        Code::Unavailable => {
            format!("the gateway at {server} can't answer now: {message}\nTry again in a moment.")
        }
        Code::DeadlineExceeded => format!("the gateway at {server} took too long: {message}"),
        Code::Unimplemented => {
            format!(
                "what answers at {server} does not know this call; is it a gateway, and as new as this program?"
            )
        }
        Code::Internal | Code::Unknown | Code::DataLoss => {
            format!(
                "the gateway at {server} failed: {message}\nIts log says more; `slipway doctor` looks at its parts."
            )
        }
        _ if message.is_empty() => format!("the gateway refused: {}", status.code().description()),
        _ => message.to_owned(),
    };
    for detail in details(status) {
        if !text.contains(&detail) {
            let _ = write!(text, "\n  {detail}");
        }
    }
    text
}

/// Whether the gateway was not there to answer, rather than refusing: the connection could not be made, or broke.
#[must_use]
pub fn is_lost(status: &Status) -> bool {
    // A status that was sent has no source; one that was made here from a broken connection has.
    status.source().is_some()
        || matches!(
            status.code(),
            Code::Unavailable | Code::Cancelled | Code::Aborted | Code::DeadlineExceeded
        )
}

/// The last cause in a chain: the one that says what the system said.
#[must_use]
pub fn root_cause(error: &dyn std::error::Error) -> String {
    let mut cause = error;
    while let Some(deeper) = cause.source() {
        cause = deeper;
    }
    cause.to_string()
}

fn is_unreachable(status: &Status) -> bool {
    let transport = status
        .source()
        .is_some_and(|s| s.is::<tonic::transport::Error>());
    transport || (status.source().is_some() && status.code() == Code::Unavailable)
}

fn unreachable(status: &Status, asked: &Asked) -> String {
    format!(
        "can't reach a gateway at {}: {}\n\
         Start Slipway on this machine with `slipway up`, or name the gateway with --server or SLIPWAY_SERVER.",
        asked.server,
        status
            .source()
            .map_or_else(|| status.message().to_owned(), root_cause),
    )
}

fn unauthenticated(asked: &Asked) -> String {
    let Asked {
        server,
        token_place,
        ..
    } = asked;
    if asked.has_token {
        format!(
            "the gateway at {server} does not know the token from {token_place}\n\
             Set SLIPWAY_TOKEN, or SLIPWAY_TOKEN_FILE to a file with a token of that gateway."
        )
    } else {
        format!(
            "the gateway at {server} asks for a token, and none was found (looked in {token_place})\n\
             `slipway up` makes one; for another gateway set SLIPWAY_TOKEN or SLIPWAY_TOKEN_FILE."
        )
    }
}

/// One line for each field that is wrong, each condition that is not met, each page that helps.
fn details(status: &Status) -> Vec<String> {
    let details = status.get_error_details();
    let fields = details
        .bad_request()
        .into_iter()
        .flat_map(|b| &b.field_violations);
    let conditions = details
        .precondition_failure()
        .into_iter()
        .flat_map(|p| &p.violations);
    let links = details.help().into_iter().flat_map(|h| &h.links);
    let wait = details.retry_info().and_then(|r| r.retry_delay);
    fields
        .map(|f| named(option_of(&f.field), &f.description))
        .chain(conditions.map(|c| named(&c.subject, &c.description)))
        .chain(links.map(|l| named(&l.description, &l.url)))
        .chain(wait.map(|delay| format!("try again in {} s", delay.as_secs().max(1))))
        .collect()
}

fn named(name: &str, text: &str) -> String {
    if name.is_empty() {
        text.to_owned()
    } else {
        format!("{name}: {text}")
    }
}

/// A field's name as the person typed it.
fn option_of(field: &str) -> &str {
    match field {
        "repository" => "--repository",
        "reference" => "--ref",
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use tonic_types::{ErrorDetails, PreconditionViolation};

    use super::*;

    fn asked(has_token: bool) -> Asked {
        Asked {
            server: "http://ci:7070".into(),
            has_token,
            token_place: "/home/ana/token".into(),
        }
    }

    #[test]
    fn a_bad_field_is_named_as_it_was_typed() {
        let details = ErrorDetails::with_bad_request_violation(
            "reference",
            "no branch, tag or commit is called mian",
        );
        let status =
            Status::with_error_details(Code::InvalidArgument, "the run can't start", details);
        let text = explain(&status, &asked(true));
        assert_eq!(
            text,
            "the run can't start\n  --ref: no branch, tag or commit is called mian"
        );
    }

    #[test]
    fn an_unmet_condition_says_what_would_unblock_it() {
        let unmet = PreconditionViolation::new("STATE", "run 7f3a", "it has ended; retry it first");
        let details = ErrorDetails::with_precondition_failure(vec![unmet]);
        let status = Status::with_error_details(
            Code::FailedPrecondition,
            "nothing waits for approval",
            details,
        );
        let text = explain(&status, &asked(true));
        assert_eq!(
            text,
            "nothing waits for approval\n  run 7f3a: it has ended; retry it first"
        );
    }

    #[test]
    fn a_detail_that_the_message_says_already_is_not_repeated() {
        let details = ErrorDetails::with_bad_request_violation("", "no such run");
        let status = Status::with_error_details(Code::NotFound, "no such run", details);
        assert_eq!(explain(&status, &asked(true)), "no such run");
    }

    #[test]
    fn an_unknown_token_says_where_it_came_from() {
        let status = Status::unauthenticated("no");
        assert!(
            explain(&status, &asked(true)).contains("does not know the token from /home/ana/token")
        );
        assert!(
            explain(&status, &asked(false)).contains("none was found (looked in /home/ana/token)")
        );
    }

    #[test]
    fn a_refusal_is_not_a_lost_gateway() {
        assert!(is_lost(&Status::unavailable("restarting")));
        assert!(!is_lost(&Status::not_found("no such run")));
        assert!(!is_lost(&Status::internal("a bug")));
    }
}
