//! Waits until a container of a test is ready, and notices at once when it ends instead.

use std::pin::pin;
use std::time::{Duration, Instant};

use container_stage::naming::stage_labels;
use engine::{
    Attachment, ContainerId, ContainerState, ExecSpec, Health, Limits, StepCommand, StepEnd,
    StepExit, StepSpec,
};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::attempt::Attempt;
use crate::ended::Stopped;
use crate::readiness::{Check, DEFAULT_PORT, Sign};

/// How often something is asked again.
const INTERVAL: Duration = Duration::from_millis(200);
/// How long a container without any sign of readiness must run to count as started.
const STEADY: Duration = Duration::from_secs(1);
/// How long one question by a program in the container may take.
const ONE_QUESTION: Duration = Duration::from_secs(20);
/// What the probe's container takes on top of its waiting.
const OVERHEAD: Duration = Duration::from_secs(20);

/// What became of a wait.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Waited {
    /// Ready.
    Ready,
    /// Not in time; what it said last.
    Late(String),
    /// The container ended with this code.
    Ended(i64),
}

/// A container to wait for.
pub(crate) struct Target<'a> {
    pub(crate) name: &'a str,
    pub(crate) container: &'a ContainerId,
    pub(crate) network: &'a str,
    /// Ends the wait.
    pub(crate) halt: &'a CancellationToken,
}

/// Waits for a sign of readiness. Dropping it half-way may leave a probe behind, so end it by its `halt`.
pub(crate) async fn wait(
    attempt: &Attempt<'_>,
    target: &Target<'_>,
    check: &Check,
) -> Result<Waited, Stopped> {
    let (name, timeout) = (target.name, check.timeout);
    match &check.sign {
        Sign::Http { path, port } => {
            let port = port.unwrap_or(DEFAULT_PORT);
            let url = format!("http://{name}:{port}{path}");
            outside(attempt, target, ["--http", &url], timeout).await
        }
        Sign::Tcp(port) => {
            let address = format!("{name}:{port}");
            outside(attempt, target, ["--tcp", &address], timeout).await
        }
        Sign::Command(argv) => {
            unless_ended(attempt, target, inside(attempt, target, argv, timeout)).await
        }
        Sign::Running => unless_ended(attempt, target, running(attempt, target, timeout)).await,
        Sign::Completed => {
            let too_long = async {
                tokio::time::sleep(timeout).await;
                Ok(Waited::Late("it is still running".to_owned()))
            };
            match unless_ended(attempt, target, too_long).await? {
                Waited::Ended(0) => Ok(Waited::Ready),
                other => Ok(other),
            }
        }
    }
}

/// Asks for as long as the container runs. What asks is dropped when it ends.
async fn unless_ended(
    attempt: &Attempt<'_>,
    target: &Target<'_>,
    asked: impl Future<Output = Result<Waited, Stopped>>,
) -> Result<Waited, Stopped> {
    tokio::select! {
        biased;
        code = attempt.engine().wait_exit(target.container) => Ok(Waited::Ended(code?)),
        waited = asked => waited,
        () = target.halt.cancelled() => Err(Stopped::Asked),
    }
}

/// Asks from a container of its own in the same network: what others reach is what counts.
async fn outside(
    attempt: &Attempt<'_>,
    target: &Target<'_>,
    what: [&str; 2],
    timeout: Duration,
) -> Result<Waited, Stopped> {
    let timeout_ms = format!("{}ms", timeout.as_millis());
    let argv = [
        "/edge",
        "probe",
        what[0],
        what[1],
        "--timeout",
        &timeout_ms,
        "--interval",
        "200ms",
    ];
    let done = target.halt.child_token();
    let probe_name = format!("probe-{}", target.name);
    let mut probe = pin!(edge(
        attempt,
        &probe_name,
        target.network,
        &argv,
        timeout,
        &done
    ));
    let probed = tokio::select! {
        biased;
        code = attempt.engine().wait_exit(target.container) => Err(code),
        probed = &mut probe => Ok(probed),
    };
    let (ended, printed) = match probed {
        Ok(probed) => probed?,
        Err(code) => {
            // The probe ends and is removed before its network is.
            done.cancel();
            probe.await?;
            return Ok(Waited::Ended(code?));
        }
    };
    match ended.exit {
        StepExit::Exited(0) => Ok(Waited::Ready),
        StepExit::Cancelled => Err(Stopped::Asked),
        StepExit::Exited(_) | StepExit::TimedOut | StepExit::OutOfMemory => {
            Ok(Waited::Late(last_failure(&printed)))
        }
    }
}

/// The last failure in what `edge probe` printed: `edge: URL did not answer within 60s: connection refused`.
fn last_failure(printed: &str) -> String {
    let line = printed
        .lines()
        .rev()
        .find_map(|line| line.strip_prefix("edge: "));
    let said = line.map(|line| match line.split_once(" did not answer within ") {
        Some((_, rest)) => rest.split_once(": ").map_or(rest, |(_, why)| why),
        None => line,
    });
    said.unwrap_or("it gave no answer").to_owned()
}

/// Runs the edge in a network to its end; returns what it printed too.
pub(crate) async fn edge(
    attempt: &Attempt<'_>,
    name: &str,
    network: &str,
    argv: &[&str],
    time: Duration,
    cancel: &CancellationToken,
) -> Result<(StepEnd, String), Stopped> {
    let image = attempt
        .unless_stopped(attempt.runner.edge.on(attempt.engine()))
        .await?;
    let mut step = StepSpec::shell(image, Vec::<String>::new());
    step.command = StepCommand::Argv(argv.iter().map(|word| (*word).to_owned()).collect());
    step.name = Some(format!("{}-{name}", attempt.work.name()));
    step.network = Some(Attachment::new(network, Vec::<String>::new()));
    step.labels = stage_labels(attempt.work);
    step.limits = Limits {
        time: Some(time + OVERHEAD),
        ..Limits::default()
    };
    let (sink, mut chunks) = mpsc::channel::<engine::OutputChunk>(16);
    let collect = async {
        let mut printed = Vec::new();
        while let Some(chunk) = chunks.recv().await {
            printed.extend_from_slice(&chunk.bytes);
        }
        String::from_utf8_lossy(&printed).into_owned()
    };
    let (ended, printed) = tokio::join!(attempt.engine().run_step(step, sink, cancel), collect);
    Ok((ended?, printed))
}

/// Asks by a program in the container itself.
async fn inside(
    attempt: &Attempt<'_>,
    target: &Target<'_>,
    argv: &[String],
    timeout: Duration,
) -> Result<Waited, Stopped> {
    let began = Instant::now();
    loop {
        let left = timeout.saturating_sub(began.elapsed());
        let question = ExecSpec {
            limit: ONE_QUESTION.min(left.max(STEADY)),
            ..ExecSpec::new(argv.iter().cloned())
        };
        let said = match attempt.engine().exec(target.container, question).await {
            Ok(answer) if answer.code == 0 => return Ok(Waited::Ready),
            Ok(answer) => {
                let printed = [answer.stdout, answer.stderr].concat();
                let printed = String::from_utf8_lossy(&printed);
                let last = printed
                    .lines()
                    .rev()
                    .find(|line| !line.trim().is_empty())
                    .unwrap_or_default();
                format!(
                    "`{}` ended with exit code {}: {last}",
                    argv.join(" "),
                    answer.code
                )
            }
            // The container is ending, or the program took too long.
            Err(error) => error.to_string(),
        };
        if began.elapsed() >= timeout {
            return Ok(Waited::Late(said));
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

/// Waits for the image's own health check, or else until the container has run for a moment.
async fn running(
    attempt: &Attempt<'_>,
    target: &Target<'_>,
    timeout: Duration,
) -> Result<Waited, Stopped> {
    let began = Instant::now();
    loop {
        let Some(info) = attempt.engine().inspect(target.container).await? else {
            return Err(Stopped::Broken(format!(
                "the container of {} was removed by somebody",
                target.name
            )));
        };
        match (info.state, info.health) {
            (ContainerState::Exited { code, .. }, _) => return Ok(Waited::Ended(code)),
            (ContainerState::Running, Health::Healthy) => return Ok(Waited::Ready),
            (ContainerState::Running, Health::None) if began.elapsed() >= STEADY => {
                return Ok(Waited::Ready);
            }
            _ if began.elapsed() >= timeout => {
                return Ok(Waited::Late(
                    "the health check of its image does not pass".to_owned(),
                ));
            }
            _ => tokio::time::sleep(INTERVAL).await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probes_last_failure_is_told_without_its_frame() {
        let printed = "{\"level\":\"INFO\"}\nedge: http://delivery:8080/healthz did not answer within 60s: cannot \
                       connect to 172.18.0.3:8080: Connection refused (os error 111)\n";
        assert_eq!(
            last_failure(printed),
            "cannot connect to 172.18.0.3:8080: Connection refused (os error 111)"
        );
        assert_eq!(last_failure("edge: `x` is not a URL"), "`x` is not a URL");
        assert_eq!(last_failure(""), "it gave no answer");
    }
}
