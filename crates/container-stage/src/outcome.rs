//! From how a container or a call ended to how its stage ended.

use std::error::Error as StdError;

use domain::stage::{Failure, Outcome};
use engine::{ErrorClass, StepExit};

/// The outcome of a stage that an engine error ended.
#[must_use]
pub fn of_engine(error: &engine::Error, last_lines: &[String]) -> Outcome {
    let failure = failure(chain(error), last_lines);
    match error.class() {
        ErrorClass::User => Outcome::Failed(failure),
        ErrorClass::Infrastructure { retryable } => Outcome::Errored { failure, retryable },
        ErrorClass::Cancelled => Outcome::Cancelled {
            reason: "it was told to stop".to_owned(),
        },
    }
}

/// The outcome of a stage whose source could not be had.
#[must_use]
pub fn of_source(error: &source::Error) -> Outcome {
    let failure = failure(chain(error), &[]);
    if error.is_retryable() {
        Outcome::Errored {
            failure,
            retryable: true,
        }
    } else {
        Outcome::Failed(failure)
    }
}

/// The outcome of a stage that we could not do for a reason of our own; trying again may help.
#[must_use]
pub fn broken(reason: impl Into<String>) -> Outcome {
    Outcome::Errored {
        failure: failure(reason.into(), &[]),
        retryable: true,
    }
}

/// A red stage.
#[must_use]
pub fn red(reason: impl Into<String>, last_lines: &[String]) -> Outcome {
    Outcome::Failed(failure(reason.into(), last_lines))
}

/// What a step's end says that its commands did not do; `None` if they succeeded.
#[must_use]
pub fn complaint(exit: StepExit, limit: std::time::Duration) -> Option<String> {
    match exit {
        StepExit::Exited(0) => None,
        StepExit::Exited(code) => Some(format!("a command ended with exit code {code}{}", meaning(code))),
        StepExit::TimedOut => Some(format!(
            "it took longer than its time limit of {} s; raise `timeout` in slipway.yaml if that is too short",
            limit.as_secs()
        )),
        StepExit::Cancelled => Some("it was told to stop".to_owned()),
        StepExit::OutOfMemory => Some(
            "it used more memory than its limit and was killed; raise `resources.memory` in slipway.yaml".to_owned(),
        ),
    }
}

fn meaning(code: i64) -> &'static str {
    match code {
        126 => " (it can't be executed: is it a program, and executable?)",
        127 => " (no such command in this image)",
        137 => " (killed)",
        _ => "",
    }
}

fn failure(reason: String, last_lines: &[String]) -> Box<Failure> {
    Box::new(Failure::because(reason).with_last_lines(last_lines.iter().map(String::as_str)))
}

/// An error with all its causes, in one line.
#[must_use]
pub fn chain(error: &dyn StdError) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.contains(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn exit_codes_that_people_stumble_over_are_explained() {
        let complaint = |exit| complaint(exit, Duration::from_secs(90));
        assert_eq!(complaint(StepExit::Exited(0)), None);
        assert!(
            complaint(StepExit::Exited(127))
                .unwrap()
                .contains("no such command")
        );
        assert!(complaint(StepExit::TimedOut).unwrap().contains("90 s"));
    }
}
