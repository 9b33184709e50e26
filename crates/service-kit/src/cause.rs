//! An error with its causes, for people.

use std::error::Error;

/// The error and its causes in one text, from the outermost to the one that the system gave. A cause that is said
/// already is not said again: many libraries put theirs into their own text.
#[must_use]
pub fn chain(error: &dyn Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let said = cause.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, thiserror::Error)]
    enum Broken {
        #[error("no server answered at {0}")]
        Unanswered(&'static str, #[source] Box<Self>),
        #[error("IO error: {0}")]
        RepeatsItsCause(#[source] std::io::Error),
    }

    #[test]
    fn a_cause_is_said_once() {
        let refused = std::io::Error::other("connection refused");
        let error = Broken::Unanswered("nats:4222", Box::new(Broken::RepeatsItsCause(refused)));
        assert_eq!(
            chain(&error),
            "no server answered at nats:4222: IO error: connection refused"
        );
    }
}
