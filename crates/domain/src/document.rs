//! A YAML document as a tree in which everything knows its place in the file.
//!
//! The two files that people write are read in two steps: [`load`] makes this tree, and a [`Reader`] makes the clean
//! type from it. The reader goes on after a mistake, so one look at the file reports them all.

mod load;
mod reader;

use std::ops::Range;

pub(crate) use load::{load, load_all};
pub(crate) use reader::{Fields, Reader, refuse_both};

/// A value and its place, in bytes of the file.
#[derive(Debug, Clone)]
pub(crate) struct Node {
    pub(crate) span: Range<usize>,
    pub(crate) value: Value,
}

#[derive(Debug, Clone)]
pub(crate) enum Value {
    Scalar { text: String, plain: bool },
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key of a mapping and its value.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) key: String,
    pub(crate) key_span: Range<usize>,
    pub(crate) value: Node,
}

impl Node {
    /// Nothing was written: `key:`, `~` or `null`.
    pub(crate) fn is_null(&self) -> bool {
        matches!(&self.value, Value::Scalar { text, plain: true } if matches!(text.as_str(), "" | "~" | "null"))
    }

    /// What it is, in words.
    pub(crate) fn kind(&self) -> &'static str {
        match &self.value {
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Scalar { plain: false, .. } => "text",
            Value::Scalar { .. } if self.is_null() => "empty",
            Value::Scalar { text, .. } if is_truth_value(text) => "a truth value",
            Value::Scalar { text, .. } if is_number(text) => "a number",
            Value::Scalar { .. } => "text",
        }
    }

    /// The place of what `path` leads to. A step is a key, or in a list the text of an element. Where a step is
    /// missing, it is the place of the key before it.
    pub(crate) fn place(&self, path: &[&str]) -> Range<usize> {
        let mut place = self.span.clone();
        let mut node = self;
        for (index, step) in path.iter().enumerate() {
            match &node.value {
                Value::Map(entries) => {
                    let Some(entry) = entries.iter().find(|e| e.key == *step) else {
                        break;
                    };
                    node = &entry.value;
                    let last = index + 1 == path.len() && !node.is_null();
                    place = if last {
                        node.span.clone()
                    } else {
                        entry.key_span.clone()
                    };
                }
                Value::List(nodes) => {
                    let same =
                        |n: &&Node| matches!(&n.value, Value::Scalar { text, .. } if text == step);
                    let Some(element) = nodes.iter().find(same) else {
                        break;
                    };
                    node = element;
                    place = node.span.clone();
                }
                // One value alone counts as a list of it.
                Value::Scalar { text, .. } if text == step => place = node.span.clone(),
                Value::Scalar { .. } => break,
            }
        }
        place
    }

    /// The place of a key in the mapping that `path` leads to.
    pub(crate) fn place_of_key(&self, path: &[&str], key: &str) -> Option<Range<usize>> {
        let Value::Map(entries) = &self.value else {
            return None;
        };
        match path.split_first() {
            None => entries
                .iter()
                .find(|e| e.key == key)
                .map(|e| e.key_span.clone()),
            Some((step, rest)) => entries
                .iter()
                .find(|e| e.key == *step)?
                .value
                .place_of_key(rest, key),
        }
    }
}

/// What YAML 1.1, and so many an editor and tool, takes for true or false.
pub(crate) fn is_truth_value(text: &str) -> bool {
    let lower = text.to_ascii_lowercase();
    matches!(
        lower.as_str(),
        "true" | "false" | "yes" | "no" | "on" | "off"
    )
}

/// A number of YAML, in one of its notations.
fn is_number(text: &str) -> bool {
    let digits = text.trim_start_matches(['+', '-', '.']);
    digits.starts_with(|c: char| c.is_ascii_digit())
        && (text.parse::<f64>().is_ok()
            || digits
                .strip_prefix("0x")
                .is_some_and(|hex| u128::from_str_radix(hex, 16).is_ok())
            || digits
                .strip_prefix("0o")
                .is_some_and(|octal| u128::from_str_radix(octal, 8).is_ok()))
}
