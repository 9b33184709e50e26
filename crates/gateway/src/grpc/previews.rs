//! What a `deploy` or `rollback` would change: what the deployer sees, with what the run would wait for.

use domain::plan::{Plan, plan};
use domain::platform::PlatformSpec;
use domain::release::Releases;
use domain::run::{DeployTarget, Kind};
use domain::stage::StageName;
use proto::deployer::v1::PreviewDeploymentRequest;
use proto::preview::v1::DeploymentPreview;

use super::Questions;
use super::wishes::Wish;
use crate::Error;

impl Questions {
    /// What the wish would change. No run is started.
    pub(super) async fn preview(&self, wish: &Wish) -> Result<DeploymentPreview, Error> {
        let target = wish.target()?;
        let origin = self.origin(wish).await?;
        let service = &origin.change.service;
        let plan = plan(&origin.spec, &self.platform, &wish.kind);
        let releases = self.releases_of(service).await?;
        let promotion = Promotion::of(&plan, wish, target, &releases);
        let available = match promotion {
            Promotion::None | Promotion::Done => target.repository.clone(),
            Promotion::Needed | Promotion::Impossible(_) => {
                self.platform.development_repository(service)
            }
        };
        let question = PreviewDeploymentRequest {
            service: service.to_string(),
            environment: target.environment.to_string(),
            version: wish.version.clone(),
            origin_run_id: target.origin.to_string(),
            repository: target.repository.clone(),
            image_digest: target.digest.to_string(),
            available_repository: available,
            is_rollback: matches!(wish.kind, Kind::Rollback(_)),
            overwrite_changes: target.overwrites_changes,
        };
        let mut preview = self.parts.preview(question).await?;
        preview.stages = plan.stages.iter().map(|s| s.name.to_string()).collect();
        let mut notes = agreements(&plan, target, &self.platform);
        notes.extend(promotion.note(wish, target));
        notes.append(&mut preview.notes);
        preview.notes = notes;
        if let Promotion::Impossible(why) = promotion {
            preview.obstacles.insert(0, why);
        }
        Ok(preview)
    }
}

/// What becomes of a version before a production environment takes it.
#[derive(Debug, PartialEq, Eq)]
enum Promotion {
    /// The environment takes candidates, too, or had the version before.
    None,
    /// It is a release.
    Done,
    /// The run makes it one.
    Needed,
    /// It can't become one, and why.
    Impossible(String),
}

impl Promotion {
    fn of(plan: &Plan, wish: &Wish, target: &DeployTarget, releases: &Releases) -> Self {
        if !plan.stages.iter().any(|s| s.name == StageName::Promote) {
            return Self::None;
        }
        let version = wish.version.parse().ok();
        let record = version.and_then(|version| releases.versions.get(&version));
        match record.and_then(|record| record.release.as_ref()) {
            None => Self::Needed,
            Some(release) if release.digest == target.digest => Self::Done,
            Some(release) => Self::Impossible(format!(
                "{} takes only releases, and {} was released already, from another candidate ({}, run {}); a release \
                 never changes: deploy that one, or start a run of a new commit",
                target.environment, wish.version, release.digest, release.run
            )),
        }
    }

    fn note(&self, wish: &Wish, target: &DeployTarget) -> Option<String> {
        (*self == Self::Needed).then(|| {
            format!(
                "{} takes only releases, and {} is a candidate: the run promotes it to the production registry first",
                target.environment, wish.version
            )
        })
    }
}

/// Who must agree before the deployment.
fn agreements(plan: &Plan, target: &DeployTarget, platform: &PlatformSpec) -> Vec<String> {
    let approval = StageName::Approve(target.environment.clone());
    let people = platform
        .environments
        .get(&target.environment)
        .map_or(0, |environment| environment.approvals);
    let is_asked = plan.stages.iter().any(|stage| stage.name == approval);
    let note = is_asked.then(|| match people {
        0 | 1 => format!("one person must agree before it begins ({approval})"),
        many => format!("{many} people must agree before it begins ({approval})"),
    });
    note.into_iter().collect()
}
