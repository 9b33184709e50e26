//! What a chore needs on this machine: found, installed or started.
//!
//! Nothing is assumed and nothing is done twice: each step first looks, and says in one line what it found or did.

mod apt;
mod engine;
mod fingerprint;
mod images;
mod machine;
mod programs;
mod report;
mod stand_in;

pub use images::Image;
pub(crate) use machine::state_directory;
pub use report::{Missing, Report};

use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;

/// What the machine is set up for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Purpose {
    /// The demo application on `slipway up`
    Demo,
    /// Every test
    Test,
    /// `docker compose up`
    Compose,
    /// The benchmarks
    Bench,
}

impl Purpose {
    fn programs(self) -> &'static [programs::Program] {
        use programs::*;
        match self {
            Self::Demo => &[GIT, NATS_SERVER, DOCKER_REGISTRY],
            Self::Test | Self::Bench => &[
                GIT,
                NATS_SERVER,
                DOCKER_REGISTRY,
                SKOPEO,
                BUSYBOX,
                COMPOSE,
                BUILDX,
            ],
            Self::Compose => &[GIT, COMPOSE, BUILDX],
        }
    }

    fn images(self) -> &'static [Image] {
        use Image::*;
        match self {
            Self::Demo => &[Debian, Python, Node, Golang, Ruby, Redis],
            Self::Bench => &[Debian],
            Self::Test => &[
                Debian, Python, Node, Golang, Ruby, Redis, Registry, Nats, Rust,
            ],
            Self::Compose => &[Debian, Registry, Nats, Rust],
        }
    }
}

/// Makes the machine ready, as far as that is possible; the report names what is missing and how to mend it.
pub async fn run(root: &Path, purpose: Purpose) -> Result<Report> {
    let mut report = Report::default();
    let machine = machine::Machine::look();
    // The engine comes first: with it comes the `docker` command, whose plugins are programs.
    let engine = engine::provide(&machine, &mut report).await;
    for program in purpose.programs() {
        programs::provide(&machine, program, &mut report).await;
    }
    if engine {
        images::provide(root, &machine, purpose.images(), &mut report).await;
    }
    Ok(report)
}
