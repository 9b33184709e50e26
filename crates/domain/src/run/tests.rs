//! What happens to a run: as sentences, and as properties of every history.

mod again;
mod properties;
mod restore;
mod reused;
mod reviews;
mod stages;
mod story;
