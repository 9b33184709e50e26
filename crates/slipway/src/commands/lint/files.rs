//! The files that are meant by paths.

use std::path::{Path, PathBuf};

use super::FileKind;
use crate::error::CliError;

/// How deep folders are looked through.
const DEEPEST: usize = 8;
/// Folders with other people's files; so are those of other repositories.
const PASSED_OVER: [&str; 4] = ["node_modules", "target", "vendor", "venv"];

/// Files and what they are; those of a folder in the order of their names.
///
/// # Errors
/// When a path is not there, or nothing is found.
pub(super) fn find(
    paths: &[PathBuf],
    kind: Option<FileKind>,
) -> Result<Vec<(PathBuf, FileKind)>, CliError> {
    let here = [PathBuf::from(".")];
    let mut found: Vec<(PathBuf, FileKind)> = Vec::new();
    for path in if paths.is_empty() { &here } else { paths } {
        if path.is_dir() {
            let before = found.len();
            look_through(path, 0, &mut found);
            if found.len() == before {
                return Err(CliError::Refused(format!(
                    "there is no slipway.yaml in {} or below; `slipway init` writes one",
                    path.display()
                )));
            }
        } else {
            let by_name = if name_of(path).starts_with("platform") {
                FileKind::Platform
            } else {
                FileKind::Slipway
            };
            found.push((path.clone(), kind.unwrap_or(by_name)));
        }
    }
    let mut seen = std::collections::BTreeSet::new();
    found.retain(|(path, _)| seen.insert(path.clone()));
    Ok(found)
}

fn look_through(folder: &Path, depth: usize, found: &mut Vec<(PathBuf, FileKind)>) {
    // A folder that can't be read holds nothing that Slipway could read either.
    let Ok(entries) = std::fs::read_dir(folder) else {
        return;
    };
    let mut paths: Vec<PathBuf> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        // What is shown has no `./` before it.
        let path = path
            .strip_prefix(".")
            .map(Path::to_path_buf)
            .unwrap_or(path);
        match name_of(&path).as_str() {
            "slipway.yaml" => found.push((path, FileKind::Slipway)),
            "platform.yaml" => found.push((path, FileKind::Platform)),
            name if name.starts_with('.') || PASSED_OVER.contains(&name) || depth == DEEPEST => {}
            _ if path.is_dir() && !path.is_symlink() && !is_repository(&path) => {
                look_through(&path, depth + 1, found);
            }
            _ => {}
        }
    }
}

/// Whether a folder is the work tree of another repository: a submodule, a worktree, a clone. Slipway reads what a
/// commit of this repository holds, and that is none of it.
fn is_repository(folder: &Path) -> bool {
    folder.join(".git").exists()
}

fn name_of(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}
