//! Removes what the stages of dead workers left behind.

use std::collections::BTreeSet;
use std::time::Duration;

use bus::aggregates::Log;
use bus::{Bus, WorkerState};
use domain::run::Run;
use engine::Engine;
use engine::labels::{self, Labels};

use crate::naming::role;

/// How often leftovers of dead workers are looked for.
const EVERY: Duration = Duration::from_secs(20);

/// A clean-up that was not possible.
#[derive(Debug, thiserror::Error)]
pub enum CleanUpError {
    /// The engine does not say what is there, or does not remove it.
    #[error("the engine can't be cleaned up")]
    Engine(#[from] engine::Error),
    /// The bus does not say whose it is.
    #[error("nobody says whose the leftovers are")]
    Bus(#[from] bus::Error),
}

/// Looks for leftovers at the start, and then ever again.
pub async fn for_ever(engine: &Engine, bus: &Bus) {
    let mut timer = tokio::time::interval(EVERY);
    loop {
        timer.tick().await;
        match left_behind(engine, bus).await {
            Ok(0) => {}
            Ok(removed) => tracing::info!(removed, "removed what stopped workers had left behind"),
            Err(error) => tracing::warn!(
                error = &error as &dyn std::error::Error,
                "no clean-up this time"
            ),
        }
    }
}

/// Removes containers, networks and volumes of stages whose worker is gone. Returns how many there were.
///
/// What belongs to a run that this bus does not know is another installation's, on the same engine: its workers can't
/// be asked here, and it is left alone.
///
/// # Errors
/// When the engine or the bus can't be asked.
pub async fn left_behind(engine: &Engine, bus: &Bus) -> Result<usize, CleanUpError> {
    let of_stages = labels::of([(labels::ROLE, role::STAGE)]);
    let owner = |labels: &Labels| {
        Some((
            labels.get(labels::WORKER)?.clone(),
            labels.get(labels::RUN)?.clone(),
        ))
    };
    let owners: BTreeSet<(String, String)> = engine
        .labels_of_labelled(&of_stages)
        .await?
        .iter()
        .filter_map(owner)
        .collect();
    let runs: Log<Run> = Log::new(bus.events());
    let mut removed = 0;
    for (worker, run) in owners {
        let Ok(id) = run.parse() else { continue };
        let is_gone = matches!(
            bus.presence().ask(&worker, bytes::Bytes::new()).await,
            Ok(WorkerState::Gone)
        );
        if is_gone && runs.get(&id).await?.is_some() {
            let left = labels::of([
                (labels::ROLE, role::STAGE),
                (labels::WORKER, &worker),
                (labels::RUN, &run),
            ]);
            let gone = engine.remove_labelled(&left).await?;
            removed += gone.containers + gone.networks + gone.volumes;
        }
    }
    Ok(removed)
}
