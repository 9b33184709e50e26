//! Colours by meaning.

use console::Style;

/// Colours text, or leaves it as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Paint {
    on: bool,
}

impl Paint {
    /// Colours only if `on`.
    #[must_use]
    pub fn new(on: bool) -> Self {
        Self { on }
    }

    /// Whether it colours.
    #[must_use]
    pub fn is_on(self) -> bool {
        self.on
    }

    fn apply(self, style: Style, text: &str) -> String {
        if self.on && !text.is_empty() {
            style.force_styling(true).apply_to(text).to_string()
        } else {
            text.to_owned()
        }
    }

    /// What went well.
    #[must_use]
    pub fn good(self, text: &str) -> String {
        self.apply(Style::new().green(), text)
    }

    /// What went wrong.
    #[must_use]
    pub fn bad(self, text: &str) -> String {
        self.apply(Style::new().red().bold(), text)
    }

    /// What is under way.
    #[must_use]
    pub fn active(self, text: &str) -> String {
        self.apply(Style::new().cyan(), text)
    }

    /// What waits for a person, or should be looked at.
    #[must_use]
    pub fn attention(self, text: &str) -> String {
        self.apply(Style::new().yellow(), text)
    }

    /// What matters less.
    #[must_use]
    pub fn dim(self, text: &str) -> String {
        self.apply(Style::new().dim(), text)
    }

    /// What matters most.
    #[must_use]
    pub fn strong(self, text: &str) -> String {
        self.apply(Style::new().bold(), text)
    }
}
