//! Standard output and error: who reads them, and how wide they are.

use std::io::{self, Write as _};

use console::Term;
use serde::Serialize;

use crate::cli::{ColorChoice, OutputFormat};
use crate::error::CliError;
use crate::render::paint::Paint;

/// Where a command prints.
#[derive(Debug, Clone)]
pub struct Terminal {
    format: OutputFormat,
    paint: Paint,
    stdout: Term,
}

impl Terminal {
    /// Looks at the process's standard output.
    #[must_use]
    pub fn new(format: OutputFormat, color: ColorChoice) -> Self {
        let stdout = Term::stdout();
        let no_color = std::env::var_os("NO_COLOR").is_some_and(|v| !v.is_empty());
        let paint = Paint::new(match color {
            ColorChoice::Always => true,
            ColorChoice::Never => false,
            ColorChoice::Auto => stdout.is_term() && !no_color && !console::is_dumb(),
        });
        Self {
            format,
            paint,
            stdout,
        }
    }

    /// Whether a script reads.
    #[must_use]
    pub fn is_json(&self) -> bool {
        self.format == OutputFormat::Json
    }

    /// Whether a screen can be redrawn in place.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.is_json() && self.stdout.is_term() && !console::is_dumb()
    }

    /// The colours.
    #[must_use]
    pub fn paint(&self) -> Paint {
        self.paint
    }

    /// Lines and columns; what is usual where there is no terminal.
    #[must_use]
    pub fn size(&self) -> (usize, usize) {
        match self.stdout.size_checked().filter(|_| self.stdout.is_term()) {
            Some((height, width)) => (usize::from(height).max(10), usize::from(width).max(40)),
            None => (40, 100),
        }
    }

    /// Prints text for people; a line's end is added if it has none.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn text(&self, text: &str) -> Result<(), CliError> {
        let mut out = io::stdout().lock();
        out.write_all(text.as_bytes())?;
        if !text.is_empty() && !text.ends_with('\n') {
            out.write_all(b"\n")?;
        }
        Ok(out.flush()?)
    }

    /// Prints one document for scripts.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn json(&self, document: &impl Serialize) -> Result<(), CliError> {
        self.text(&serde_json::to_string_pretty(document).map_err(io::Error::from)?)
    }

    /// Prints one of many documents, on one line.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn json_line(&self, document: &impl Serialize) -> Result<(), CliError> {
        self.text(&serde_json::to_string(document).map_err(io::Error::from)?)
    }

    /// Prints the document, or what `human` makes for people.
    ///
    /// # Errors
    /// When nobody reads any more.
    pub fn answer(
        &self,
        document: &impl Serialize,
        human: impl FnOnce() -> String,
    ) -> Result<(), CliError> {
        if self.is_json() {
            self.json(document)
        } else {
            self.text(&human())
        }
    }

    /// Something that people should know and scripts need not: on standard error.
    pub fn note(&self, text: &str) {
        // Nobody can be told that standard error is gone.
        let _ = writeln!(io::stderr(), "{text}");
    }

    /// Says what went wrong, on standard error.
    pub fn error(&self, error: &CliError) {
        let color = self.paint.is_on() && Term::stderr().is_term();
        self.note(&format!("{} {error}", Paint::new(color).bad("error:")));
    }
}

/// A part of the screen that is drawn again and again.
#[derive(Debug)]
pub struct LiveScreen {
    term: Term,
    drawn: usize,
}

impl LiveScreen {
    /// Begins below what is on the screen.
    #[must_use]
    pub fn begin() -> Self {
        Self {
            term: Term::buffered_stdout(),
            drawn: 0,
        }
    }

    /// Draws `lines` over what was drawn before. No line may be wider than the terminal, nor all of them higher.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn draw(&mut self, lines: &[String]) -> io::Result<()> {
        if self.drawn > 0 {
            self.term.move_cursor_up(self.drawn)?;
        }
        for line in lines {
            self.term.clear_line()?;
            self.term.write_line(line)?;
        }
        // Line by line, for some terminals keep what is cleared at once in their history.
        let left = self.drawn.saturating_sub(lines.len());
        for _ in 0..left {
            self.term.clear_line()?;
            self.term.write_line("")?;
        }
        if left > 0 {
            self.term.move_cursor_up(left)?;
        }
        self.term.flush()?;
        self.drawn = lines.len();
        Ok(())
    }

    /// Removes what was drawn.
    ///
    /// # Errors
    /// When the terminal has gone.
    pub fn clear(&mut self) -> io::Result<()> {
        self.draw(&[])
    }
}
