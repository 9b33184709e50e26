//! Where the demo keeps its things, and the ports that it uses.

use std::fs;
use std::net::TcpListener;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use domain::platform::{self, PlatformSpec, Registry};

use crate::setup::state_directory;

/// Says that the data directory that it lies in was made by the demo and may be removed by it.
const MARKER: &str = "made-by-the-demo";

/// The demo's directories.
#[derive(Debug, Clone)]
pub(super) struct Home {
    state: PathBuf,
    data: PathBuf,
    /// Whether the `slipway` command finds the data directory by itself.
    is_default: bool,
}

impl Home {
    /// Looks where the demo is, or would be. The data directory is the one that the `slipway` command looks into by
    /// itself, unless somebody else's Slipway lives there.
    pub(super) fn find() -> Result<Self> {
        let state = state_directory().join("demo");
        let default = default_data_directory()
            .context("there is no place for the demo's data: set HOME or SLIPWAY_DATA_DIR")?;
        let is_default = !default.exists() || default.join(MARKER).exists();
        let data = if is_default {
            default
        } else {
            state.join("data")
        };
        Ok(Self {
            state,
            data,
            is_default,
        })
    }

    /// Makes the directories.
    pub(super) fn create(&self) -> Result<()> {
        for directory in [&self.state, &self.data] {
            fs::create_dir_all(directory)
                .with_context(|| format!("could not create {}", directory.display()))?;
        }
        let marker = self.data.join(MARKER);
        fs::write(
            &marker,
            "`cargo xtask demo --down` removes this directory.\n",
        )
        .with_context(|| format!("could not write {}", marker.display()))
    }

    /// Removes the directories; whether anything was there.
    pub(super) fn remove(&self) -> Result<bool> {
        let mut found = false;
        for directory in [&self.data, &self.state] {
            match fs::remove_dir_all(directory) {
                Ok(()) => found = true,
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                Err(error) => {
                    return Err(error)
                        .with_context(|| format!("could not remove {}", directory.display()));
                }
            }
        }
        Ok(found)
    }

    pub(super) fn data(&self) -> &Path {
        &self.data
    }

    pub(super) fn is_default(&self) -> bool {
        self.is_default
    }

    pub(super) fn log(&self) -> PathBuf {
        self.state.join("slipway.log")
    }

    pub(super) fn pid_file(&self) -> PathBuf {
        self.state.join("slipway.pid")
    }

    pub(super) fn repository(&self, service: &str) -> PathBuf {
        self.state.join("repositories").join(service)
    }

    pub(super) fn platform_file(&self) -> PathBuf {
        self.state.join("platform.yaml")
    }

    /// The platform file in use, if the demo was started before.
    pub(super) fn platform(&self) -> Result<Option<PlatformSpec>> {
        let path = self.platform_file();
        if path.exists() {
            read(&path).map(Some)
        } else {
            Ok(None)
        }
    }

    /// The platform file in use: the demo's own, with registries on ports that were free when it was first written.
    pub(super) fn ensure_platform(&self, template: &Path) -> Result<PlatformSpec> {
        if let Some(platform) = self.platform()? {
            return Ok(platform);
        }
        let mut platform = read(template)?;
        let mut taken = Vec::new();
        for registry in [
            &mut platform.registries.development,
            &mut platform.registries.production,
        ] {
            let port = free_port(port_of(registry).unwrap_or(0), &taken)?;
            taken.push(port);
            registry.address = format!("127.0.0.1:{port}");
        }
        let path = self.platform_file();
        // JSON is YAML too.
        let text = serde_json::to_string_pretty(&platform)?;
        fs::write(&path, text + "\n")
            .with_context(|| format!("could not write {}", path.display()))?;
        Ok(platform)
    }
}

/// The port of a registry on this machine.
pub(super) fn port_of(registry: &Registry) -> Option<u16> {
    registry.address.rsplit_once(':')?.1.parse().ok()
}

/// The wanted port of 127.0.0.1 if nobody has it, else any free one; never one of `taken`.
pub(super) fn free_port(wanted: u16, taken: &[u16]) -> Result<u16> {
    if !taken.contains(&wanted) && TcpListener::bind(("127.0.0.1", wanted)).is_ok() && wanted != 0 {
        return Ok(wanted);
    }
    loop {
        let listener = TcpListener::bind(("127.0.0.1", 0)).context("no port is free")?;
        let port = listener.local_addr()?.port();
        if !taken.contains(&port) {
            return Ok(port);
        }
    }
}

fn read(path: &Path) -> Result<PlatformSpec> {
    let text =
        fs::read_to_string(path).with_context(|| format!("could not read {}", path.display()))?;
    platform::parse(&path.display().to_string(), &text).map_err(anyhow::Error::from)
}

/// As the `slipway` command looks for it.
fn default_data_directory() -> Option<PathBuf> {
    let named = |name: &str| std::env::var_os(name).filter(|value| !value.is_empty());
    if let Some(directory) = named("SLIPWAY_DATA_DIR") {
        return Some(directory.into());
    }
    if let Some(directory) = named("XDG_DATA_HOME") {
        return Some(Path::new(&directory).join("slipway"));
    }
    named("HOME").map(|home| Path::new(&home).join(".local/share/slipway"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_that_somebody_has_is_not_used() {
        let somebody = TcpListener::bind(("127.0.0.1", 0)).expect("a free port");
        let port = somebody.local_addr().expect("bound").port();
        assert_ne!(free_port(port, &[]).expect("another"), port);
        drop(somebody);
        assert_ne!(free_port(port, &[port]).expect("another"), port);
    }

    #[test]
    fn the_written_platform_file_is_read_again_with_its_ports() {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let home = Home {
            state: folder.path().to_owned(),
            data: folder.path().join("data"),
            is_default: false,
        };
        let template = crate::repository_root().join("deploy/demo/platform.yaml");
        let written = home.ensure_platform(&template).expect("written");
        let registries = &written.registries;
        assert_ne!(
            registries.development.address,
            registries.production.address
        );
        assert_eq!(home.ensure_platform(&template).expect("read"), written);
    }
}
