//! Removing what an installation leaves on this machine.

use super::Installation;
use crate::{docker, processes};

/// Lines of `slipway up` that a failed test shows.
const SHOWN: usize = 80;

impl Drop for Installation {
    fn drop(&mut self) {
        if std::thread::panicking() || std::env::var_os("SLIPWAY_TEST_SHOW_LOG").is_some() {
            let log = self.log();
            let lines: Vec<&str> = log.lines().collect();
            eprintln!(
                "the end of what slipway up said:\n{}",
                lines[lines.len().saturating_sub(SHOWN)..].join("\n")
            );
        }
        // `slipway up`, commands that still wait, and a NATS server that a killed `slipway up` left behind.
        let folder = self.folder.path().display().to_string();
        processes::with_argument(&folder)
            .into_iter()
            .for_each(processes::kill);
        for environment in [self.test(), self.live()] {
            docker::remove_with_label(&format!("slipway.environment={environment}"));
        }
        let runs = std::mem::take(
            &mut *self
                .runs
                .lock()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
        );
        for run in runs {
            docker::remove_with_label(&format!("slipway.run={run}"));
            docker::remove_images(&format!("slipway-workspace/*:{run}"));
        }
        for registry in [&self.development, &self.production] {
            docker::remove_images(&format!("{}/*", registry.address()));
        }
    }
}
