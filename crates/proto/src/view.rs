//! Runs as the gateway shows them.

use domain::run::{Kind, Run, Stage};

use crate::event::time::to_wire;
use crate::gateway::v1;

/// A run for people and scripts.
#[must_use]
pub fn run(run: &Run) -> v1::Run {
    let version = run.created.as_ref().and_then(|c| c.version.as_ref());
    let environment = match &run.change.kind {
        Kind::Deploy(target) | Kind::Rollback(target) => target.environment.to_string(),
        Kind::Change | Kind::Proposal { .. } => String::new(),
    };
    v1::Run {
        run_id: run.id.to_string(),
        service: run.change.service.to_string(),
        kind: run.change.kind.name().to_owned(),
        state: run.state().name().to_owned(),
        version: version.map(|v| v.version.to_string()).unwrap_or_default(),
        version_because: version.map(|v| v.because.clone()).unwrap_or_default(),
        image_digest: run
            .image_digest()
            .map(ToString::to_string)
            .unwrap_or_default(),
        stages: run
            .stages
            .iter()
            .filter(|s| s.is_shown())
            .map(stage)
            .collect(),
        reason: run.reason(),
        repository: run.change.repository.clone(),
        reference: run.change.reference.clone(),
        commit: run.change.commit.clone(),
        subject: run.change.subject.clone(),
        author: run.change.author.clone(),
        actor: run.change.trigger.actor.0.clone(),
        via: run.change.trigger.via.clone(),
        created_at: Some(to_wire(run.created_at)),
        finished_at: run.finished_at().map(to_wire),
        reviews: run.reviews.iter().map(review).collect(),
        environment,
        retry_can_help: run.retry_can_help(),
    }
}

fn stage(stage: &Stage) -> v1::Stage {
    let failure = stage.failure().cloned().unwrap_or_default();
    let failed_test = |t: domain::stage::FailedTest| v1::FailedTest {
        name: t.name,
        message: t.message,
    };
    v1::Stage {
        name: stage.name.to_string(),
        state: stage.state.name().to_owned(),
        started_at: stage.started_at().map(to_wire),
        finished_at: stage.finished_at().map(to_wire),
        reason: stage.reason(),
        needs: stage.needs.iter().map(ToString::to_string).collect(),
        attempt: stage.attempts.last().map_or(0, |a| a.number),
        failed_tests: failure.tests.into_iter().map(failed_test).collect(),
        last_lines: failure.last_lines,
        tests: stage.tests().map(|t| v1::TestCounts {
            passed: t.passed,
            failed: t.failed,
            skipped: t.skipped,
        }),
        tried_again_at: stage.tried_again_at().map(to_wire),
        rollout: None,
    }
}

fn review(review: &domain::run::state::Review) -> v1::Review {
    v1::Review {
        environment: review.environment.to_string(),
        approved: review.approved,
        by: review.by.0.clone(),
        reason: review.reason.clone(),
        at: Some(to_wire(review.at)),
    }
}
