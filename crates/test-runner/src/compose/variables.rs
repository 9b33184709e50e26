//! `${NAME:-default}` in the values of a Compose file.

use std::collections::BTreeMap;

use serde_json::Value;

/// Puts variables into every text of a document, keys excepted.
///
/// # Errors
/// A sentence about a variable that is required, or about a reference that can't be read.
pub(super) fn substitute(value: Value, lookup: &BTreeMap<String, String>) -> Result<Value, String> {
    Ok(match value {
        Value::String(text) => Value::String(text_of(&text, lookup)?),
        Value::Array(items) => Value::Array(
            items
                .into_iter()
                .map(|item| substitute(item, lookup))
                .collect::<Result<_, _>>()?,
        ),
        Value::Object(map) => {
            let pairs = map
                .into_iter()
                .map(|(key, value)| Ok((key, substitute(value, lookup)?)));
            Value::Object(pairs.collect::<Result<_, String>>()?)
        }
        other => other,
    })
}

fn text_of(text: &str, lookup: &BTreeMap<String, String>) -> Result<String, String> {
    let mut done = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        done.push_str(before);
        if let Some(literal) = after.strip_prefix('$') {
            done.push('$');
            rest = literal;
        } else if let Some(inside) = after.strip_prefix('{') {
            let end =
                closing(inside).ok_or_else(|| format!("a `${{` is not closed in {text:?}"))?;
            done.push_str(&braced(&inside[..end], lookup)?);
            rest = &inside[end + 1..];
        } else {
            let end = name_length(after);
            match end {
                0 => done.push('$'),
                _ => done.push_str(lookup.get(&after[..end]).map_or("", String::as_str)),
            }
            rest = &after[end..];
        }
    }
    done.push_str(rest);
    Ok(done)
}

/// What is between the braces: a name, and what to do when it has no value.
fn braced(reference: &str, lookup: &BTreeMap<String, String>) -> Result<String, String> {
    let end = name_length(reference);
    let (name, rule) = reference.split_at(end);
    if name.is_empty() {
        return Err(format!("`${{{reference}}}` names no variable"));
    }
    let (empty_counts, rule) = match rule.strip_prefix(':') {
        Some(rule) => (true, rule),
        None => (false, rule),
    };
    let value = lookup
        .get(name)
        .filter(|value| !(empty_counts && value.is_empty()));
    let mut characters = rule.chars();
    match (characters.next(), value) {
        (None, value) => Ok(value.cloned().unwrap_or_default()),
        (Some('-' | '?'), Some(value)) => Ok(value.clone()),
        (Some('-'), None) => text_of(characters.as_str(), lookup),
        (Some('+'), Some(_)) => text_of(characters.as_str(), lookup),
        (Some('+'), None) => Ok(String::new()),
        (Some('?'), None) => Err(format!(
            "the variable {name} is required: {}",
            characters.as_str()
        )),
        (Some(_), _) => Err(format!("`${{{reference}}}` can't be read")),
    }
}

/// Where the brace is closed, those inside left out.
fn closing(inside: &str) -> Option<usize> {
    let mut depth = 0_u32;
    for (at, c) in inside.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => return Some(at),
            '}' => depth -= 1,
            _ => {}
        }
    }
    None
}

fn name_length(text: &str) -> usize {
    let end = text
        .find(|c: char| !(c.is_ascii_alphanumeric() || c == '_'))
        .unwrap_or(text.len());
    if text.starts_with(|c: char| c.is_ascii_digit()) {
        0
    } else {
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn lookup() -> BTreeMap<String, String> {
        BTreeMap::from(
            [("A", "1"), ("EMPTY", "")].map(|(name, value)| (name.to_owned(), value.to_owned())),
        )
    }

    #[test]
    fn every_form_of_the_specification_is_understood() {
        for (text, expected) in [
            ("$A-${A}", "1-1"),
            ("x${NONE}y$NONE", "xy"),
            ("${NONE:-d}${EMPTY:-d}${EMPTY-d}${A:-d}", "dd1"),
            ("${NONE:-${A}}", "1"),
            ("${A:+yes}${NONE+yes}", "yes"),
            ("$$A costs 5$", "$A costs 5$"),
            ("${A?why}", "1"),
        ] {
            assert_eq!(text_of(text, &lookup()).as_deref(), Ok(expected), "{text}");
        }
        for text in ["${", "${}", "${A!}", "${NONE:?why}", "${1}"] {
            assert!(text_of(text, &lookup()).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "[${}A:\\-?+é ]{0,40}") {
            let _ = text_of(&text, &lookup());
        }
    }
}
