//! Whether a new version is good: conditions on what is measured, what many measurements come to, and the judge that
//! compares the new version's requests with those of the one that runs beside it.
//!
//! Everything here is pure. Whoever runs an analysis asks [`progress::Progress::due`] what to measure and gives back each
//! [`measurement::Measurement`], and gives the [`judge::Judge`] the router's counts at each look.

pub mod condition;
pub mod json_path;
pub mod judge;
pub mod measurement;
pub mod progress;
pub mod subject;
pub mod verdict;
