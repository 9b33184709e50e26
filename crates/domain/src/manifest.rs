//! A team's own Kubernetes objects: plain YAML files, or a kustomization of the small kind.
//!
//! Everything in them keeps its place in its file, so a mistake is shown where it was made, before any cluster sees it.

mod check;
mod json;
mod kustomization;
mod references;

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::Value as Json;

pub use references::rename;

use crate::diagnostic::{Diagnostic, Diagnostics, Source};
use crate::document::{Node, load_all};

/// One object as it is written.
#[derive(Debug, Clone)]
pub struct Manifest {
    /// The object.
    pub json: Json,
    source: Source,
    root: Node,
}

impl Manifest {
    /// Its `kind`; empty if it has none.
    #[must_use]
    pub fn kind(&self) -> &str {
        text(&self.json, "/kind")
    }

    /// Its name; empty if it has none.
    #[must_use]
    pub fn name(&self) -> &str {
        text(&self.json, "/metadata/name")
    }

    /// Something is wrong with it, at the place that `path` leads to.
    #[must_use]
    pub fn mistake(&self, path: &[&str], message: impl Into<String>) -> Diagnostics {
        let mistake = self.error(path, message);
        Diagnostics::of(&self.source, vec![mistake])
    }

    fn error(&self, path: &[&str], message: impl Into<String>) -> Diagnostic {
        self.source.error(self.place(path), message)
    }

    fn place(&self, path: &[&str]) -> Range<usize> {
        self.root.place(path)
    }
}

/// The text that a JSON pointer leads to; empty if there is none.
fn text<'j>(json: &'j Json, pointer: &str) -> &'j str {
    json.pointer(pointer).and_then(Json::as_str).unwrap_or("")
}

/// Reads the objects of a folder. `files` are the texts of its files by their path in it, `folder` is its own name in
/// messages, `namespace` is where the objects will be.
///
/// # Errors
/// Everything that is wrong with them.
pub fn read(
    folder: &str,
    files: &BTreeMap<String, String>,
    namespace: &str,
) -> Result<Vec<Manifest>, Diagnostics> {
    let mut manifests = match kustomization::find(files, "") {
        Some(path) => kustomization::read(folder, files, path)?,
        None => plain(folder, files)?,
    };
    let mistakes = check::mistakes(&manifests, namespace);
    if mistakes.has_errors() {
        return Err(mistakes);
    }
    for manifest in &mut manifests {
        if let Some(metadata) = manifest
            .json
            .get_mut("metadata")
            .and_then(Json::as_object_mut)
        {
            metadata.remove("namespace");
        }
    }
    Ok(manifests)
}

/// Every object of every file, in the order of the files' names.
fn plain(folder: &str, files: &BTreeMap<String, String>) -> Result<Vec<Manifest>, Diagnostics> {
    let is_manifest = |path: &str| {
        [".yaml", ".yml", ".json"]
            .iter()
            .any(|end| path.ends_with(end))
    };
    let mut manifests = Vec::new();
    let mut mistakes = Diagnostics::default();
    for (path, text) in files.iter().filter(|(path, _)| is_manifest(path)) {
        match documents(&shown(folder, path), text) {
            Ok(read) => manifests.extend(read),
            Err(found) => mistakes.extend(found),
        }
    }
    if mistakes.has_errors() {
        return Err(mistakes);
    }
    if manifests.is_empty() {
        let source = Source::new(folder, "");
        let error = source.error(0..0, "no object is in there");
        let help = "put `.yaml`, `.yml` or `.json` files there, or leave `deploy.manifests` out";
        return Err(Diagnostics::of(&source, vec![error.help(help)]));
    }
    Ok(manifests)
}

/// The objects of a file. Documents with nothing in them are passed over.
fn documents(path: &str, text: &str) -> Result<Vec<Manifest>, Diagnostics> {
    let source = Source::new(path, text);
    let of = |error: Diagnostic| Diagnostics::of(&source, vec![error]);
    let nodes = load_all(&source).map_err(|error| of(*error))?;
    nodes
        .into_iter()
        .map(|root| {
            let json = json::of(&source, &root).map_err(|error| of(*error))?;
            Ok(Manifest {
                json,
                source: source.clone(),
                root,
            })
        })
        .collect()
}

/// A file's path as it is shown.
fn shown(folder: &str, path: &str) -> String {
    match (folder.trim_end_matches('/'), path) {
        ("" | ".", path) => path.to_owned(),
        (folder, "") => folder.to_owned(),
        (folder, path) => format!("{folder}/{path}"),
    }
}

#[cfg(test)]
mod tests;
