//! What kind of machine this is.

use std::fs;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};

/// The facts that decide how something is installed here.
pub(super) struct Machine {
    /// A Debian or a derivative, whose packages apt installs.
    pub debian: bool,
    /// Whether this process may install and start things.
    pub root: bool,
    /// Whether systemd runs the services here.
    pub systemd: bool,
}

impl Machine {
    pub(super) fn look() -> Self {
        let release = fs::read_to_string("/etc/os-release").unwrap_or_default();
        Self {
            debian: is_debian(&release),
            root: fs::metadata("/proc/self").is_ok_and(|process| process.uid() == 0),
            systemd: Path::new("/run/systemd/system").is_dir(),
        }
    }

    /// Whether apt can be used.
    pub(super) fn installs(&self) -> bool {
        self.debian && self.root
    }
}

/// Where Slipway's chores keep logs and state between runs.
pub(crate) fn state_directory() -> PathBuf {
    let base = std::env::var_os("XDG_STATE_HOME").map_or_else(
        || {
            PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into()))
                .join(".local/state")
        },
        PathBuf::from,
    );
    base.join("slipway")
}

fn is_debian(os_release: &str) -> bool {
    os_release
        .lines()
        .filter_map(|line| line.split_once('='))
        .filter(|(key, _)| matches!(*key, "ID" | "ID_LIKE"))
        .any(|(_, value)| value.trim_matches('"').split(' ').any(|id| id == "debian"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_and_its_derivatives_are_told_from_others() {
        assert!(is_debian("ID=debian\nVERSION_ID=\"12\"\n"));
        assert!(is_debian("ID=linuxmint\nID_LIKE=\"ubuntu debian\"\n"));
        assert!(!is_debian("ID=fedora\nID_LIKE=\"rhel centos\"\n"));
    }
}
