//! Whether a new version is good. Everything here is pure: others measure.

pub mod condition;
pub mod json_path;
pub mod subject;
