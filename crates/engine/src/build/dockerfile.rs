//! The one thing that we read in a Dockerfile: its `# syntax=` line.

/// The frontend that a Dockerfile asks for. Directives stand at the top, before any comment, empty line or
/// instruction (<https://docs.docker.com/reference/dockerfile/#parser-directives>).
pub(super) fn syntax(text: &str) -> Option<&str> {
    directives(text)
        .find(|(_, name, _)| name.eq_ignore_ascii_case("syntax"))
        .map(|(_, _, value)| value)
}

/// The Dockerfile with an empty comment in place of that line, so that line numbers stay.
pub(super) fn without_syntax(text: &str) -> String {
    let found = directives(text).find(|(_, name, _)| name.eq_ignore_ascii_case("syntax"));
    match found {
        Some((line, ..)) => text.replacen(line, "#", 1),
        None => text.to_owned(),
    }
}

/// Line, name and value of each directive.
fn directives(text: &str) -> impl Iterator<Item = (&str, &str, &str)> {
    text.trim_start_matches('\u{feff}')
        .lines()
        .map_while(|line| {
            let (name, value) = line.trim().strip_prefix('#')?.split_once('=')?;
            let name = name.trim();
            let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric());
            is_name.then_some((line, name, value.trim()))
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_directive_counts() {
        assert_eq!(
            syntax("# syntax = docker/dockerfile:1.4\nFROM a"),
            Some("docker/dockerfile:1.4")
        );
        assert_eq!(syntax("# escape=`\n#syntax=x\nFROM a"), Some("x"));
        assert_eq!(syntax("# a comment\n# syntax=x\nFROM a"), None);
        assert_eq!(syntax("FROM a\n# syntax=x\n"), None);
    }

    #[test]
    fn other_lines_stay_where_they_are() {
        assert_eq!(
            without_syntax("# escape=`\r\n# syntax=x\r\nFROM a\r\n"),
            "# escape=`\r\n#\r\nFROM a\r\n"
        );
        assert_eq!(without_syntax("FROM a"), "FROM a");
    }
}
