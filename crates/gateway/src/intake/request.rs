//! What is asked for: a commit of a repository, by whom, and how often it may be tried.

use domain::ids::ServiceName;
use domain::run::{Actor, Change, Kind, Trigger};
use source::{CommitId, RefName, RepositoryUrl};

/// A commit that should become runs.
#[derive(Debug, Clone)]
pub struct CommitRequest {
    /// Where the code is.
    pub repository: RepositoryUrl,
    /// A branch, a tag, a full reference or a commit; `None` for the default branch.
    pub reference: Option<RefName>,
    /// The very commit, where the sender knows it.
    pub commit: Option<CommitId>,
    /// What the reference pointed at before: services whose folder did not change since get no run.
    pub before: Option<CommitId>,
    /// The branch that a proposal wants to change: services that none of its own commits touches get no run.
    pub target: Option<RefName>,
    /// Only this service.
    pub service: Option<ServiceName>,
    /// The number of a pull request: only stages 1 to 4 are run.
    pub proposal: Option<String>,
    /// Everything is made anew, also where an earlier run made it already.
    pub fresh: bool,
    /// Only the default branch and tags that name a version make runs, as for pushes that a forge tells of.
    pub only_releasable: Option<DefaultBranch>,
    /// What started it.
    pub trigger: Trigger,
    /// What to do when the repository can't be reached.
    pub unreachable: Unreachable,
}

/// The default branch, as far as the sender knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DefaultBranch {
    /// By its name.
    Named(String),
    /// To be asked of the repository.
    Unknown,
}

/// What to do about an error that may pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unreachable {
    /// The run is refused with it.
    Refuse,
    /// Whoever asked tries again.
    TryAgain,
}

impl CommitRequest {
    pub(crate) fn kind(&self) -> Kind {
        match &self.proposal {
            Some(number) => Kind::Proposal {
                number: number.clone(),
            },
            None => Kind::Change,
        }
    }

    /// The reference as it was asked for; empty for the default branch.
    pub(crate) fn reference_text(&self) -> String {
        self.reference
            .as_ref()
            .map(ToString::to_string)
            .unwrap_or_default()
    }

    /// What is known of a run before anything was fetched.
    pub(crate) fn change(&self, service: ServiceName) -> Change {
        Change {
            service,
            kind: self.kind(),
            repository: self.repository.to_string(),
            reference: self.reference_text(),
            commit: self
                .commit
                .as_ref()
                .map(ToString::to_string)
                .unwrap_or_default(),
            path: String::new(),
            subject: String::new(),
            author: String::new(),
            trigger: self.trigger.clone(),
        }
    }

    /// The service to name where none is known: the one asked for, or the repository's name.
    pub(crate) fn guessed_service(&self) -> ServiceName {
        self.service
            .clone()
            .unwrap_or_else(|| super::naming::service_name(self.repository.name()))
    }
}

/// Slipway itself, where it acts for a newer run.
pub(crate) fn slipway() -> Actor {
    Actor::slipway()
}
