//! Programs that a chore calls.

use super::apt::{self, Package};
use super::machine::Machine;
use super::report::Report;
use crate::process;

/// A program: how to see that it is there, and where it comes from.
pub(super) struct Program {
    name: &'static str,
    /// Prints the version.
    probe: &'static [&'static str],
    /// The oldest version that does.
    at_least: [u32; 2],
    package: Package,
    /// For machines where apt can't be used.
    elsewhere: &'static str,
}

pub(super) const GIT: Program = Program {
    name: "git",
    probe: &["git", "--version"],
    at_least: [2, 20],
    package: Package::named("git"),
    elsewhere: "install git 2.20 or later",
};
pub(super) const NATS_SERVER: Program = Program {
    name: "nats-server",
    probe: &["nats-server", "--version"],
    at_least: [2, 10],
    package: Package {
        name: "nats-server",
        suite: Some("trixie"),
        unit: Some("nats-server.service"),
    },
    elsewhere: "put nats-server 2.10.23 or later from https://github.com/nats-io/nats-server/releases into PATH",
};
pub(super) const DOCKER_REGISTRY: Program = Program {
    name: "docker-registry",
    probe: &["docker-registry", "--version"],
    at_least: [2, 7],
    package: Package {
        name: "docker-registry",
        suite: None,
        unit: Some("docker-registry.service"),
    },
    elsewhere: "put the `registry` program of https://github.com/distribution/distribution/releases into PATH as docker-registry",
};
pub(super) const SKOPEO: Program = Program {
    name: "skopeo",
    probe: &["skopeo", "--version"],
    at_least: [1, 0],
    package: Package::named("skopeo"),
    elsewhere: "install skopeo (https://github.com/containers/skopeo/blob/main/install.md)",
};
pub(super) const BUSYBOX: Program = Program {
    name: "busybox, static",
    probe: &["busybox"],
    at_least: [1, 20],
    package: Package::named("busybox-static"),
    elsewhere: "install a statically linked busybox",
};
pub(super) const COMPOSE: Program = Program {
    name: "docker compose",
    probe: &["docker", "compose", "version"],
    at_least: [2, 20],
    package: Package {
        name: "docker-compose",
        suite: Some("trixie"),
        unit: None,
    },
    elsewhere: "install Docker's compose plugin (https://docs.docker.com/compose/install/)",
};
pub(super) const BUILDX: Program = Program {
    name: "docker buildx",
    probe: &["docker", "buildx", "version"],
    at_least: [0, 10],
    package: Package {
        name: "docker-buildx",
        suite: Some("trixie"),
        unit: None,
    },
    elsewhere: "install Docker's buildx plugin (https://github.com/docker/buildx#installing)",
};

/// Finds a program or installs it.
pub(super) async fn provide(machine: &Machine, program: &Program, report: &mut Report) {
    let step = report.step(program.name);
    let old = match version_of(program).await {
        Some(version) if new_enough(&version, program.at_least) => return step.found(version),
        found => found,
    };
    if !machine.installs() {
        let [major, minor] = program.at_least;
        return step.missing(match old {
            Some(version) => format!(
                "version {version} is older than {major}.{minor}: {}",
                program.elsewhere
            ),
            None => program.elsewhere.to_owned(),
        });
    }
    step.note("installing");
    if let Err(error) = apt::install(machine, &[program.package]).await {
        return step.missing(format!("{error:#}; or {}", program.elsewhere));
    }
    match version_of(program).await {
        Some(version) => step.made(format!("installed {version}")),
        None => step.missing(format!(
            "`{}` prints no version although its package {} is installed",
            program.probe.join(" "),
            program.package.name
        )),
    }
}

async fn version_of(program: &Program) -> Option<String> {
    let [name, arguments @ ..] = program.probe else {
        return None;
    };
    let printed = process::ask(name, arguments).await?;
    first_version(&printed)
}

/// The first word that looks like a version, without the `v` before it.
fn first_version(printed: &str) -> Option<String> {
    printed
        .split_whitespace()
        .map(|word| word.trim_start_matches('v').trim_end_matches(','))
        .find(|word| word.contains('.') && word.starts_with(|first: char| first.is_ascii_digit()))
        .map(str::to_owned)
}

fn new_enough(version: &str, at_least: [u32; 2]) -> bool {
    let mut parts = version
        .split(|character: char| !character.is_ascii_digit())
        .map(|part| part.parse().unwrap_or(0));
    [parts.next().unwrap_or(0), parts.next().unwrap_or(0)] >= at_least
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_read_from_what_programs_print() {
        let printed = [
            ("nats-server: v2.10.27", "2.10.27"),
            ("git version 2.39.5", "2.39.5"),
            (
                "docker-registry github.com/docker/distribution 2.8.2+ds1-1+b9",
                "2.8.2+ds1-1+b9",
            ),
            (
                "BusyBox v1.35.0 (Debian 1:1.35.0-4) multi-call binary.",
                "1.35.0",
            ),
            ("Docker Compose version 2.26.1-4", "2.26.1-4"),
            ("github.com/docker/buildx 0.13.1 0.13.1+ds1-3", "0.13.1"),
        ];
        for (text, version) in printed {
            assert_eq!(first_version(text).as_deref(), Some(version));
        }
        assert_eq!(first_version("no such thing"), None);
    }

    #[test]
    fn a_minor_version_is_compared_as_a_number() {
        assert!(new_enough("2.10.27", [2, 10]));
        assert!(!new_enough("2.9.10", [2, 10]));
        assert!(new_enough("20.10.24+dfsg1", [2, 10]));
    }
}
