//! What a container may use, and what it may not do.

use std::time::Duration;

use bollard::models::HostConfig;
use serde::Serialize;

/// The capabilities that package managers and servers need: owning files, changing user, low ports. The rest of the
/// engine's default set (raw sockets, device nodes, chroot, audit) is dropped.
const KEPT_CAPABILITIES: [&str; 9] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "NET_BIND_SERVICE",
    "SETFCAP",
    "SETGID",
    "SETUID",
];

/// Limits of one container. `None` is unlimited.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Limits {
    /// CPUs, e.g. 1.5.
    pub cpus: Option<f64>,
    /// Memory in bytes; swap comes on top of it for nobody.
    pub memory_bytes: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u32>,
    /// How long a step may run. Not used for long-running containers.
    pub time: Option<Duration>,
}

impl Limits {
    /// The part of a container's configuration that limits and confines it.
    pub(crate) fn host_config(&self) -> HostConfig {
        let memory = self
            .memory_bytes
            .map(|bytes| i64::try_from(bytes).unwrap_or(i64::MAX));
        HostConfig {
            init: Some(true),
            memory,
            memory_swap: memory,
            nano_cpus: self.cpus.map(nano_cpus),
            pids_limit: self.pids.map(i64::from),
            privileged: Some(false),
            security_opt: Some(vec!["no-new-privileges".to_owned()]),
            cap_drop: Some(vec!["ALL".to_owned()]),
            cap_add: Some(KEPT_CAPABILITIES.map(str::to_owned).to_vec()),
            ..HostConfig::default()
        }
    }
}

/// The engine counts CPUs in billionths, and refuses less than a hundredth.
fn nano_cpus(cpus: f64) -> i64 {
    (cpus.clamp(0.01, 100_000.0) * 1e9) as i64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn swap_is_never_added_to_memory() {
        let limits = Limits {
            memory_bytes: Some(1 << 20),
            cpus: Some(0.5),
            ..Limits::default()
        };
        let config = limits.host_config();
        assert_eq!(config.memory, config.memory_swap);
        assert_eq!(config.nano_cpus, Some(500_000_000));
    }
}
