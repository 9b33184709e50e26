//! What can happen to a run.

use jiff::Timestamp;

use crate::ids::{Digest, EnvironmentName, RunId, ServiceName, WorkerId};
use crate::plan::Plan;
use crate::spec::ServiceSpec;
use crate::stage::{Outcome, StageName, StageResult};
use crate::version::PlannedVersion;

/// One event of a run. The first is always [`Event::Created`] or [`Event::Refused`].
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// The run was planned.
    Created(Box<Created>),
    /// The commit could not become a planned run: no such repository, a mistake in `slipway.yaml`, …
    Refused {
        /// What was asked for.
        change: Box<Change>,
        /// The whole explanation; may have several lines.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// A worker claimed a stage.
    StageStarted {
        /// The stage.
        stage: StageName,
        /// Counted from 1.
        attempt: u32,
        /// Who does it.
        worker: WorkerId,
        /// When.
        at: Timestamp,
    },
    /// An attempt at a stage ended.
    StageEnded {
        /// The stage.
        stage: StageName,
        /// The attempt that ended.
        attempt: u32,
        /// How.
        outcome: Outcome,
        /// When.
        at: Timestamp,
    },
    /// Somebody agreed to a deployment.
    Approved {
        /// Where to.
        environment: EnvironmentName,
        /// Who.
        by: Actor,
        /// Why; may be empty.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Somebody refused a deployment.
    Rejected {
        /// Where to.
        environment: EnvironmentName,
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Somebody or something newer ended the run.
    CancelRequested {
        /// Who.
        by: Actor,
        /// Why.
        reason: String,
        /// When.
        at: Timestamp,
    },
    /// Somebody started the failed and cancelled stages again.
    Retried {
        /// Who.
        by: Actor,
        /// When.
        at: Timestamp,
    },
}

/// Everything that is decided once, before the first stage.
#[derive(Debug, Clone, PartialEq)]
pub struct Created {
    /// The run's identity.
    pub run: RunId,
    /// What is built or deployed, and who asked for it.
    pub change: Change,
    /// The version that a release of this run would have. Proposals have none.
    pub version: Option<PlannedVersion>,
    /// The service file as it was in the commit, with every default filled in.
    pub spec: ServiceSpec,
    /// The stages and where they deploy to.
    pub plan: Plan,
    /// Stages of the plan that need not be done, for an earlier run of the same commit did them.
    pub reused: Vec<ReusedStage>,
    /// When.
    pub at: Timestamp,
}

/// What an earlier run of the same commit made, used again.
#[derive(Debug, Clone, PartialEq)]
pub struct ReusedStage {
    /// The stage: one whose result [follows from the commit](StageName::follows_from_commit). Others are done anyhow.
    pub stage: StageName,
    /// The run that did it.
    pub from: RunId,
    /// Its result there.
    pub result: StageResult,
}

/// What a run is about.
#[derive(Debug, Clone, PartialEq)]
pub struct Change {
    /// The service; a guess from the repository's name if the file could not be read.
    pub service: ServiceName,
    /// Why the run exists.
    pub kind: Kind,
    /// Where the code is: a URL or an absolute path, without credentials. Empty for `deploy` and `rollback`.
    pub repository: String,
    /// The ref as it was asked for, such as `main` or `refs/tags/v1.2.0`.
    pub reference: String,
    /// The commit, 40 or 64 hexadecimal digits; empty if it could not be found.
    pub commit: String,
    /// The folder of the service in the repository; empty for its root.
    pub path: String,
    /// First line of the commit message.
    pub subject: String,
    /// Who wrote the commit, `Name <mail>`.
    pub author: String,
    /// What started it.
    pub trigger: Trigger,
}

/// The kinds of run.
#[derive(Debug, Clone, PartialEq)]
pub enum Kind {
    /// A push to the default branch, or a tag: everything.
    Change,
    /// A pull request: stages 1 to 4; `number` groups the pushes of one request.
    Proposal {
        /// The forge's number of the request, or the branch's name.
        number: String,
    },
    /// A given version to a given environment.
    Deploy(DeployTarget),
    /// Back to an earlier version in a given environment.
    Rollback(DeployTarget),
}

impl Kind {
    /// The stable name: `change`, `proposal`, `deploy`, `rollback`.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Change => "change",
            Self::Proposal { .. } => "proposal",
            Self::Deploy(_) => "deploy",
            Self::Rollback(_) => "rollback",
        }
    }
}

/// What a `deploy` or `rollback` run brings where.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DeployTarget {
    /// Where to.
    pub environment: EnvironmentName,
    /// The run that made the version.
    pub origin: RunId,
    /// The image: `host/name` in the registry that the environment is fed from.
    pub repository: String,
    /// The image's digest.
    pub digest: Digest,
    /// What somebody else changed on the objects of the service is overwritten.
    pub overwrites_changes: bool,
}

/// What started a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trigger {
    /// `grpc`, `bus`, `github`, `gitlab`, `gitea`.
    pub via: String,
    /// Identity of the delivery, for deduplication.
    pub delivery: String,
    /// Who.
    pub actor: Actor,
}

/// A person or a token, by name.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Actor(pub String);

impl Actor {
    /// Slipway itself: what it does because something newer made a run needless.
    #[must_use]
    pub fn slipway() -> Self {
        Self("slipway".to_owned())
    }
}
