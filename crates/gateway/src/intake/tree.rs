//! What the files of a commit say about its services. Pure: the files are given.

use std::collections::BTreeSet;

use domain::diagnostic::{Diagnostics, Severity};
use domain::ids::ServiceName;
use domain::platform::PlatformSpec;
use domain::spec::{ServiceSpec, check_environments, check_files, check_needs, lint};

use super::naming;

/// The file that says what a service is.
pub(crate) const SERVICE_FILE: &str = "slipway.yaml";

/// A service of a commit, or why it can't be carried.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// Its name; a guess where the file can't be read.
    pub(crate) name: ServiceName,
    /// Its folder; empty for the root.
    pub(crate) folder: String,
    /// What it says, or everything that is wrong with it.
    pub(crate) spec: Result<ServiceSpec, String>,
}

/// The services of a commit that has these `slipway.yaml` files, given with their paths, and these paths altogether.
pub(crate) fn services(
    files: &[(String, Vec<u8>)],
    paths: &BTreeSet<String>,
    repository_name: &str,
    platform: &PlatformSpec,
) -> Vec<Found> {
    let mut read: Vec<(Found, Option<String>)> = files
        .iter()
        .map(|(path, bytes)| read_one(path, bytes, paths, repository_name, platform))
        .collect();
    let whole: Vec<(String, String, ServiceSpec)> = read
        .iter()
        .zip(files)
        .filter_map(|((found, text), (path, _))| {
            Some((path.clone(), text.clone()?, found.spec.clone().ok()?))
        })
        .collect();
    let needs = check_needs(&whole);
    let wrong_files: BTreeSet<&str> = needs
        .iter()
        .filter(|d| d.severity == Severity::Error)
        .map(|d| d.file.as_str())
        .collect();
    let wrong: BTreeSet<&ServiceName> = whole
        .iter()
        .filter(|(path, ..)| wrong_files.contains(path.as_str()))
        .map(|(.., spec)| &spec.service)
        .collect();
    for (found, _) in read
        .iter_mut()
        .filter(|(found, _)| found.spec.is_ok() && wrong.contains(&found.name))
    {
        found.spec = Err(needs.to_string());
    }
    read.into_iter().map(|(found, _)| found).collect()
}

fn read_one(
    path: &str,
    bytes: &[u8],
    paths: &BTreeSet<String>,
    repository_name: &str,
    platform: &PlatformSpec,
) -> (Found, Option<String>) {
    let folder = folder_of(path);
    let guess = || {
        naming::service_name(
            folder
                .rsplit('/')
                .next()
                .filter(|f| !f.is_empty())
                .unwrap_or(repository_name),
        )
    };
    let Ok(text) = std::str::from_utf8(bytes) else {
        let reason = format!("{path} is not UTF-8 text; save it as UTF-8");
        return (
            Found {
                name: guess(),
                folder: folder.to_owned(),
                spec: Err(reason),
            },
            None,
        );
    };
    let (spec, mut diagnostics) = lint(path, text);
    if let Some(spec) = &spec {
        diagnostics.extend(check_files(path, text, spec, |named| {
            exists(paths, folder, named)
        }));
        diagnostics.extend(check_environments(path, text, spec, platform));
    }
    let name = match &spec {
        Some(spec) => spec.service.clone(),
        None => named_in(text).unwrap_or_else(guess),
    };
    let spec = spec
        .filter(|_| !diagnostics.has_errors())
        .ok_or_else(|| explain(&diagnostics));
    (
        Found {
            name,
            folder: folder.to_owned(),
            spec,
        },
        Some(text.to_owned()),
    )
}

fn explain(diagnostics: &Diagnostics) -> String {
    diagnostics.to_string().trim_end().to_owned()
}

/// The folder of a file; empty for the root.
pub(crate) fn folder_of(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// The name in a `service:` line of a file that has mistakes elsewhere.
fn named_in(text: &str) -> Option<ServiceName> {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix("service:"))?;
    value
        .split('#')
        .next()?
        .trim()
        .trim_matches(['"', '\''])
        .parse()
        .ok()
}

/// Whether a file or folder is there, named relative to a folder.
fn exists(paths: &BTreeSet<String>, folder: &str, named: &str) -> bool {
    let mut parts: Vec<&str> = folder.split('/').filter(|part| !part.is_empty()).collect();
    for part in named.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                if parts.pop().is_none() {
                    return false;
                }
            }
            part => parts.push(part),
        }
    }
    let path = parts.join("/");
    let inside = format!("{path}/");
    path.is_empty()
        || paths.contains(&path)
        || paths
            .range(inside.clone()..)
            .next()
            .is_some_and(|p| p.starts_with(&inside))
}

/// Whether one of the paths is in a service's folder.
pub(crate) fn has_changed(folder: &str, changed: &[String]) -> bool {
    let inside = |path: &String| {
        path.strip_prefix(folder)
            .is_some_and(|rest| folder.is_empty() || rest.starts_with('/'))
    };
    changed.iter().any(inside)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(files: &[(&str, &str)], others: &[&str]) -> Vec<Found> {
        let platform = PlatformSpec::default_for_one_machine("dev:5000", "prod:5000");
        let texts: Vec<_> = files
            .iter()
            .map(|(path, text)| ((*path).to_owned(), text.as_bytes().to_vec()))
            .collect();
        let paths = files
            .iter()
            .map(|(p, _)| *p)
            .chain(others.iter().copied())
            .map(str::to_owned)
            .collect();
        services(&texts, &paths, "Harbour.Shop", &platform)
    }

    #[test]
    fn a_broken_file_tells_where_and_keeps_its_name() {
        let found = read(
            &[("orders/slipway.yaml", "service: orders\nbiuld: {}\n")],
            &["orders/Dockerfile"],
        );
        assert_eq!(
            (found[0].name.as_str(), found[0].folder.as_str()),
            ("orders", "orders")
        );
        let reason = found[0].spec.clone().unwrap_err();
        assert!(
            reason.contains("orders/slipway.yaml:2:1") && reason.contains("build"),
            "{reason}"
        );
        let found = read(&[("slipway.yaml", "{")], &[]);
        assert_eq!(found[0].name.as_str(), "harbour-shop");
    }

    #[test]
    fn files_are_looked_for_beside_the_service_file() {
        assert!(
            read(&[("a/slipway.yaml", "service: a")], &["a/Dockerfile"])[0]
                .spec
                .is_ok()
        );
        let reason = read(&[("a/slipway.yaml", "service: a")], &["Dockerfile"])[0]
            .spec
            .clone()
            .unwrap_err();
        assert!(reason.contains("Dockerfile"), "{reason}");
    }

    #[test]
    fn two_services_of_one_name_are_both_refused() {
        let files = [
            ("a/slipway.yaml", "service: x"),
            ("b/slipway.yaml", "service: x"),
            ("c/slipway.yaml", "service: c"),
        ];
        let found = read(&files, &["a/Dockerfile", "b/Dockerfile", "c/Dockerfile"]);
        let refused: Vec<bool> = found.iter().map(|f| f.spec.is_err()).collect();
        assert_eq!(refused, [true, true, false]);
    }

    #[test]
    fn only_changes_within_a_folder_count() {
        let changed = ["orders/src/main.py".to_owned()];
        assert!(has_changed("orders", &changed) && has_changed("", &changed));
        assert!(!has_changed("order", &changed) && !has_changed("pricing", &changed));
        assert!(!has_changed("", &[]));
    }
}
