//! What `lint` and `init` found and wrote, for scripts.

use domain::diagnostic::{Diagnostic, Diagnostics};
use serde::Serialize;

/// The answer of `lint`.
#[derive(Debug, Serialize)]
pub struct Lint {
    /// Whether every file can be used.
    pub ok: bool,
    /// The files that were checked.
    pub files: Vec<String>,
    /// What is wrong with them.
    pub diagnostics: Vec<Diagnostic>,
}

impl Lint {
    /// What was found in `files`.
    #[must_use]
    pub fn of(files: Vec<String>, found: &Diagnostics) -> Self {
        Self {
            ok: !found.has_errors(),
            files,
            diagnostics: found.iter().cloned().collect(),
        }
    }
}

/// The answer of `init`.
#[derive(Debug, Serialize)]
pub struct Init {
    /// The file that was written.
    pub path: String,
    /// The service's name.
    pub service: String,
    /// What it is written in, such as `rust`; empty if that could not be told.
    pub language: String,
    /// Whether there is a Dockerfile.
    pub dockerfile: bool,
}
