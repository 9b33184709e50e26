//! Runs for scripts: what `run start`, `list`, `show`, `watch`, `cancel`, `retry`, `deploy`, `rollback`, `approve`
//! and `reject` print.

use proto::gateway::v1;
use serde::Serialize;

use super::time::rfc3339;

/// The answer of `run start` and `run list`.
#[derive(Debug, Serialize)]
pub struct Runs {
    /// In the gateway's order: of a commit by service, of a list the newest first.
    pub runs: Vec<Run>,
}

/// One run.
#[derive(Debug, Serialize)]
pub struct Run {
    /// Its id.
    pub run_id: String,
    /// The service.
    pub service: String,
    /// `change`, `proposal`, `deploy` or `rollback`.
    pub kind: String,
    /// `queued`, `running`, `waiting_for_approval`, `succeeded`, `failed` or `cancelled`.
    pub state: String,
    /// The version that it makes or deploys.
    pub version: String,
    /// `sha256:…` of the image, once there is one.
    pub image_digest: String,
    /// The stages in the order of the plan.
    pub stages: Vec<Stage>,
    /// Why it failed or was cancelled.
    pub reason: String,
    /// The repository's URL or path.
    pub repository: String,
    /// The branch, tag or commit that was asked for.
    pub reference: String,
    /// The commit.
    pub commit: String,
    /// The first line of its message.
    pub subject: String,
    /// Who wrote it.
    pub author: String,
    /// Who started the run.
    pub actor: String,
    /// What started it, such as `cli`.
    pub via: String,
    /// When it was made.
    pub created_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Why the version is what it is.
    pub version_because: String,
    /// The environment of a `deploy` or `rollback`.
    pub environment: String,
    /// Who agreed or refused.
    pub reviews: Vec<Review>,
    /// It failed or was cancelled, and `run retry` may end otherwise.
    pub retry_can_help: bool,
}

/// One stage.
#[derive(Debug, Serialize)]
pub struct Stage {
    /// Its name, such as `deploy:test`.
    pub name: String,
    /// `pending`, `queued`, `running`, `waiting_for_approval`, `succeeded`, `failed`, `errored`, `skipped` or
    /// `cancelled`.
    pub state: String,
    /// When the last attempt began.
    pub started_at: Option<String>,
    /// When it ended.
    pub finished_at: Option<String>,
    /// Why it is in that state; after success what it made.
    pub reason: String,
    /// The stages before it.
    pub needs: Vec<String>,
    /// Counted from 1; 0 before the first.
    pub attempt: u32,
    /// Counts, for stages that test; also of red ones, where a report was read.
    pub tests: Option<Tests>,
    /// The tests that failed.
    pub failed_tests: Vec<FailedTest>,
    /// The last lines of the output of a stage that failed.
    pub last_lines: Vec<String>,
    /// Of a stage that is queued again after an attempt that broke: when it is tried again.
    pub tried_again_at: Option<String>,
    /// Of a `deploy` stage that is running and whose rollout has several steps; not in lists.
    pub rollout: Option<StageRollout>,
}

/// How far the rollout of a stage has come.
#[derive(Debug, Serialize)]
pub struct StageRollout {
    /// Such as `step 2 of 5 (bake 2m)`.
    pub standing: String,
    /// It waits for a person.
    pub is_paused: bool,
}

/// Counts of tests.
#[derive(Debug, Serialize)]
pub struct Tests {
    /// That passed.
    pub passed: u32,
    /// That failed.
    pub failed: u32,
    /// That were left out.
    pub skipped: u32,
}

/// A test that failed.
#[derive(Debug, Serialize)]
pub struct FailedTest {
    /// Its name.
    pub name: String,
    /// What it said.
    pub message: String,
}

/// Somebody agreed or refused.
#[derive(Debug, Serialize)]
pub struct Review {
    /// To a deployment to this environment.
    pub environment: String,
    /// Agreed.
    pub approved: bool,
    /// Who.
    pub by: String,
    /// Why.
    pub reason: String,
    /// When.
    pub at: Option<String>,
}

impl Runs {
    /// Several runs.
    #[must_use]
    pub fn of(runs: &[v1::Run]) -> Self {
        Self {
            runs: runs.iter().map(Run::of).collect(),
        }
    }
}

impl Run {
    /// One run.
    #[must_use]
    pub fn of(run: &v1::Run) -> Self {
        let run = run.clone();
        Self {
            run_id: run.run_id,
            service: run.service,
            kind: run.kind,
            state: run.state,
            version: run.version,
            image_digest: run.image_digest,
            stages: run.stages.into_iter().map(Stage::of).collect(),
            reason: run.reason,
            repository: run.repository,
            reference: run.reference,
            commit: run.commit,
            subject: run.subject,
            author: run.author,
            actor: run.actor,
            via: run.via,
            created_at: rfc3339(run.created_at.as_ref()),
            finished_at: rfc3339(run.finished_at.as_ref()),
            version_because: run.version_because,
            environment: run.environment,
            reviews: run.reviews.into_iter().map(Review::of).collect(),
            retry_can_help: run.retry_can_help,
        }
    }
}

impl Stage {
    fn of(stage: v1::Stage) -> Self {
        let failed = |t: v1::FailedTest| FailedTest {
            name: t.name,
            message: t.message,
        };
        Self {
            name: stage.name,
            state: stage.state,
            started_at: rfc3339(stage.started_at.as_ref()),
            finished_at: rfc3339(stage.finished_at.as_ref()),
            reason: stage.reason,
            needs: stage.needs,
            attempt: stage.attempt,
            tests: stage.tests.map(|t| Tests {
                passed: t.passed,
                failed: t.failed,
                skipped: t.skipped,
            }),
            failed_tests: stage.failed_tests.into_iter().map(failed).collect(),
            last_lines: stage.last_lines,
            tried_again_at: rfc3339(stage.tried_again_at.as_ref()),
            rollout: stage.rollout.map(|rollout| StageRollout {
                standing: rollout.standing,
                is_paused: rollout.is_paused,
            }),
        }
    }
}

impl Review {
    fn of(review: v1::Review) -> Self {
        Self {
            environment: review.environment,
            approved: review.approved,
            by: review.by,
            reason: review.reason,
            at: rfc3339(review.at.as_ref()),
        }
    }
}
