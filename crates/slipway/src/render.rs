//! The text that people read: pure functions of the gateway's answers, the time and the size of the screen.

pub mod change;
pub mod clean;
pub mod doctor;
pub mod duration;
pub mod ending;
pub mod environment;
pub mod failure;
pub mod graph;
pub mod log;
pub mod paint;
pub mod preview;
pub mod release;
pub mod rollout;
pub mod run;
mod table;

/// How text is to be made: with colours or not, how wide, at what time.
#[derive(Debug, Clone, Copy)]
pub struct Page {
    /// The colours.
    pub paint: paint::Paint,
    /// Columns.
    pub width: usize,
    /// Lines.
    pub height: usize,
    /// Now, for what is still under way.
    pub now: jiff::Timestamp,
}

impl Page {
    /// Cuts a line to the page's width, with `…` for what is left out.
    #[must_use]
    pub fn fit(&self, line: &str) -> String {
        console::truncate_str(line, self.width, "…").into_owned()
    }
}
