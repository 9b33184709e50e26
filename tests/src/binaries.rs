//! The programs under test: built once, however many test processes want them.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::SystemTime;

use anyhow::{Context as _, Result, ensure};

/// The programs of an installation.
#[derive(Debug, Clone)]
pub struct Binaries {
    /// The `slipway` command. `SLIPWAY_TEST_BINARY` names another one than that of this checkout.
    pub slipway: PathBuf,
    /// The statically linked edge. `SLIPWAY_EDGE_BINARY` names another one than that of this checkout.
    pub edge: PathBuf,
}

impl Binaries {
    /// Finds the programs, and builds those that are missing or older than their sources.
    ///
    /// # Errors
    /// When one can't be built.
    pub fn find() -> Result<Self> {
        let slipway = match std::env::var_os("SLIPWAY_TEST_BINARY") {
            Some(named) => PathBuf::from(named),
            None => built("slipway", &target()?.join("debug/slipway"), build_slipway)?,
        };
        let edge = match std::env::var_os("SLIPWAY_EDGE_BINARY") {
            Some(named) => PathBuf::from(named),
            None => built("edge", &target()?.join("debug/slipway-edge"), build_edge)?,
        };
        Ok(Self { slipway, edge })
    }
}

/// `target`, in which the test program itself is as `target/debug/deps/NAME`.
fn target() -> Result<PathBuf> {
    let program = std::env::current_exe()?;
    let target = program
        .ancestors()
        .nth(3)
        .context("the test program is not in a target directory")?;
    Ok(target.to_path_buf())
}

fn workspace() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("this package is in a folder of the workspace")
}

/// Builds a program unless it was built after the last change of any source; others wait for it at a lock meanwhile.
fn built(name: &str, program: &Path, build: fn(&Path) -> Result<()>) -> Result<PathBuf> {
    let stamp = program.with_file_name(format!(".{name}-built-for-tests"));
    let lock = File::create(program.with_file_name(format!(".{name}-lock")))?;
    lock.lock()?;
    let begun = SystemTime::now();
    let fresh = match fs::metadata(&stamp).and_then(|stamp| stamp.modified()) {
        Ok(at) => program.is_file() && newest(&workspace().join("crates"))? < at,
        Err(_) => false,
    };
    if !fresh {
        build(program).with_context(|| format!("{name} can't be built for the tests"))?;
        File::create(&stamp)?.set_modified(begun)?;
    }
    Ok(program.to_path_buf())
}

fn newest(folder: &Path) -> Result<SystemTime> {
    let mut newest = SystemTime::UNIX_EPOCH;
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let changed = if entry.file_type()?.is_dir() {
            newest_of(&entry.path())?
        } else {
            entry.metadata()?.modified()?
        };
        newest = newest.max(changed);
    }
    Ok(newest)
}

/// Tests and fixtures are no part of the programs.
fn newest_of(folder: &Path) -> Result<SystemTime> {
    if folder.ends_with("tests") {
        Ok(SystemTime::UNIX_EPOCH)
    } else {
        newest(folder)
    }
}

fn build_slipway(_: &Path) -> Result<()> {
    cargo(&["build", "--quiet", "--package", "slipway"], None)
}

fn build_edge(program: &Path) -> Result<()> {
    let host = host_target()?;
    let arguments = [
        "build",
        "--quiet",
        "--package",
        "edge",
        "--release",
        "--target",
        &host,
    ];
    cargo(&arguments, Some("-C target-feature=+crt-static"))?;
    fs::copy(target()?.join(&host).join("release/edge"), program)?;
    Ok(())
}

fn cargo(arguments: &[&str], flags: Option<&str>) -> Result<()> {
    let mut cargo = Command::new("cargo");
    cargo.args(arguments).current_dir(workspace());
    if let Some(flags) = flags {
        cargo.env("RUSTFLAGS", flags);
    }
    ensure!(
        cargo.status()?.success(),
        "cargo {} failed",
        arguments.join(" ")
    );
    Ok(())
}

fn host_target() -> Result<String> {
    let output = Command::new("rustc")
        .arg("-vV")
        .current_dir(workspace())
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let host = text.lines().find_map(|line| line.strip_prefix("host: "));
    Ok(host
        .context("rustc does not say what it compiles for")?
        .to_owned())
}
