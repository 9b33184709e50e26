//! Log lines for people: which stage, and whether it was written as an error.

use proto::gateway::v1::LogLine;

use super::Page;
use super::clean;

/// Whether lines are marked with the stage that printed them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Prefix {
    /// One stage was asked for.
    None,
    /// There may be several: names are padded to this width.
    Stage(usize),
}

/// One line. Lines of the error stream have a `!` where others have a `│`.
#[must_use]
pub fn line(line: &LogLine, prefix: Prefix, page: &Page) -> String {
    let text = clean::line(&String::from_utf8_lossy(&line.text));
    let bar = if line.is_error_stream {
        page.paint.attention("!")
    } else {
        page.paint.dim("│")
    };
    let text = if line.continued {
        format!("{text}{}", page.paint.dim("↩"))
    } else {
        text
    };
    match prefix {
        Prefix::None => format!("{bar} {text}"),
        Prefix::Stage(width) => {
            let stage = page.paint.dim(&format!("{:<width$}", line.stage));
            format!("{stage} {bar} {text}")
        }
    }
}
