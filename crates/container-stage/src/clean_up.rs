//! Removes what the stages of dead workers left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::{Bus, WorkerState};
use engine::Engine;
use engine::labels;

use crate::naming::role;

/// How often leftovers of dead workers are looked for.
const EVERY: Duration = Duration::from_secs(60);

/// Looks for leftovers at the start, and then ever again.
pub async fn for_ever(engine: &Engine, bus: &Bus) {
    let mut timer = tokio::time::interval(EVERY);
    loop {
        timer.tick().await;
        match left_behind(engine, bus).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed what stopped workers had left behind"),
            Err(error) => tracing::warn!(error = &error as &dyn std::error::Error, "no clean-up this time"),
        }
    }
}

/// Removes containers, networks and volumes of stages whose worker is gone. Returns how many there were.
///
/// # Errors
/// When the engine can't be asked.
pub async fn left_behind(engine: &Engine, bus: &Bus) -> Result<usize, engine::Error> {
    let of_stages = labels::of([(labels::ROLE, role::STAGE)]);
    let containers = engine.list(&of_stages).await?;
    let workers: BTreeSet<String> = containers
        .iter()
        .filter_map(|container| container.labels.get(labels::WORKER).cloned())
        .collect();
    let mut removed = 0;
    for worker in workers {
        if matches!(bus.presence().ask(&worker, bytes::Bytes::new()).await, Ok(WorkerState::Gone)) {
            let of_worker = labels::of([(labels::ROLE, role::STAGE), (labels::WORKER, &worker)]);
            let gone = engine.remove_labelled(&of_worker).await?;
            removed += gone.containers + gone.networks + gone.volumes;
        }
    }
    Ok(removed)
}
