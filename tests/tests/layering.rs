//! What `ARCHITECTURE.md` says about who may depend on whom, and what is absent where.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use serde_json::Value;

/// Our crates, each above everything that it may depend on.
const LAYERS: [&[&str]; 7] = [
    &["domain"],
    &["proto"],
    &["bus", "edge", "engine", "registry", "source"],
    &["service-kit", "worker"],
    &["container-stage"],
    &SERVICES,
    &["slipway"],
];
const SERVICES: [&str; 5] = [
    "builder",
    "deployer",
    "gateway",
    "registry-promoter",
    "test-runner",
];
/// Tools: nothing that runs in production depends on them.
const TOOLS: [&str; 4] = ["bench", "slipway-tests", "testkit", "xtask"];

/// What does I/O, or brings a runtime for it.
const IO_CRATES: [&str; 10] = [
    "async-nats",
    "axum",
    "bollard",
    "hyper",
    "mio",
    "reqwest",
    "socket2",
    "tokio",
    "tokio-util",
    "tonic",
];
/// What does I/O or reads a clock.
const IO_CALLS: [&str; 8] = [
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "std::thread",
    "Instant::now",
    "SystemTime::now",
    "Timestamp::now",
];
const VAGUE_NAMES: [&str; 7] = [
    "common", "helper", "helpers", "misc", "types", "util", "utils",
];

/// A dependency between two of our crates.
#[derive(Debug)]
struct Edge {
    from: String,
    to: String,
    is_for_tests: bool,
}

#[test]
fn dependencies_point_inward() -> Result<()> {
    for edge in edges()?
        .iter()
        .filter(|edge| !edge.is_for_tests && !is_tool(&edge.from))
    {
        ensure!(
            !is_tool(&edge.to),
            "{} is a tool, but {} depends on it",
            edge.to,
            edge.from
        );
        let (from, to) = (layer(&edge.from)?, layer(&edge.to)?);
        ensure!(
            from > to,
            "{} may not depend on {}: see ARCHITECTURE.md",
            edge.from,
            edge.to
        );
    }
    Ok(())
}

#[test]
fn every_crate_has_its_place() -> Result<()> {
    let ours = packages()?;
    for name in ours.keys().filter(|name| !is_tool(name)) {
        layer(name)?;
    }
    for name in LAYERS.iter().copied().flatten().chain(&TOOLS) {
        ensure!(
            ours.contains_key(*name),
            "there is no crate {name} any more"
        );
    }
    Ok(())
}

#[test]
fn services_never_depend_on_each_other() -> Result<()> {
    // Not even in their tests: they would be released together soon.
    for edge in edges()? {
        let between = is_service(&edge.from) && is_service(&edge.to);
        ensure!(
            !between,
            "{} depends on {}; ask it over gRPC or the bus",
            edge.from,
            edge.to
        );
    }
    Ok(())
}

#[test]
fn only_the_all_in_one_program_links_services() -> Result<()> {
    let edges = edges()?;
    // What measures a service may hold it in its own process.
    let in_production = edges.iter().filter(|edge| !is_tool(&edge.from));
    for edge in in_production.filter(|edge| is_service(&edge.to)) {
        ensure!(
            edge.from == "slipway",
            "{} links the service {}",
            edge.from,
            edge.to
        );
    }
    Ok(())
}

#[test]
fn the_domain_depends_on_nothing_that_does_io() -> Result<()> {
    let arguments = [
        "tree",
        "--package",
        "domain",
        "--edges",
        "normal",
        "--prefix",
        "none",
        "--format",
        "{p}",
    ];
    let tree = cargo(&arguments)?;
    let names: Vec<_> = tree
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    ensure!(
        names.contains(&"domain") && names.contains(&"semver"),
        "not a tree of domain:\n{tree}"
    );
    for name in IO_CRATES {
        ensure!(
            !names.contains(&name),
            "domain depends on {name}; see `cargo tree -p domain -i {name}`"
        );
    }
    Ok(())
}

#[test]
fn the_domain_does_no_io_and_reads_no_clock() -> Result<()> {
    for (file, text) in sources(&root().join("crates/domain/src"))? {
        for call in IO_CALLS {
            ensure!(
                !text.contains(call),
                "{} uses {call}; the caller brings what is read",
                file.display()
            );
        }
    }
    Ok(())
}

#[test]
fn one_file_names_the_subjects_of_the_bus() -> Result<()> {
    let subjects = ["run", "job", "log", "commit", "release", "rollout"]
        .map(|noun| format!("\"slipway.{noun}."));
    for directory in source_directories()? {
        for (file, text) in sources(&directory)? {
            let inside = file.strip_prefix(root())?.to_string_lossy().into_owned();
            // The generated code includes files that are called like packages.
            if inside.starts_with("crates/bus/src/subjects")
                || inside.starts_with("crates/proto/src/gen/")
            {
                continue;
            }
            for subject in &subjects {
                ensure!(
                    !text.contains(subject),
                    "{inside} names {subject}…\"; bus::subjects is the place for it"
                );
            }
        }
    }
    Ok(())
}

#[test]
fn files_and_crates_are_called_after_what_they_do() -> Result<()> {
    for name in packages()?.keys() {
        ensure!(
            !VAGUE_NAMES.contains(&name.as_str()),
            "the crate {name} says nothing about what it does"
        );
    }
    for directory in ["crates", "tests"] {
        for (file, _) in sources(&root().join(directory))? {
            let stem = file
                .file_stem()
                .unwrap_or_default()
                .to_string_lossy()
                .into_owned();
            ensure!(
                stem != "mod",
                "{}: modules are `name.rs`, not `name/mod.rs`",
                file.display()
            );
            let parts = file
                .iter()
                .map(|part| part.to_string_lossy().into_owned())
                .chain([stem]);
            for part in parts {
                ensure!(
                    !VAGUE_NAMES.contains(&part.as_str()),
                    "{} says nothing about what is in it",
                    file.display()
                );
            }
        }
    }
    Ok(())
}

fn is_service(name: &str) -> bool {
    SERVICES.contains(&name)
}

fn is_tool(name: &str) -> bool {
    TOOLS.contains(&name)
}

fn layer(name: &str) -> Result<usize> {
    LAYERS
        .iter()
        .position(|layer| layer.contains(&name))
        .with_context(|| {
            format!("the crate {name} has no place: give it one here and in ARCHITECTURE.md")
        })
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("..")
        .canonicalize()
        .expect("the workspace is there")
}

fn cargo(arguments: &[&str]) -> Result<String> {
    let output = Command::new(env!("CARGO"))
        .args(arguments)
        .arg("--offline")
        .current_dir(root())
        // It would make `cargo tree` show the whole workspace.
        .env_remove("CARGO_RESOLVER_FEATURE_UNIFICATION")
        .output()?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(
        output.status.success(),
        "cargo {}: {errors}",
        arguments.join(" ")
    );
    Ok(String::from_utf8(output.stdout)?)
}

/// Our crates with their manifests.
fn packages() -> Result<BTreeMap<String, Value>> {
    let metadata: Value =
        serde_json::from_str(&cargo(&["metadata", "--no-deps", "--format-version", "1"])?)?;
    let packages = metadata["packages"]
        .as_array()
        .context("metadata without packages")?;
    let named = |package: &Value| Some((package["name"].as_str()?.to_owned(), package.clone()));
    packages
        .iter()
        .map(|package| named(package).context("a package without a name"))
        .collect()
}

/// Every dependency between our crates.
fn edges() -> Result<Vec<Edge>> {
    let packages = packages()?;
    let mut edges = Vec::new();
    for (from, package) in &packages {
        for dependency in package["dependencies"]
            .as_array()
            .context("a package without dependencies")?
        {
            let to = dependency["name"]
                .as_str()
                .context("a dependency without a name")?
                .to_owned();
            if packages.contains_key(&to) && dependency["path"].is_string() {
                edges.push(Edge {
                    from: from.clone(),
                    to,
                    is_for_tests: dependency["kind"] == "dev",
                });
            }
        }
    }
    ensure!(edges.len() > 20, "these can't be all: {edges:?}");
    Ok(edges)
}

fn source_directories() -> Result<Vec<PathBuf>> {
    let mut directories = Vec::new();
    for entry in std::fs::read_dir(root().join("crates"))? {
        directories.push(entry?.path().join("src"));
    }
    Ok(directories)
}

/// The Rust files under a directory, with their text.
fn sources(directory: &Path) -> Result<Vec<(PathBuf, String)>> {
    let mut found = Vec::new();
    let entries = std::fs::read_dir(directory)
        .with_context(|| format!("cannot read {}", directory.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.is_dir() {
            found.append(&mut sources(&path)?);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path)?;
            found.push((path, text));
        }
    }
    Ok(found)
}
