//! The images that builds leave on the engine, and how many of them are kept.
//!
//! A retried run finds its workspace again, if not too many others came meanwhile; what else a run needs is in the
//! development registry.

use std::collections::BTreeMap;
use std::time::Duration;

use bus::Bus;
use bus::aggregates::Log;
use domain::ids::RunId;
use domain::run::Run;
use engine::labels::{self, Labels};
use engine::{Engine, ListedImage};
use worker::{ActiveRuns, Work};

/// Role of the image of a workspace.
pub(crate) const WORKSPACE: &str = "workspace";
/// Role of an image that was made of a team's Dockerfile to build in.
pub(crate) const BUILD_ENVIRONMENT: &str = "build-environment";

/// How often to look for images to remove.
const EVERY: Duration = Duration::from_secs(5 * 60);
/// Images of ended runs that are kept, for each service and role: the newest.
const KEPT: usize = 5;

/// The labels of an image that belongs to a run.
pub(crate) fn labels_of(work: &Work, role: &str) -> Labels {
    labels::of([
        (labels::ROLE, role),
        (labels::RUN, work.run.id.as_str()),
        (labels::SERVICE, work.run.change.service.as_str()),
    ])
}

/// The name of the image that is made of the team's Dockerfile.
pub(crate) fn build_environment(work: &Work) -> String {
    format!("slipway-build/{}:{}", work.run.change.service, work.run.id)
}

/// Removes, for ever, what is more than enough.
pub(crate) async fn keep_few(engine: &Engine, active: &ActiveRuns, bus: &Bus) {
    let runs = Log::new(bus.events());
    let mut timer = tokio::time::interval(EVERY);
    timer.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        timer.tick().await;
        for role in [WORKSPACE, BUILD_ENVIRONMENT] {
            if let Err(error) = remove_old(engine, active, &runs, role).await {
                let error = &error as &dyn std::error::Error;
                tracing::warn!(error, "old images are kept for now");
            }
        }
    }
}

async fn remove_old(
    engine: &Engine,
    active: &ActiveRuns,
    runs: &Log<Run>,
    role: &str,
) -> Result<(), engine::Error> {
    if !active.is_caught_up() {
        return Ok(());
    }
    let images = engine
        .list_images(&labels::of([(labels::ROLE, role)]))
        .await?;
    let at_work: Vec<RunId> = active
        .all()
        .iter()
        .flat_map(|run| images_used_by(run))
        .collect();
    for image in too_many(images, &at_work) {
        // Another installation, on the same engine, looks after its own.
        let run = image
            .labels
            .get(labels::RUN)
            .and_then(|run| run.parse().ok());
        let Some(run) = run else { continue };
        if !matches!(runs.get(&run).await, Ok(Some(_))) {
            continue;
        }
        for tag in &image.tags {
            tracing::info!("removing the old image {tag}");
            engine.remove_image(tag).await?;
        }
    }
    Ok(())
}

/// The runs whose images a run may need: its own, and the earlier one's whose build it reuses.
fn images_used_by(run: &Run) -> Vec<RunId> {
    let reused = run.created.iter().flat_map(|created| &created.reused);
    let earlier = reused.map(|reused| reused.from.clone());
    earlier.chain([run.id.clone()]).collect()
}

/// The images of ended runs but for the newest of each service.
fn too_many(images: Vec<ListedImage>, at_work: &[RunId]) -> Vec<ListedImage> {
    let mut by_service: BTreeMap<String, Vec<ListedImage>> = BTreeMap::new();
    for image in images {
        let label = |name: &str| {
            image
                .labels
                .get(name)
                .map(String::as_str)
                .unwrap_or_default()
        };
        if at_work.iter().any(|run| run.as_str() == label(labels::RUN)) {
            continue;
        }
        by_service
            .entry(label(labels::SERVICE).to_owned())
            .or_default()
            .push(image);
    }
    let old = |mut images: Vec<ListedImage>| {
        images.sort_by_key(|image| std::cmp::Reverse(image.created));
        images.into_iter().skip(KEPT)
    };
    by_service.into_values().flat_map(old).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn image(service: &str, created: i64) -> ListedImage {
        ListedImage {
            tags: vec![format!("{service}:{created}")],
            labels: labels::of([
                (labels::SERVICE, service),
                (labels::RUN, &format!("r{created}")),
            ]),
            created,
        }
    }

    #[test]
    fn the_newest_images_of_each_service_and_those_at_work_are_kept() {
        let images = (0..8)
            .flat_map(|n| [image("a", n), image("b", n)])
            .take(14)
            .collect();
        let at_work = ["r0".parse().unwrap()];
        let gone: Vec<String> = too_many(images, &at_work)
            .into_iter()
            .flat_map(|i| i.tags)
            .collect();
        assert_eq!(gone, ["a:1", "b:1"]);
    }
}
