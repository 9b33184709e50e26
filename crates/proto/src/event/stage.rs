//! How a stage ended, on the wire.

use domain::stage::{Artifact, FailedTest, Failure, Outcome, StageResult, TestCounts};

use super::DecodeError;
use crate::wire::v1;
use v1::stage_ended::Outcome as WireOutcome;

pub(super) fn outcome_to_wire(outcome: &Outcome) -> WireOutcome {
    match outcome {
        Outcome::Succeeded(result) => WireOutcome::Succeeded(result_to_wire(result)),
        Outcome::Failed(failure) => WireOutcome::Failed(failure_to_wire(failure)),
        Outcome::Errored { failure, retryable } => WireOutcome::Errored(v1::Errored {
            failure: Some(failure_to_wire(failure)),
            retryable: *retryable,
        }),
        Outcome::Skipped { reason, result } => WireOutcome::Skipped(v1::Skipped {
            reason: reason.clone(),
            result: Some(result_to_wire(result)),
        }),
        Outcome::Cancelled { reason } => WireOutcome::Cancelled(v1::Cancelled {
            reason: reason.clone(),
        }),
    }
}

pub(super) fn outcome_from_wire(outcome: WireOutcome) -> Result<Outcome, DecodeError> {
    Ok(match outcome {
        WireOutcome::Succeeded(result) => Outcome::Succeeded(Box::new(result_from_wire(result)?)),
        WireOutcome::Failed(failure) => Outcome::Failed(Box::new(failure_from_wire(failure))),
        WireOutcome::Errored(e) => Outcome::Errored {
            failure: Box::new(failure_from_wire(e.failure.unwrap_or_default())),
            retryable: e.retryable,
        },
        WireOutcome::Skipped(s) => Outcome::Skipped {
            reason: s.reason,
            result: Box::new(result_from_wire(s.result.unwrap_or_default())?),
        },
        WireOutcome::Cancelled(c) => Outcome::Cancelled { reason: c.reason },
    })
}

pub(super) fn result_to_wire(result: &StageResult) -> v1::StageResult {
    v1::StageResult {
        summary: result.summary.clone(),
        tests: result.tests.map(counts_to_wire),
        artifact: result.artifact.as_ref().map(artifact_to_wire),
    }
}

pub(super) fn result_from_wire(result: v1::StageResult) -> Result<StageResult, DecodeError> {
    Ok(StageResult {
        summary: result.summary,
        tests: result.tests.map(counts_from_wire),
        artifact: result.artifact.map(artifact_from_wire).transpose()?,
    })
}

fn counts_to_wire(counts: TestCounts) -> v1::TestCounts {
    v1::TestCounts {
        passed: counts.passed,
        failed: counts.failed,
        skipped: counts.skipped,
    }
}

fn counts_from_wire(counts: v1::TestCounts) -> TestCounts {
    TestCounts {
        passed: counts.passed,
        failed: counts.failed,
        skipped: counts.skipped,
    }
}

fn artifact_to_wire(artifact: &Artifact) -> v1::stage_result::Artifact {
    use v1::stage_result::Artifact as Wire;
    match artifact.clone() {
        Artifact::Workspace { image, engine } => {
            Wire::Workspace(v1::WorkspaceArtifact { image, engine })
        }
        Artifact::Image {
            repository,
            tag,
            digest,
            engine,
        } => Wire::Image(v1::ImageArtifact {
            repository,
            tag,
            digest: digest.into(),
            engine,
        }),
        Artifact::Candidate { tag, digest } => Wire::Candidate(v1::CandidateArtifact {
            tag,
            digest: digest.into(),
        }),
        Artifact::Release {
            repository,
            tag,
            digest,
        } => Wire::Release(v1::ReleaseArtifact {
            repository,
            tag,
            digest: digest.into(),
        }),
        Artifact::Deployment { address } => Wire::Deployment(v1::DeploymentArtifact { address }),
    }
}

fn artifact_from_wire(artifact: v1::stage_result::Artifact) -> Result<Artifact, DecodeError> {
    use v1::stage_result::Artifact as Wire;
    Ok(match artifact {
        Wire::Workspace(w) => Artifact::Workspace {
            image: w.image,
            engine: w.engine,
        },
        Wire::Image(i) => Artifact::Image {
            repository: i.repository,
            tag: i.tag,
            digest: i.digest.parse()?,
            engine: i.engine,
        },
        Wire::Candidate(c) => Artifact::Candidate {
            tag: c.tag,
            digest: c.digest.parse()?,
        },
        Wire::Release(r) => Artifact::Release {
            repository: r.repository,
            tag: r.tag,
            digest: r.digest.parse()?,
        },
        Wire::Deployment(d) => Artifact::Deployment { address: d.address },
    })
}

fn failure_to_wire(failure: &Failure) -> v1::Failure {
    let test = |t: &FailedTest| v1::FailedTest {
        name: t.name.clone(),
        message: t.message.clone(),
    };
    v1::Failure {
        reason: failure.reason.clone(),
        tests: failure.tests.iter().map(test).collect(),
        last_lines: failure.last_lines.clone(),
        counts: failure.counts.map(counts_to_wire),
    }
}

fn failure_from_wire(failure: v1::Failure) -> Failure {
    let test = |t: v1::FailedTest| FailedTest {
        name: t.name,
        message: t.message,
    };
    Failure {
        reason: failure.reason,
        tests: failure.tests.into_iter().map(test).collect(),
        last_lines: failure.last_lines,
        counts: failure.counts.map(counts_from_wire),
    }
}
