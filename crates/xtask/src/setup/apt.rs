//! Packages of Debian and its derivatives.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result};

use super::machine::Machine;
use crate::process::{self, WORK};

/// A package, and the suite that has a version new enough when the machine's own release hasn't.
#[derive(Clone, Copy)]
pub(super) struct Package {
    pub name: &'static str,
    pub suite: Option<&'static str>,
    /// The systemd unit that the package would start: it would take a port that Slipway uses.
    pub unit: Option<&'static str>,
}

const SOURCES: &str = "/etc/apt/sources.list.d/slipway-trixie.sources";
const PREFERENCES: &str = "/etc/apt/preferences.d/slipway-trixie";

/// Installs packages, and nothing that they merely recommend.
pub(super) async fn install(machine: &Machine, packages: &[Package]) -> Result<()> {
    if packages.iter().any(|package| package.suite.is_some()) {
        add_trixie()?;
    }
    for unit in packages.iter().filter_map(|package| package.unit) {
        keep_stopped(machine, unit).await?;
    }
    let names: Vec<_> = packages.iter().map(Package::in_suite).collect();
    if apt_get(&["install"], &names).await.is_err() {
        // The lists may be old, or not there at all: fetch them and try once more.
        apt_get(&["update"], &[]).await?;
        apt_get(&["install"], &names).await?;
    }
    Ok(())
}

impl Package {
    pub(super) const fn named(name: &'static str) -> Self {
        Self {
            name,
            suite: None,
            unit: None,
        }
    }

    fn in_suite(&self) -> String {
        match self.suite {
            Some(suite) => format!("{}/{suite}", self.name),
            None => self.name.to_owned(),
        }
    }
}

async fn apt_get(action: &[&str], names: &[String]) -> Result<()> {
    let mut command = process::command(
        "apt-get",
        [
            "-q",
            "-y",
            "-o",
            "DPkg::Lock::Timeout=180",
            "--no-install-recommends",
        ],
    );
    command
        .args(action)
        .args(names)
        .env("DEBIAN_FRONTEND", "noninteractive");
    process::run(command, WORK).await.map(drop)
}

/// Makes Debian 13 known to apt at a priority so low that only what is asked for by name comes from it.
fn add_trixie() -> Result<()> {
    const KEYRING: &str = "/usr/share/keyrings/debian-archive-keyring.gpg";
    write_once(
        SOURCES,
        &format!(
            "Types: deb\nURIs: http://deb.debian.org/debian\nSuites: trixie\nComponents: main\nSigned-By: {KEYRING}\n"
        ),
    )?;
    write_once(
        PREFERENCES,
        "Package: *\nPin: release n=trixie\nPin-Priority: 50\n",
    )
}

fn write_once(path: &str, content: &str) -> Result<()> {
    if Path::new(path).exists() {
        return Ok(());
    }
    fs::write(path, content).with_context(|| format!("could not write {path}"))
}

async fn keep_stopped(machine: &Machine, unit: &str) -> Result<()> {
    if machine.systemd {
        process::run(
            process::command("systemctl", ["mask", unit]),
            process::QUESTION,
        )
        .await?;
    }
    Ok(())
}
