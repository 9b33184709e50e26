//! Builds images that stand in for public ones: Debian by debootstrap, all others on it with apt.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::Command;

use super::apt::{self, Package};
use super::fingerprint::Fingerprint;
use super::images::Image;
use super::machine::Machine;
use crate::process::{self, WORK};

/// On every stand-in, so that a reader of `docker image inspect` knows.
const LABEL: &str = "slipway.stand-in=1";
/// The fingerprint of the recipe that made a stand-in.
pub(super) const RECIPE_LABEL: &str = "slipway.stand-in.recipe";
/// How the root file system is made, but for its directory and the mirror.
pub(super) const DEBOOTSTRAP: &[&str] =
    &["--variant=minbase", "--include=ca-certificates", "bookworm"];
const MIRROR: &str = "http://deb.debian.org/debian";
const AUTHORITIES: &str = "/usr/local/share/ca-certificates";

/// Builds the stand-in of an image and gives it the public name.
pub(super) async fn build(
    recipes: &Path,
    machine: &Machine,
    image: Image,
    fingerprint: &Fingerprint,
) -> Result<()> {
    let recipe = recipes.join(image.recipe());
    match image {
        Image::Debian => debian(&recipe, machine, fingerprint).await,
        Image::Rust => rust(&recipe, fingerprint).await,
        _ => {
            let mut build = docker_build(image, fingerprint);
            build.arg(&recipe);
            process::run(build, WORK).await.map(drop)
        }
    }
}

/// The certificate authorities that the owner of this machine added.
pub(super) fn authorities() -> Vec<PathBuf> {
    let mut found: Vec<_> = fs::read_dir(AUTHORITIES)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "crt"))
        .collect();
    found.sort();
    found
}

async fn debian(recipe: &Path, machine: &Machine, fingerprint: &Fingerprint) -> Result<()> {
    if !machine.root {
        bail!("debootstrap needs root");
    }
    if !process::in_path("debootstrap") {
        if !machine.installs() {
            bail!("debootstrap is not installed");
        }
        apt::install(machine, &[Package::named("debootstrap")]).await?;
    }
    let work = tempfile::tempdir().context("could not make a temporary directory")?;

    let rootfs = work.path().join("rootfs");
    let mut debootstrap = process::command("debootstrap", DEBOOTSTRAP);
    debootstrap.arg(&rootfs).arg(MIRROR);
    process::run(debootstrap, WORK).await?;
    let imported = format!("slipway-stand-in/debian-rootfs:{}", fingerprint.short());
    let mut tar = process::command(
        "tar",
        ["--create", "--exclude=./var/cache/apt/archives/*.deb"],
    );
    tar.args([
        "--exclude=./var/lib/apt/lists/*",
        "--exclude=./usr/share/doc/*",
    ])
    .args([
        "--exclude=./usr/share/man/*",
        "--exclude=./usr/share/locale/*",
    ])
    .arg("--directory")
    .arg(&rootfs)
    .arg(".");
    process::pipe(
        tar,
        process::command("docker", ["import", "-", &imported]),
        WORK,
    )
    .await?;

    let context = work.path().join("context");
    fs::create_dir_all(context.join("authorities"))?;
    for file in ["Dockerfile", "debian.sources"] {
        fs::copy(recipe.join(file), context.join(file))?;
    }
    for authority in authorities() {
        let name = authority.file_name().context("a certificate has a name")?;
        fs::copy(&authority, context.join("authorities").join(name))?;
    }
    let mut build = docker_build(Image::Debian, fingerprint);
    build
        .args(["--build-arg", &format!("ROOTFS={imported}")])
        .arg(&context);
    process::run(build, WORK).await.map(drop)
}

/// The machine's own toolchain, without its documentation, goes into the context as `toolchain/`.
async fn rust(recipe: &Path, fingerprint: &Fingerprint) -> Result<()> {
    let sysroot = process::run(
        process::command("rustc", ["--print", "sysroot"]),
        Duration::from_secs(60),
    )
    .await?;
    let mut tar = process::command("tar", ["--create", "--exclude=./share"]);
    tar.args(["--transform", "s,^\\./,toolchain/,S"])
        .arg("--directory")
        .arg(recipe)
        .arg("Dockerfile")
        .arg("--directory")
        .arg(sysroot.trim())
        .arg(".");
    let mut build = docker_build(Image::Rust, fingerprint);
    build.arg("-");
    process::pipe(tar, build, WORK).await
}

fn docker_build(image: Image, fingerprint: &Fingerprint) -> Command {
    let own = format!(
        "slipway-stand-in/{}:{}",
        image.recipe(),
        fingerprint.short()
    );
    let mut build = process::command("docker", ["build", "--quiet", "--label", LABEL]);
    // The recipes need nothing that only BuildKit has, and an engine without the buildx plugin builds them as well.
    build
        .env("DOCKER_BUILDKIT", "0")
        .args([
            "--label",
            &format!("{RECIPE_LABEL}={}", fingerprint.as_str()),
        ])
        .args(["--tag", &own, "--tag", image.reference()]);
    build
}
