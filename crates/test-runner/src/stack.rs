//! The containers around a functional test: a network of its own, what the service depends on, the service itself.

use std::collections::BTreeMap;
use std::time::Instant;

use container_stage::naming::stage_labels;
use domain::stage::Failure;
use engine::{Attachment, ContainerId, ContainerSpec, ContainerState, Limits};
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::ended::Stopped;
use crate::probe::{self, Target, Waited};
use crate::readiness::{Check, Sign};

/// Lines of a container's own output that are shown when it fails.
const SHOWN_LINES: usize = 50;

/// A network and the containers in it. All of it is labelled; the attempt's clean-up removes it.
pub(crate) struct Stack<'a> {
    attempt: &'a Attempt<'a>,
    network: String,
    /// Ends all waiting: nothing more can come of it once one container failed.
    halt: CancellationToken,
}

/// What to start.
#[derive(Debug, Default)]
pub(crate) struct Member {
    pub(crate) name: String,
    pub(crate) aliases: Vec<String>,
    pub(crate) image: String,
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) entrypoint: Option<Vec<String>>,
    pub(crate) command: Option<Vec<String>>,
    pub(crate) user: Option<String>,
    pub(crate) files: BTreeMap<String, Vec<u8>>,
    pub(crate) limits: Limits,
}

/// A container that was started.
pub(crate) struct Started {
    pub(crate) name: String,
    container: ContainerId,
}

impl<'a> Stack<'a> {
    /// Makes the network.
    pub(crate) async fn new(attempt: &'a Attempt<'a>) -> Result<Self, Stopped> {
        let network = format!("slipway-{}", attempt.work.name());
        attempt.still_wanted()?;
        attempt
            .engine()
            .ensure_network(&network, &stage_labels(attempt.work))
            .await?;
        let halt = attempt.work.stop.token().child_token();
        Ok(Self {
            attempt,
            network,
            halt,
        })
    }

    /// The network's name.
    pub(crate) fn network(&self) -> &str {
        &self.network
    }

    /// Starts a container whose image is on the engine.
    pub(crate) async fn start(&self, member: Member) -> Result<Started, Stopped> {
        self.attempt.still_wanted()?;
        let mut aliases = member.aliases;
        aliases.insert(0, member.name.clone());
        let spec = ContainerSpec {
            name: format!("{}-{}", self.attempt.work.name(), member.name),
            image: member.image,
            env: member.env,
            entrypoint: member.entrypoint,
            command: member.command,
            networks: vec![Attachment::new(&self.network, aliases)],
            labels: stage_labels(self.attempt.work),
            limits: member.limits,
            files: member.files,
            user: member.user,
            ..ContainerSpec::default()
        };
        let container = self.attempt.engine().start_service(&spec).await?;
        Ok(Started {
            name: member.name,
            container,
        })
    }

    /// Waits until a container is ready; red, with its own last lines, if it does not get there.
    pub(crate) async fn ready(&self, started: &Started, check: &Check) -> Result<(), Stopped> {
        let began = Instant::now();
        let target = Target {
            name: &started.name,
            container: &started.container,
            network: &self.network,
            halt: &self.halt,
        };
        let name = &started.name;
        let waited = match probe::wait(self.attempt, &target, check).await {
            Err(Stopped::Asked) => {
                return Err(self.attempt.asked(&self.last_lines(started).await));
            }
            other => other,
        };
        if !matches!(waited, Ok(Waited::Ready)) {
            self.halt.cancel();
        }
        let reason = match waited? {
            Waited::Ready => {
                self.attempt
                    .say(&format!(
                        "{name} is ready after {} ms",
                        began.elapsed().as_millis()
                    ))
                    .await;
                return Ok(());
            }
            Waited::Late(said) => {
                format!(
                    "{name} did not become ready{} within {} s: {said}",
                    place(&check.sign),
                    check.timeout.as_secs()
                )
            }
            Waited::Ended(code) => {
                let last = self
                    .last_lines(started)
                    .await
                    .pop()
                    .map(|line| format!(": {line}"));
                let last = last.unwrap_or_else(|| " and printed nothing".to_owned());
                format!(
                    "{name} did not become ready: the container ended with exit code {code}{last}"
                )
            }
        };
        self.show(started).await;
        Err(Stopped::red_with(reason, &self.last_lines(started).await))
    }

    /// Copies a container's own output into the stage's log.
    pub(crate) async fn show(&self, started: &Started) {
        let lines = self
            .attempt
            .engine()
            .logs(&started.container, SHOWN_LINES)
            .await
            .unwrap_or_default();
        self.attempt
            .say(&format!("--- output of {}", started.name))
            .await;
        for line in lines {
            self.attempt.say(&line.text).await;
        }
        self.attempt
            .say(&format!("--- end of output of {}", started.name))
            .await;
    }

    /// The exit code of a container that should run and does not.
    pub(crate) async fn exit_code(&self, started: &Started) -> Option<i64> {
        match self
            .attempt
            .engine()
            .inspect(&started.container)
            .await
            .ok()??
            .state
        {
            ContainerState::Exited { code, .. } => Some(code),
            _ => None,
        }
    }

    async fn last_lines(&self, started: &Started) -> Vec<String> {
        let lines = self
            .attempt
            .engine()
            .logs(&started.container, Failure::MAX_LINES)
            .await
            .unwrap_or_default();
        lines
            .into_iter()
            .map(|line| line.text)
            .filter(|line| !line.trim().is_empty())
            .collect()
    }
}

/// Where a sign was looked for, as people write it: ` on :8080/healthz`.
fn place(sign: &Sign) -> String {
    match sign {
        Sign::Http {
            path,
            port: Some(port),
        } => format!(" on :{port}{path}"),
        Sign::Http { path, port: None } => format!(" on {path}"),
        Sign::Tcp(port) => format!(" on :{port}"),
        Sign::Command(_) | Sign::Running | Sign::Completed => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_place_reads_like_an_address() {
        assert_eq!(
            place(&Sign::Http {
                path: "/healthz".to_owned(),
                port: Some(8080)
            }),
            " on :8080/healthz"
        );
        assert_eq!(place(&Sign::Tcp(6379)), " on :6379");
        assert_eq!(place(&Sign::Running), "");
    }
}
