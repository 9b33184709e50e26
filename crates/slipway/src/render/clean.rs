//! Text from elsewhere, made safe to show: a program's output must not move our cursor or ring our bell.

/// One line for a terminal: without escape sequences and control characters; a tab becomes four blanks.
#[must_use]
pub fn line(text: &str) -> String {
    // What a carriage return overwrote (progress bars) was not on the screen in the end.
    let text = text.trim_end_matches(['\r', '\n']);
    let text = text.rsplit('\r').next().unwrap_or(text);
    let mut shown = String::with_capacity(text.len());
    for c in console::strip_ansi_codes(text).chars() {
        match c {
            '\t' => shown.push_str("    "),
            c if c.is_control() => {}
            c => shown.push(c),
        }
    }
    shown
}

/// The lines of a text, each made safe.
pub fn lines(text: &str) -> impl Iterator<Item = String> + '_ {
    text.trim_end().lines().map(line)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escape_sequences_and_bells_are_removed() {
        assert_eq!(
            line("\u{1b}[31mred\u{1b}[0m\u{7} and\ttab\r\n"),
            "red and    tab"
        );
        assert_eq!(line("\u{1b}[2J\u{1b}[1;1Hgone"), "gone");
    }

    #[test]
    fn a_progress_bar_leaves_its_last_state() {
        assert_eq!(line("10%\r50%\r100% done\r\n"), "100% done");
    }
}
