//! Texts, lists and maps of them.

use indexmap::IndexMap;

use super::{Fields, Reader};
use crate::document::{Entry, Node, Value, is_truth_value};

impl Reader<'_> {
    /// Text. Numbers and truth values must be in quotes: other tools read them otherwise.
    pub(crate) fn text(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let what = fields.path(key);
        self.text_at(fields.get(key)?, &what)
    }

    /// The text of a value.
    pub(crate) fn text_at(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, plain } if !plain || matches!(node.kind(), "text") => {
                if text.contains('\0') {
                    self.error(
                        node.span.clone(),
                        format!("`{what}` contains a NUL character"),
                    );
                    return None;
                }
                Some(text.clone())
            }
            _ => {
                self.not_text(node, what);
                None
            }
        }
    }

    fn not_text(&mut self, node: &Node, what: &str) {
        let message = format!("`{what}` must be text, but this is {}", node.kind());
        let help = match &node.value {
            Value::Scalar { .. } if node.is_null() => {
                "write the text, or leave the key out".to_owned()
            }
            Value::Scalar { text, .. } => format!("put it into quotes: \"{text}\""),
            Value::Map(_) => "a text that contains `: ` or begins with `{` needs quotes".to_owned(),
            Value::List(_) => "write one text instead of a list".to_owned(),
        };
        self.error_help(node.span.clone(), message, help);
    }

    /// Text that is not empty.
    pub(crate) fn name(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let text = self.text(fields, key)?;
        if !text.trim().is_empty() {
            return Some(text);
        }
        self.error(
            fields.get(key)?.span.clone(),
            format!("`{}` is empty", fields.path(key)),
        );
        None
    }

    /// A path in the service's folder: relative, and not out of it.
    pub(crate) fn path(&mut self, fields: &Fields<'_>, key: &str) -> Option<String> {
        let text = self.name(fields, key)?;
        self.inside(fields.get(key)?, text, &fields.path(key))
    }

    /// Checks that a text is a path in the service's folder.
    pub(crate) fn inside(&mut self, node: &Node, text: String, what: &str) -> Option<String> {
        let problem = if text.starts_with('/') {
            "is absolute"
        } else if leaves(&text) {
            "leaves the service's folder"
        } else {
            return Some(text);
        };
        let help = "write a path relative to the folder of this file, and inside it";
        self.error_help(
            node.span.clone(),
            format!("the path `{text}` of `{what}` {problem}"),
            help,
        );
        None
    }

    /// A list of texts; one text alone counts as a list of it.
    pub(crate) fn texts(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        self.nodes(fields, key)
            .into_iter()
            .flatten()
            .map(|(_, text)| text)
            .collect()
    }

    /// The elements of a list; one value alone counts as a list of it. `None` when the key is absent.
    pub(crate) fn elements<'n>(&self, fields: &Fields<'n>, key: &str) -> Option<&'n [Node]> {
        let node = fields.get(key)?;
        match &node.value {
            Value::List(nodes) => Some(nodes),
            _ => Some(std::slice::from_ref(node)),
        }
    }

    /// Texts with their places; `None` when the key is absent.
    pub(crate) fn nodes<'n>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
    ) -> Option<Vec<(&'n Node, String)>> {
        let what = fields.path(key);
        let mut texts = Vec::new();
        for node in self.elements(fields, key)? {
            match self.text_at(node, &what) {
                Some(text) if text.trim().is_empty() => {
                    self.error(
                        node.span.clone(),
                        format!("an element of `{what}` is empty"),
                    );
                }
                Some(text) => texts.push((node, text)),
                None => {}
            }
        }
        Some(texts)
    }

    /// A program and its arguments: always a list. Numbers are taken as they are written.
    pub(crate) fn arguments(&mut self, fields: &Fields<'_>, key: &str) -> Vec<String> {
        let what = fields.path(key);
        match fields.get(key).map(|node| (node, &node.value)) {
            Some((node, Value::Scalar { text, .. })) if text.contains(char::is_whitespace) => {
                let words: Vec<&str> = text.split_whitespace().collect();
                let message = format!("`{what}` must be a list: the program and its arguments");
                self.error_help(
                    node.span.clone(),
                    message,
                    format!("write [{}]", words.join(", ")),
                );
                Vec::new()
            }
            _ => {
                let nodes = self.elements(fields, key).unwrap_or_default();
                nodes
                    .iter()
                    .filter_map(|node| self.value(node, &what))
                    .collect()
            }
        }
    }

    /// Command lines that must be there.
    pub(crate) fn run(&mut self, fields: &Fields<'_>, example: &str) -> Vec<String> {
        let empty = |n: &Node| matches!(&n.value, Value::List(list) if list.is_empty());
        if fields.get("run").is_none_or(empty) {
            self.missing(fields, "run", example);
            return Vec::new();
        }
        self.texts(fields, "run")
    }

    /// Texts by name. Numbers are taken as they are written; truth values must be in quotes.
    pub(crate) fn variables(&mut self, fields: &Fields<'_>, key: &str) -> IndexMap<String, String> {
        self.named(fields, key, |reader, entry, what| {
            reader.value(&entry.value, what)
        })
    }

    /// A mapping with names of the writer's choice for keys.
    pub(crate) fn named<'n, T>(
        &mut self,
        fields: &Fields<'n>,
        key: &str,
        mut read: impl FnMut(&mut Self, &'n Entry, &str) -> Option<T>,
    ) -> IndexMap<String, T> {
        let what = fields.path(key);
        let Some(node) = fields.get(key) else {
            return IndexMap::new();
        };
        let mut map = IndexMap::new();
        for entry in self.entries(node, &what).unwrap_or_default() {
            if !is_name(&entry.key) {
                let message = format!("`{what}` has a name that cannot be used");
                self.error_help(
                    entry.key_span.clone(),
                    message,
                    "a name is not empty and has no `=`, space or line break in it",
                );
            } else if let Some(value) = read(self, entry, &format!("{what}.{}", entry.key)) {
                map.insert(entry.key.clone(), value);
            }
        }
        map
    }

    /// The value of a variable.
    pub(crate) fn value(&mut self, node: &Node, what: &str) -> Option<String> {
        match &node.value {
            Value::Scalar { text, plain: true }
                if node.kind() == "a number" && !is_truth_value(text) =>
            {
                Some(text.clone())
            }
            Value::Scalar { .. } if node.is_null() => Some(String::new()),
            _ => self.text_at(node, what),
        }
    }
}

fn is_name(key: &str) -> bool {
    !key.is_empty() && !key.contains(|c: char| c == '=' || c.is_whitespace() || c.is_control())
}

/// Whether `..` leads out of where the path begins.
fn leaves(path: &str) -> bool {
    let mut depth = 0_i32;
    path.split('/').any(|part| {
        match part {
            "" | "." => {}
            ".." => depth -= 1,
            _ => depth += 1,
        }
        depth < 0
    })
}
