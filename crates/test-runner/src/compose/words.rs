//! A command line as words, as a shell would split it; nothing else of a shell.

/// Splits a line at blanks outside quotation marks.
///
/// # Errors
/// When a quotation is not closed.
pub(super) fn split(line: &str) -> Result<Vec<String>, String> {
    let mut words = Vec::new();
    let mut word: Option<String> = None;
    let mut quote: Option<char> = None;
    let mut characters = line.chars().peekable();
    while let Some(c) = characters.next() {
        match (quote, c) {
            (Some(open), c) if c == open => quote = None,
            (Some('"'), '\\') if matches!(characters.peek(), Some('"' | '\\')) => {
                word.get_or_insert_default().extend(characters.next());
            }
            (Some(_), c) => word.get_or_insert_default().push(c),
            (None, '\'' | '"') => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (None, '\\') => word.get_or_insert_default().extend(characters.next()),
            (None, c) if c.is_whitespace() => words.extend(word.take()),
            (None, c) => word.get_or_insert_default().push(c),
        }
    }
    if quote.is_some() {
        return Err(format!("a quotation is not closed in {line:?}"));
    }
    words.extend(word);
    Ok(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotation_marks_keep_words_together() {
        let words = split(r#"sh -c 'echo "a  b"' "c \"d\"" e\ f '' "#).unwrap();
        assert_eq!(words, ["sh", "-c", r#"echo "a  b""#, r#"c "d""#, "e f", ""]);
        assert!(split("  ").unwrap().is_empty());
        assert!(split("echo 'x").is_err());
    }
}
