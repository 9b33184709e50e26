//! Pulling, where there is a registry to pull from.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::Child;
use tokio::time::timeout;

use crate::process::{self, WORK};
use crate::setup::report::Step;

/// How long the registry may take to begin.
const FIRST_ANSWER: Duration = Duration::from_secs(8);

/// What is known of the public registry: a machine that can't reach it is not made to wait for it twice.
pub(super) enum Registry {
    Unknown,
    Answers,
    Unreachable,
}

/// What became of a pull.
pub(super) enum Pulled {
    Yes,
    No(String),
}

impl Registry {
    pub(super) async fn pull(&mut self, reference: &str, step: &Step<'_>) -> Pulled {
        if matches!(self, Self::Unreachable) {
            return Pulled::No("no registry to pull from".to_owned());
        }
        step.note("pulling");
        match attempt(reference).await {
            Ok(()) => {
                *self = Self::Answers;
                Pulled::Yes
            }
            Err(reason) => {
                if matches!(self, Self::Unknown) && !is_about_the_image(&reason) {
                    *self = Self::Unreachable;
                }
                Pulled::No(reason)
            }
        }
    }
}

async fn attempt(reference: &str) -> Result<(), String> {
    let mut pull = process::command("docker", ["pull", reference])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|error| error.to_string())?;
    match timeout(FIRST_ANSWER, until_it_begins(&mut pull)).await {
        Err(_) => return Err(format!("no answer in {} s", FIRST_ANSWER.as_secs())),
        Ok(false) => return Err(failure(&mut pull).await),
        Ok(true) => {}
    }
    match timeout(WORK, pull.wait()).await {
        Ok(Ok(status)) if status.success() => Ok(()),
        Ok(_) => Err(failure(&mut pull).await),
        Err(_) => Err("pulling took too long".to_owned()),
    }
}

/// Waits for the line that the engine prints once it has the manifest; false when the output ends without it.
async fn until_it_begins(pull: &mut Child) -> bool {
    let Some(output) = pull.stdout.take() else {
        return false;
    };
    let mut output = BufReader::new(output);
    let mut line = String::new();
    while output.read_line(&mut line).await.is_ok_and(|read| read > 0) {
        if line.contains("Pulling from") {
            // The pipe must stay open until the pull has ended.
            pull.stdout = Some(output.into_inner());
            return true;
        }
        line.clear();
    }
    false
}

async fn failure(pull: &mut Child) -> String {
    let mut text = String::new();
    if let Some(mut errors) = pull.stderr.take() {
        // What can't be read is shown as no reason.
        let _ = timeout(FIRST_ANSWER, errors.read_to_string(&mut text)).await;
    }
    match text.trim().rsplit(": ").next() {
        Some(reason) if !reason.is_empty() => format!("can't be pulled ({reason})"),
        _ => "can't be pulled".to_owned(),
    }
}

/// Whether a registry answered, and only this image is not to be had.
fn is_about_the_image(reason: &str) -> bool {
    [
        "not found",
        "manifest unknown",
        "denied",
        "no matching manifest",
    ]
    .iter()
    .any(|text| reason.contains(text))
}
