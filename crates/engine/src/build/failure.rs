//! Why a build failed, and whose fault that is. The engine tells in words only.

use bollard::errors::Error as DockerError;

use super::progress::Progress;
use crate::{Error, error::is_network_trouble, image::engine_text};

/// Why a build failed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// The Dockerfile, or what it runs, is wrong.
    User(String),
    /// A base image does not exist, or we may not see it.
    ImageNotFound { image: String, message: String },
    /// A base image's registry can't be reached.
    PullFailed { image: String, message: String },
    /// The frontend of the `# syntax=` line can't be had.
    Frontend { frontend: String, message: String },
    /// Ours, or the engine's.
    Broken(String),
}

impl Failure {
    pub(super) fn into_error(self) -> Error {
        match self {
            Self::User(message) => Error::BuildFailed { message },
            Self::ImageNotFound { image, message } => Error::ImageNotFound { image, message },
            Self::PullFailed { image, message } => Error::PullFailed { image, message },
            Self::Frontend { frontend, message } => Error::PullFailed {
                image: frontend,
                message,
            },
            Self::Broken(message) => Error::BuildBroken { message },
        }
    }

    /// A Dockerfile that fails without its frontend may have needed it.
    pub(super) fn with_hint(self, frontend: &str) -> Self {
        match self {
            Self::User(message) => Self::User(format!(
                "{message}\n(the frontend {frontend} of its `# syntax=` line can't be pulled, so the engine's own was used: \
                 make that image available, or use only what the engine knows)"
            )),
            other => other,
        }
    }
}

/// What an error of the build means, given how far it came.
pub(super) fn explain(error: DockerError, progress: &Progress, syntax: Option<&str>) -> Failure {
    match error {
        DockerError::DockerStreamError { .. } => {}
        DockerError::DockerResponseServerError { status_code, .. } if status_code <= 500 => {}
        other => return Failure::Broken(chain(&other)),
    }
    let message = engine_text(error);
    let failure = classify(
        &message,
        progress.failed_step(),
        progress.failed_error(),
        syntax,
    );
    match failure {
        Failure::User(message) => Failure::User(with_output(message, progress)),
        other => other,
    }
}

/// Decides by BuildKit's words and by the name of the step that failed.
fn classify(
    message: &str,
    step: Option<&str>,
    step_error: Option<&str>,
    syntax: Option<&str>,
) -> Failure {
    let short = shortened(
        step_error
            .filter(|error| !error.is_empty())
            .unwrap_or(message),
    )
    .to_owned();
    let ran_and_failed = [
        "executor failed running",
        "did not complete successfully",
        "returned a non-zero code",
    ]
    .iter()
    .any(|sign| message.contains(sign));
    if ran_and_failed {
        return Failure::User(short);
    }
    if let (Some(frontend), true) = (syntax, is_about_frontend(message, step)) {
        return Failure::Frontend {
            frontend: frontend.to_owned(),
            message: short,
        };
    }
    if let Some(image) = step.and_then(image_of_step) {
        let (image, message) = (image.to_owned(), short);
        return if is_network_trouble(&message) {
            Failure::PullFailed { image, message }
        } else {
            Failure::ImageNotFound { image, message }
        };
    }
    if is_network_trouble(message) || is_engine_trouble(message) {
        return Failure::Broken(short);
    }
    Failure::User(short)
}

fn is_about_frontend(message: &str, step: Option<&str>) -> bool {
    step.is_some_and(|step| {
        step.starts_with("resolve image config for") || step.starts_with("docker-image://")
    }) || (step.is_none() && message.contains("gateway.v0"))
}

/// The image that a step was fetching.
fn image_of_step(step: &str) -> Option<&str> {
    let image = step
        .strip_prefix("[internal] load metadata for ")
        // The classic builder's, which pulls at that line and reports nothing else there.
        .or_else(|| step.strip_prefix("FROM "))?;
    image
        .split_whitespace()
        .find(|word| !word.starts_with("--"))
}

fn is_engine_trouble(message: &str) -> bool {
    const SIGNS: [&str; 7] = [
        "no space left on device",
        "code = Unavailable",
        "no active session",
        "context canceled",
        "cannot allocate memory",
        "input/output error",
        "failed to get state for",
    ];
    SIGNS.iter().any(|sign| message.contains(sign))
}

/// Without the names of BuildKit's own layers.
fn shortened(message: &str) -> &str {
    const LAYERS: [&str; 7] = [
        "failed to solve with frontend dockerfile.v0: ",
        "failed to solve with frontend gateway.v0: ",
        "failed to solve: ",
        "rpc error: code = Unknown desc = ",
        "failed to create LLB definition: ",
        "failed to build LLB: ",
        "failed to compute cache key: ",
    ];
    let mut rest = message;
    while let Some(shorter) = LAYERS.iter().find_map(|layer| rest.strip_prefix(layer)) {
        rest = shorter;
    }
    rest
}

/// The message, the step, and the last that it printed: what belongs on one screen.
fn with_output(message: String, progress: &Progress) -> String {
    let mut text = message;
    if let Some(step) = progress.failed_step().filter(|step| !text.contains(*step)) {
        text = format!("{step}: {text}");
    }
    for line in progress.failed_output() {
        text.push_str("\n  ");
        text.push_str(line);
    }
    text
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text = format!("{text}: {error}");
        cause = error.source();
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_that_fails_is_the_users_whatever_it_is_named() {
        let message = "failed to solve with frontend dockerfile.v0: rpc error: code = Unknown desc = executor failed running [/bin/sh -c curl http://x # connection refused]: exit code: 7";
        assert!(matches!(
            classify(message, Some("RUN curl"), None, None),
            Failure::User(_)
        ));
    }

    #[test]
    fn a_registry_that_is_away_is_not_the_users() {
        let message = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: failed to do request: Head \"https://registry-1.docker.io/v2/library/a/manifests/1\": dial tcp: lookup registry-1.docker.io: no such host";
        let step = Some("[internal] load metadata for docker.io/library/a:1");
        let Failure::PullFailed { image, .. } = classify(message, step, None, None) else {
            panic!("not a failed pull");
        };
        assert_eq!(image, "docker.io/library/a:1");
    }

    #[test]
    fn an_absent_image_is_the_users() {
        let message = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: docker.io/library/nope:1: not found";
        let step = Some("[internal] load metadata for docker.io/library/nope:1");
        assert!(matches!(
            classify(message, step, None, None),
            Failure::ImageNotFound { .. }
        ));
    }

    #[test]
    fn the_frontend_is_told_from_a_base_image() {
        let message = "failed to solve with frontend dockerfile.v0: failed to solve with frontend gateway.v0: failed to do request: Head: dial tcp: i/o timeout";
        let step = Some("resolve image config for docker.io/docker/dockerfile:1");
        assert!(matches!(
            classify(message, step, None, Some("docker/dockerfile:1")),
            Failure::Frontend { .. }
        ));
    }

    #[test]
    fn a_full_disk_is_ours() {
        let message = "failed to solve: failed to copy: write /x: no space left on device";
        assert!(matches!(
            classify(message, None, None, None),
            Failure::Broken(_)
        ));
    }

    #[test]
    fn a_dockerfile_that_does_not_parse_is_the_users() {
        let message = "failed to solve with frontend dockerfile.v0: failed to create LLB definition: dockerfile parse error line 2: unknown instruction: RUNN";
        assert_eq!(
            classify(message, None, None, None),
            Failure::User("dockerfile parse error line 2: unknown instruction: RUNN".to_owned())
        );
    }
}
