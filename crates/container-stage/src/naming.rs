//! Labels and names of what stages start, and the variables that every command of a team sees.

use std::collections::BTreeMap;

use engine::labels::{self, Labels};
use worker::Work;

/// Roles of containers, as the label `slipway.role` says them.
pub mod role {
    /// Belongs to one attempt at a stage; gone when the attempt is over.
    pub const STAGE: &str = "stage";
    /// A replica of a deployed service.
    pub const REPLICA: &str = "replica";
    /// The proxy in front of a deployed service.
    pub const EDGE: &str = "edge";
    /// An edge that leads to all services by host name.
    pub const ENTRY: &str = "entry";
    /// A cache that outlives its stage.
    pub const CACHE: &str = "cache";
}

/// Labels of everything that an attempt starts and must not leave behind.
#[must_use]
pub fn stage_labels(work: &Work) -> Labels {
    let stage = work.stage.to_string();
    labels::of([
        (labels::ROLE, role::STAGE),
        (labels::RUN, work.run.id.as_str()),
        (labels::STAGE, &stage),
        (labels::WORKER, work.worker.as_str()),
        (labels::SERVICE, work.run.change.service.as_str()),
    ])
}

/// The image of the file system after the team's build commands.
#[must_use]
pub fn workspace_image(work: &Work) -> String {
    format!(
        "slipway-workspace/{}:{}",
        work.run.change.service, work.run.id
    )
}

/// Where a team's commands run in build and test containers.
pub const WORKSPACE: &str = "/workspace";

/// The variables that every command of a team sees: `CI`, and the run's identity.
#[must_use]
pub fn variables(work: &Work) -> BTreeMap<String, String> {
    let created = work.created();
    let version = created
        .version
        .as_ref()
        .map(|v| v.version.to_string())
        .unwrap_or_default();
    BTreeMap::from([
        ("CI".to_owned(), "true".to_owned()),
        ("SLIPWAY_RUN".to_owned(), work.run.id.to_string()),
        ("SLIPWAY_STAGE".to_owned(), work.stage.to_string()),
        (
            "SLIPWAY_SERVICE".to_owned(),
            created.change.service.to_string(),
        ),
        ("SLIPWAY_COMMIT".to_owned(), created.change.commit.clone()),
        ("SLIPWAY_VERSION".to_owned(), version),
    ])
}
