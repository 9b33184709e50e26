//! From YAML to JSON as `kubectl` does it: by the rules of YAML 1.1.

use serde_json::{Map, Number, Value as Json};

use crate::diagnostic::{Diagnostic, Source};
use crate::document::{Node, Value};

/// The JSON of a tree.
pub(super) fn of(source: &Source, node: &Node) -> Result<Json, Box<Diagnostic>> {
    Ok(match &node.value {
        Value::Scalar { text, plain: false } => Json::String(text.clone()),
        Value::Scalar { text, .. } => plain(text),
        Value::List(nodes) => {
            let list: Result<_, _> = nodes.iter().map(|node| of(source, node)).collect();
            Json::Array(list?)
        }
        Value::Map(entries) => {
            let mut map = Map::new();
            for entry in entries {
                if entry.key == "<<" {
                    let error = source.error(entry.key_span.clone(), "merge keys are not read");
                    return Err(Box::new(
                        error.help("write what they bring in, or put it into a kustomization"),
                    ));
                }
                map.insert(entry.key.clone(), of(source, &entry.value)?);
            }
            Json::Object(map)
        }
    })
}

/// A scalar without quotes.
fn plain(text: &str) -> Json {
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Json::Null,
        _ => {}
    }
    match text.to_ascii_lowercase().as_str() {
        "true" | "yes" | "on" => return Json::Bool(true),
        "false" | "no" | "off" => return Json::Bool(false),
        _ => {}
    }
    match number(text) {
        Some(number) => Json::Number(number),
        None => Json::String(text.to_owned()),
    }
}

fn number(text: &str) -> Option<Number> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(digits) => (-1, digits),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    if !digits.starts_with(|c: char| c.is_ascii_digit() || c == '.') {
        return None;
    }
    let in_base = |digits: &str, base| i64::from_str_radix(digits, base).ok();
    let is_octal =
        |d: &str| d.len() > 1 && d.starts_with('0') && d.bytes().all(|b| b.is_ascii_digit());
    let integer = match digits {
        d if d.starts_with("0x") => in_base(&d[2..], 16),
        d if d.starts_with("0o") => in_base(&d[2..], 8),
        d if is_octal(d) => in_base(d, 8),
        d if d.bytes().all(|b| b.is_ascii_digit()) => in_base(d, 10),
        _ => None,
    };
    if let Some(integer) = integer {
        return Some(Number::from(sign * integer));
    }
    let is_decimal = digits
        .bytes()
        .all(|b| b.is_ascii_digit() || matches!(b, b'.' | b'e' | b'E' | b'+' | b'-'));
    let float = if is_decimal { text.parse().ok() } else { None };
    float.and_then(Number::from_f64)
}
