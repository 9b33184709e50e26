//! Base images: there already, pulled, or stood in for by an image built here.

use std::path::Path;

use super::fingerprint::Fingerprint;
use super::machine::Machine;
use super::report::Report;
use super::stand_in;
use crate::process;
use pull::{Pulled, Registry};

mod pull;

/// A public image that the demo, a Dockerfile or a test starts from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[expect(missing_docs, reason = "each is the image of that name")]
pub enum Image {
    Debian,
    Python,
    Node,
    Golang,
    Ruby,
    Redis,
    Registry,
    Nats,
    Rust,
}

impl Image {
    /// The public name, as Dockerfiles write it.
    pub fn reference(self) -> &'static str {
        match self {
            Self::Debian => "debian:bookworm-slim",
            Self::Python => "python:3.11-slim",
            Self::Node => "node:18-slim",
            Self::Golang => "golang:1.19",
            Self::Ruby => "ruby:3.1-slim",
            Self::Redis => "redis:7",
            Self::Registry => "registry:2",
            Self::Nats => "nats:2.10-alpine",
            Self::Rust => "rust:1.95",
        }
    }

    /// The folder under `deploy/images` with the recipe of its stand-in.
    pub(super) fn recipe(self) -> &'static str {
        match self {
            Self::Debian => "debian",
            Self::Python => "python",
            Self::Node => "node",
            Self::Golang => "golang",
            Self::Ruby => "ruby",
            Self::Redis => "redis",
            Self::Registry => "registry",
            Self::Nats => "nats",
            Self::Rust => "rust",
        }
    }
}

/// An image that the engine has.
struct Present {
    id: String,
    /// The fingerprint of the recipe that made it, when it is a stand-in.
    stand_in: Option<String>,
}

/// Provides images in their order: a stand-in is built on those before it.
pub(super) async fn provide(root: &Path, machine: &Machine, images: &[Image], report: &mut Report) {
    let recipes = root.join("deploy/images");
    let mut registry = Registry::Unknown;
    for &image in images {
        let reference = image.reference();
        let step = report.step(format!("image {reference}"));
        let present = look(reference).await;
        let fingerprint = match &present {
            // An image that was pulled, or that the owner of this machine made, is right as it is.
            Some(Present { stand_in: None, .. }) => {
                step.found("the public image, or one of your own");
                continue;
            }
            Some(_) | None => {
                let base = match image {
                    Image::Debian => None,
                    _ => look(Image::Debian.reference()).await.map(|base| base.id),
                };
                match Fingerprint::of(&recipes, image, base.as_deref()).await {
                    Ok(fingerprint) => fingerprint,
                    Err(error) => {
                        step.missing(format!("{error:#}"));
                        continue;
                    }
                }
            }
        };
        match present.and_then(|present| present.stand_in) {
            Some(recipe) if recipe == fingerprint.as_str() => {
                step.found("stand-in built here");
                continue;
            }
            Some(_) => step.note("the recipe changed"),
            None => match registry.pull(reference, &step).await {
                Pulled::Yes => {
                    step.made("pulled");
                    continue;
                }
                Pulled::No(reason) => step.note(&reason),
            },
        }
        step.note("building a stand-in");
        match stand_in::build(&recipes, machine, image, &fingerprint).await {
            Ok(()) => step.made("stand-in built here"),
            Err(error) => step.missing(format!(
                "can't be pulled, and no stand-in was built: {error:#}"
            )),
        }
    }
}

async fn look(reference: &str) -> Option<Present> {
    let format = format!(
        "{{{{.Id}}}} {{{{with .Config.Labels}}}}{{{{index . \"{}\"}}}}{{{{end}}}}",
        stand_in::RECIPE_LABEL
    );
    let printed = process::ask(
        "docker",
        ["image", "inspect", "--format", &format, reference],
    )
    .await?;
    let (id, recipe) = printed
        .trim()
        .split_once(' ')
        .unwrap_or((printed.trim(), ""));
    Some(Present {
        id: id.to_owned(),
        stand_in: Some(recipe.to_owned()).filter(|recipe| !recipe.is_empty()),
    })
}
