//! What a container of a team may use.

use std::time::Duration;

use domain::spec::Resources;
use engine::Limits;

/// Memory of a build or test container for which the service file names none.
pub const DEFAULT_MEMORY_BYTES: u64 = 4 << 30;
/// Processes and threads of a container for which the service file names no number.
pub const DEFAULT_PIDS: u32 = 4096;
/// Processors of a container for which the service file names none.
pub const DEFAULT_CPUS: f64 = 4.0;

/// The limits that a service file asks for, with defaults; `time` is the stage's.
#[must_use]
pub fn of(resources: &Resources, time: Option<Duration>) -> Limits {
    let available = std::thread::available_parallelism().map_or(1.0, |n| n.get() as f64);
    Limits {
        cpus: Some(
            resources
                .cpus
                .map_or(DEFAULT_CPUS, |c| f64::from(c.thousandths()) / 1000.0)
                .min(available),
        ),
        memory_bytes: Some(resources.memory.map_or(DEFAULT_MEMORY_BYTES, |m| m.bytes())),
        pids: Some(resources.pids.unwrap_or(DEFAULT_PIDS)),
        time,
    }
}
